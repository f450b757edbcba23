# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timelines that a recovery will find in any of the repositories.

archive-get asks all of them. After a promotion while one was away, its history is in another only,
and the server follows it all the same.
"""

from __future__ import annotations

import typing as t

from ... import log
from ...errors import HostConnectError

if t.TYPE_CHECKING:
    from ...postgres.wal import Fork
    from ...repository.cluster_archive import ClusterArchive


class Histories:
    """Those of several archives, each of which is asked when the ones before it do not suffice."""

    def __init__(self, archives: t.Iterable[ClusterArchive]) -> None:
        self._rest = iter(archives)
        self._asked: list[ClusterArchive] = []

    def timelines(self) -> t.Collection[int]:
        """The timelines with a history file in any archive."""
        return {number for archive in self._all() for number in archive.timelines()}

    def forks(self, timeline: int) -> list[Fork]:
        """How the timeline came about, by the first archive that knows; nothing when none does.

        Raises FormatError when the file is damaged.
        """
        if timeline == 1:
            return []  # it never has a history
        for archive in self._all():
            if timeline in archive.timelines():
                try:
                    return archive.forks(timeline)
                except HostConnectError as cause:
                    if archive is self._asked[0]:
                        raise
                    log.warn("%s", cause.message)
        return []

    def _all(self) -> t.Iterator[ClusterArchive]:
        yield from list(self._asked)
        for archive in self._rest:
            self._asked.append(archive)
            yield archive
