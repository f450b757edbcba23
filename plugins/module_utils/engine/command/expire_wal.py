# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""expire: the WAL that no backup needs any more, by the verdict of the retention rules."""

from __future__ import annotations

import re
import time
import typing as t

from .. import log
from ..config.options import RepoOptions
from ..errors import EngineError, FormatError, StorageMissingError
from ..repository import layout, leftovers, retention
from ..repository.archive_info import ArchiveInfo
from ..repository.backup_info import BackupInfo
from ..repository.retention import ArchiveVerdict, RetentionRule
from ..storage.base import Storage

_STARTS_AS_SEGMENT = re.compile("[0-9A-F]{24}")


class RemovedWal(t.NamedTuple):
    """WAL between what is kept: names of segments, or of directories (16 digits) that go whole."""

    archive_id: str
    start: str
    stop: str


class ExpiredWal(t.NamedTuple):
    """The verdict on every archive id, and what went by it."""

    verdicts: dict[str, ArchiveVerdict]
    removed: list[RemovedWal]
    timelines: list[str]
    """Histories of timelines that ended before all WAL that is left, as paths."""


class _Doomed(t.NamedTuple):
    """What to remove of one archive id."""

    trees: list[str]
    files: list[str]
    ranges: list[RemovedWal]
    timelines: list[str]
    """Histories of timelines, as paths; they are among the files, too."""
    leftovers: list[str]
    """Temporary files that nobody finishes, as paths."""


class ArchivePlan(t.NamedTuple):
    """The verdict on one archive id, and what is to go by it."""

    archive_id: str
    verdict: ArchiveVerdict
    doomed: _Doomed


def plan_archives(
    storage: Storage,
    stanza: str,
    archive: ArchiveInfo,
    info: BackupInfo,
    rule: RetentionRule,
    too_old: t.Sequence[str],
) -> list[ArchivePlan]:
    """What of the WAL is to go, given the backups that remain; nothing is changed.

    ``too_old`` are the full backups that a retention by time has no need of, but for the newest of
    them.
    """
    plans = []
    for row in archive.history:
        verdict = retention.archive(
            info.backups, rule, row.id, current_id=archive.current_id, too_old=too_old
        )
        doomed = _doomed(storage, stanza, row.archive_id, verdict)
        plans.append(ArchivePlan(row.archive_id, verdict, doomed))
    return plans


def expire_archives(
    storage: Storage, plans: t.Iterable[ArchivePlan], repo: RepoOptions, dry_run: bool
) -> ExpiredWal:
    """Remove WAL as planned, and tell of it."""
    expired = ExpiredWal({}, [], [])
    for archive_id, verdict, doomed in plans:
        expired.verdicts[archive_id] = verdict
        _tell(f"repo{repo.key}: {archive_id}", verdict, doomed)
        if not dry_run:
            for path in doomed.trees:
                storage.remove_tree(path)
            storage.remove_many(doomed.files + doomed.leftovers)
        expired.removed.extend(doomed.ranges)
        expired.timelines.extend(doomed.timelines)
    return expired


def _tell(where: str, verdict: ArchiveVerdict, doomed: _Doomed) -> None:
    for kept in verdict.ranges or ():
        log.detail(
            "%s archive retention, start = %s, stop = %s: %s",
            where,
            kept.start,
            kept.stop or "none",
            kept.reason,
        )
    for part in doomed.ranges:
        log.info(
            "%s remove archive, start = %s, stop = %s: %s",
            where,
            part.start,
            part.stop,
            verdict.reason,
        )
    for path in doomed.timelines:
        log.info("%s remove history %s", where, path.rsplit("/", 1)[1])
    for path in doomed.leftovers:
        log.info("%s remove abandoned temporary file %s", where, path.rsplit("/", 1)[1])
    if not doomed.ranges:
        what = "remove empty archive" if doomed.trees else "no archive to remove"
        log.info("%s %s: %s", where, what, verdict.reason)


def check_histories(archive: ArchiveInfo, info: BackupInfo) -> None:
    """Raise FormatError when the two info files do not tell of the same clusters."""
    ours = [(row.id, row.system_id, row.version) for row in archive.history]
    theirs = [(row.id, row.system_id, row.version) for row in info.history]
    if ours != theirs[len(theirs) - len(ours) :]:
        raise FormatError(
            "archive expiration cannot continue - archive and backup history lists do not match",
            hint="this may be a symptom of repository corruption; verify shows what is left.",
        )


def _doomed(storage: Storage, stanza: str, archive_id: str, verdict: ArchiveVerdict) -> _Doomed:
    """Directories and files of this archive id that the verdict does not keep."""
    doomed = _Doomed([], [], [], [], [])
    if verdict.ranges is None:
        return doomed
    base = layout.archive_id_path(stanza, archive_id)
    try:
        entries = storage.list(base)
    except StorageMissingError:
        return doomed
    now = time.time()
    if not verdict.ranges:
        # Nothing of it is needed: it goes as it is, with what nobody knows.
        doomed.trees.append(base)
        names = sorted(row.name for row in entries if layout.is_segment_directory(row.name))
        doomed.ranges.extend(_ranges(archive_id, [(name, True) for name in names]))
        return doomed
    doomed.leftovers.extend(f"{base}/{name}" for name in leftovers.abandoned(entries, now))
    directories = [row.name for row in entries if layout.is_segment_directory(row.name)]
    mixed = [name for name in directories if retention.keeps_directory(verdict, name)]
    listings = dict(zip(mixed, storage.list_many(f"{base}/{name}" for name in mixed)))
    # Every directory that goes whole and every other file, in order, and whether it goes.
    order: list[tuple[str, bool]] = []
    for name in directories:
        listing = listings.get(name)
        if listing is None:
            doomed.trees.append(f"{base}/{name}")
            order.append((name, True))
            continue
        if isinstance(listing, EngineError):
            raise listing
        left = set(leftovers.abandoned(listing, now))
        doomed.leftovers.extend(f"{base}/{name}/{row}" for row in sorted(left))
        for row in listing:
            if row.name in left:
                continue
            if _STARTS_AS_SEGMENT.match(row.name):
                goes = not retention.keeps(verdict, row.name)
                order.append((row.name[:24], goes))
                if goes:
                    doomed.files.append(f"{base}/{name}/{row.name}")
    for row in entries:
        old = row.name[:8] < verdict.ranges[-1].start[:8]
        if row.name.endswith(".history") and old:
            doomed.timelines.append(f"{base}/{row.name}")
    doomed.files.extend(doomed.timelines)
    doomed.ranges.extend(_ranges(archive_id, order))
    return doomed


def _ranges(archive_id: str, order: t.Iterable[tuple[str, bool]]) -> t.Iterator[RemovedWal]:
    start = stop = ""
    for name, goes in order:
        if goes:
            start, stop = start or name, name
        elif start:
            yield RemovedWal(archive_id, start, stop)
            start = ""
    if start:
        yield RemovedWal(archive_id, start, stop)
