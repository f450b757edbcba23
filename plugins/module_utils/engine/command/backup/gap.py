# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether WAL was lost since the last backup, as when archive-push had to drop some.

No mark is kept of that: whoever lost it may be another host, and may not have reached the
repository. What is in the archive tells.
"""

from __future__ import annotations

import contextlib
import os
import time

from ... import log
from ...config.options import Options
from ...errors import ArchiveTimeoutError, FormatError
from ...postgres import ready, timeline
from ...postgres.wal import (
    Fork,
    history,
    is_segment,
    number_name,
    segment_number,
    timeline_of,
)
from ...repository import archive, label, wal_gaps
from ...repository.archive import Archive, WalRange
from ...repository.archive_info import ArchiveInfo
from ...repository.backup_info import BackupEntry, BackupInfo
from ...repository.cluster_archive import ClusterArchive
from ...storage.base import Storage
from .. import wal
from .source import OnlineSource, Source

# Seconds between two looks for a history that may be on its way.
_PAUSE = 0.5


def type_after(
    storage: Storage,
    options: Options,
    source: Source,
    archive_info: ArchiveInfo,
    info: BackupInfo,
    wanted: str,
) -> str:
    """The type of backup: a full one instead of another where WAL is missing since the last one.

    No recovery leads across the gap; what begins after it builds on nothing before it.
    """
    last = _last(info)
    if wanted == label.FULL or last is None or not options.archive_check:
        return wanted
    if not isinstance(source, OnlineSource):
        return wanted
    db = source.cluster.primary.db
    current = db.current_wal_segment()
    try:
        way = _way(storage, options, archive_info, last, current)
    except (ArchiveTimeoutError, FormatError) as cause:
        log.warn(
            "no recovery leads from backup %s to now, %s backup has been changed to full: %s",
            last.label,
            wanted,
            cause.message,
        )
        return label.FULL
    missing = find(
        storage,
        options.require_stanza(),
        archive_info.current.archive_id,
        last,
        current,
        archived=_segment_of(db.archived_wal()),
        size=source.facts.wal_segment_size,
        timeout=options.archive_timeout,
        way=way,
    )
    if missing is None:
        return wanted
    log.warn(
        "WAL from %s to %s since backup %s is missing in the archive, %s backup has been changed"
        " to full",
        missing.first,
        missing.last,
        last.label,
        wanted,
    )
    return label.FULL


def _last(info: BackupInfo) -> BackupEntry | None:
    """The last backup of the current cluster; None when there is none with WAL."""
    found = [
        entry
        for entry in info.backups.values()
        if entry.db_id == info.current_id and entry.archive_stop is not None
    ]
    return found[-1] if found else None


def _way(
    storage: Storage, options: Options, archive_info: ArchiveInfo, last: BackupEntry, current: str
) -> timeline.Path:
    """How the current timeline was reached, if it is not that of the backup.

    Raises FormatError when its history is damaged or another one than the server's, which may have
    been dropped for that, and ArchiveTimeoutError when there is none: no recovery gets past that.
    """
    number = timeline_of(current)
    before = timeline_of(last.archive_stop or "")
    if before == number:
        return ()
    if number == 1:
        raise FormatError(f"timeline 1, on which the server is, does not come from {before}")
    cluster = archive_info.current
    stanza = options.require_stanza()
    deadline = time.monotonic() + options.archive_timeout
    while True:
        archived = ClusterArchive(
            storage, stanza, archive_info, version=cluster.version, system_id=cluster.system_id
        )
        if number in archived.timelines():
            forks = archived.forks(number)
            if _own_forks(options, number) not in (None, forks):
                raise FormatError(f"the archive has another history of timeline {number}")
            return timeline.path(number, forks)
        # It is archived before anything of its timeline, but may be on its way.
        if time.monotonic() >= deadline:
            raise ArchiveTimeoutError(
                f"the archive has no history of timeline {number}",
                hint="was it dropped, as archive-push-queue-max allows?",
            )
        time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))


def _own_forks(options: Options, number: int) -> list[Fork] | None:
    """How the timeline came about for the server on this host; None when that is not known."""
    paths = [pg.path for pg in options.pgs if pg.host is None]
    for path in paths[:1]:
        with contextlib.suppress(OSError, FormatError):
            name = os.path.join(ready.wal_directory(path), f"{number:08X}.history")
            with open(name, encoding="utf-8", errors="replace") as file:
                return history(file.read())
    return None


def _segment_of(name: str | None) -> str | None:
    """The segment of a WAL file; of a file of history none, since it comes before segments."""
    start = (name or "")[:24]
    return start if is_segment(start) else None


def find(
    storage: Storage,
    stanza: str,
    archive_id: str,
    last: BackupEntry,
    current: str,
    *,
    archived: str | None,
    size: int,
    timeout: float,
    way: timeline.Path = (),
) -> WalRange | None:
    """The first segments that the archive lacks from the backup ``last`` to now.

    ``current`` is the segment that is being written, ``archived`` the last one that archive_command
    reported as done, also where it had dropped it; ``size`` in bytes is that of a segment; ``way``
    is how the current timeline was reached, where it is another one than the backup's.
    Segments are pushed in parallel: each that is missing is waited for, ``timeout`` seconds long.
    """
    stop = last.archive_stop or ""

    def hole() -> WalRange | None:
        names = _present(storage, stanza, archive_id, stop, current, size, way)
        return wal_gaps.first_hole(names, stop, current, size, archived, way)

    found = hole()
    while found is not None:
        try:
            wal.wait_for(storage, stanza, archive_id, [found.first], timeout)
        except ArchiveTimeoutError:
            return found
        found = hole()
    return None


def _present(
    storage: Storage,
    stanza: str,
    archive_id: str,
    stop: str,
    current: str,
    size: int,
    way: timeline.Path,
) -> list[str]:
    """The segments that are there after ``stop``; on later timelines all of those on the way."""
    number = timeline_of(current)
    if timeline_of(stop) != number:
        passed = {number, *(stretch.timeline for stretch in way)}

        def is_wanted(directory: str) -> bool:
            return directory >= stop[:16] and timeline_of(directory) in passed

        return list(archive.segments(storage, stanza, archive_id, is_wanted))
    numbers = range(segment_number(stop, size) + 1, segment_number(current, size))
    names = [number_name(number, row, size) for row in numbers]
    found = Archive(storage, stanza).find_many(archive_id, names)
    return [name for name in names if found[name]]
