# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL archive of one cluster in one repository, over all ids that the cluster ever had there.

A stanza that was upgraded and taken back holds the same cluster under two ids; archive-get looks
into all of them, and so does whoever asks what a recovery will find.
"""

from __future__ import annotations

import typing as t

from ..errors import CryptoError, FormatError, RepoInvalidError
from ..postgres import wal
from ..transform.pipeline import Encoding, decode
from . import archive, layout
from .archive import StoredSegment

if t.TYPE_CHECKING:
    from ..storage.base import Storage
    from .archive_info import ArchiveInfo


class ClusterArchive:
    """What is there for recovery; every listing is asked for once."""

    def __init__(
        self, storage: Storage, stanza: str, info: ArchiveInfo, *, version: str, system_id: int
    ) -> None:
        self._storage = storage
        self._stanza = stanza
        self._encoding = Encoding(cipher_pass=info.cipher_pass)
        self.ids = [
            row.archive_id
            for row in reversed(info.history)
            if (row.version, row.system_id) == (version, system_id)
        ]
        if not self.ids:
            raise RepoInvalidError(
                f"the archive has no history of PostgreSQL version {version}, system-id"
                f" {system_id}",
                hint="is this the right stanza for the data directory?",
            )
        self._timelines: dict[int, str] | None = None
        self._forks: dict[int, list[wal.Fork]] = {}

    def timelines(self) -> t.Collection[int]:
        """The timelines with a history file."""
        if self._timelines is None:
            # Ids are newest first, and the newest counts.
            self._timelines = {
                timeline: archive_id
                for archive_id in reversed(self.ids)
                for timeline in archive.timelines(self._storage, self._stanza, archive_id)
            }
        return self._timelines.keys()

    def forks(self, timeline: int) -> list[wal.Fork]:
        """How the timeline came about; nothing when it has no history file.

        Raises FormatError when the file is damaged.
        """
        if timeline not in self._forks:
            self.timelines()
            archive_id = (self._timelines or {}).get(timeline)
            if archive_id is None:
                return []
            path = _history(self._stanza, archive_id, timeline)
            stored = self._storage.read(path)
            try:
                data = decode(stored, self._encoding)
                self._forks[timeline] = wal.history(data.decode("utf-8", "replace"))
            except (FormatError, CryptoError) as cause:
                raise FormatError(f"'{path}' is damaged: {cause.message}") from cause
        return self._forks[timeline]

    def segments(self, within: t.Callable[[str], bool]) -> dict[str, StoredSegment]:
        """All whole segments in the directories (16 digits) that ``within`` accepts, by name."""
        found: dict[str, StoredSegment] = {}
        for archive_id in reversed(self.ids):
            found.update(archive.segments(self._storage, self._stanza, archive_id, within))
        return found

    def began(self, timeline: int) -> int | None:
        """When the timeline's history came into the archive, in seconds of the repository's clock.

        It comes before the first segment. None when it is not there, or times are not told.
        """
        self.timelines()
        archive_id = (self._timelines or {}).get(timeline)
        if archive_id is None:
            return None
        info = self._storage.info(_history(self._stanza, archive_id, timeline))
        return info.mtime or None if info is not None else None

    def clock_lag(self, label: str, stopped: int) -> int:
        """Seconds by which the repository's clock is behind the database's, at least.

        A backup's manifest is written after the backup has ended, at ``stopped`` by the database's
        clock. 0 where nothing is known.
        """
        info = self._storage.info(layout.manifest_path(self._stanza, label))
        return max(stopped - info.mtime, 0) if info is not None and info.mtime else 0


def _history(stanza: str, archive_id: str, timeline: int) -> str:
    return layout.wal_file_path(stanza, archive_id, f"{timeline:08X}.history")
