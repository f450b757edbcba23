# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for WAL to arrive in the archive, as a backup and `check` do."""

from __future__ import annotations

import time
import typing as t

from ..errors import ArchiveTimeoutError
from ..postgres.server import BackupStart, BackupStop
from ..postgres.wal import lsn_parse, segments_between, timeline_of
from ..repository.archive import Archive
from ..storage.base import Storage

# Seconds between two looks; the first ones come sooner.
_PAUSES = (0.1, 0.1, 0.2, 0.2, 0.5)
_PAUSE = 1.0


def segments(start: BackupStart, stop: BackupStop, segment_size: int) -> list[str]:
    """The segments of all bytes from the start to the stop LSN: what a restore of it needs.

    The stop LSN is the first byte after the last record. Where that is the first of a segment, a
    server that has nothing else to do does not end that segment for as long as one likes.
    """
    timeline = timeline_of(start.wal_segment)
    first, end = lsn_parse(start.lsn), lsn_parse(stop.lsn)
    return segments_between(timeline, first, max(first, end - 1), segment_size)


def wait_for(
    storage: Storage,
    stanza: str,
    archive_id: str,
    names: t.Sequence[str],
    timeout: float,
) -> None:
    """Return when every segment is in the archive; ``timeout`` (seconds) counts for each anew.

    Raises ArchiveTimeoutError that names the first one that is missing.
    """
    archive = Archive(storage, stanza)
    missing = list(names)
    deadline = time.monotonic() + timeout
    pauses = iter(_PAUSES)
    while True:
        before = len(missing)
        archive.forget()
        missing = archive.missing(archive_id, missing)
        if not missing:
            return
        if len(missing) < before:
            deadline = time.monotonic() + timeout
        elif time.monotonic() >= deadline:
            raise ArchiveTimeoutError(
                f"WAL segment {missing[0]} was not archived before the {timeout:g}s timeout",
                hint="look for errors of archive_command in the PostgreSQL server log.",
            )
        time.sleep(min(next(pauses, _PAUSE), max(0.0, deadline - time.monotonic())))
