# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go on with a full backup that was broken off (repository reference, section 11).

What it had stored is kept when the cluster's file has not changed since and the repository gives
back the bytes that were sent, parts of bundles included; all else in its directory is removed.
"""

from __future__ import annotations

import typing as t

from ... import log
from ...errors import EngineError, TransportLostError
from ...postgres.entries import DataDirectory, FileEntry
from ...repository import label, layout, manifest
from ...repository.backup_info import BackupInfo
from ...repository.blockmap import Chain
from ...repository.contents import PG_CONTROL, Manifest, ManifestFile
from ...repository.reconstruct import Reconstruction
from ...repository.stored import stored
from ...storage.base import Storage
from ...storage.walk import files_below
from ...version import REPOSITORY_VERSION
from ...worker.pool import Finished, WorkerPool
from ...worker.progress import size_text
from ..verify.files import FilesJob, VerifyFile
from . import ahead
from .plan import Kept

# Stored bytes that one worker reads in one job.
JOB_SIZE = 64 * 1024 * 1024
JOB_FILES = 1000

# Seconds by which the clock may have been set back since a backup began that is gone on with.
SET_BACK = 900


class Wanted(t.NamedTuple):
    """What the backup that begins has to have in common with the one that was broken off."""

    compress_type: str
    encrypted: bool
    bundle: bool
    block: bool


def find(
    storage: Storage, stanza: str, found: Reconstruction, wanted: Wanted, begin: int
) -> Manifest | None:
    """What the newest backup directory has, when it is one that can be resumed.

    One that began well after ``begin``, the current second, has a label of a time to come. It is
    not gone on with: until that time no other full backup could get a later label.
    """
    newest = max(found.on_disk, default=None)
    if newest is None or found.on_disk[newest] or newest != label.full_of(newest):
        return None
    path = layout.copy_of(layout.manifest_path(stanza, newest))
    if storage.info(path) is None:
        return None
    try:
        saved = manifest.load(storage, stanza, newest, found.info.cipher_pass)
    except TransportLostError:
        raise
    except EngineError as cause:
        reason: str | None = f"unable to read its manifest: {cause.message}"
    else:
        reason = _differs(saved, found.info, wanted)
        if saved.backup.timestamp_start > begin + SET_BACK:
            reason = "it began at a time to come: the clock has been set back since"
        if reason is None:
            log.warn(
                "resumable backup %s of same type exists -- invalid files will be removed then the"
                " backup will resume",
                newest,
            )
            return saved
    log.warn("backup '%s' cannot be resumed: %s", newest, reason)
    return None


def _differs(saved: Manifest, info: BackupInfo, wanted: Wanted) -> str | None:
    facts = saved.backup
    pairs: tuple[tuple[str, object, object], ...] = (
        ("version", REPOSITORY_VERSION, saved.writer_version),
        ("type", label.FULL, facts.backup_type),
        ("cluster", tuple(info.current)[:3], tuple(saved.db)[:3]),
        ("compress-type", wanted.compress_type, saved.options.compress_type),
        ("encryption", wanted.encrypted, saved.cipher_pass is not None),
        ("repo-bundle", wanted.bundle, facts.bundle),
        ("repo-block", wanted.block, facts.block_incr),
    )
    for what, new, old in pairs:
        if new != old:
            return f"new {what} '{new}' does not match resumable {what} '{old}'"
    return None


def keep(
    storage: Storage,
    stanza: str,
    pool: WorkerPool,
    data: DataDirectory,
    saved: Manifest,
    *,
    delta: bool,
    pages: bool,
    beat: t.Callable[[], None],
) -> Kept:
    """Decide what stays, and remove the rest. ``beat`` is called now and then.

    With ``delta`` the times of files are not trusted: whether the cluster's file is still what was
    stored is found out when it is read. With ``pages`` a file whose pages nobody found good is
    copied again.
    """
    rows = _unchanged(data, saved, delta=delta, pages=pages)
    good = _verified(stanza, pool, saved, rows.values(), beat)
    kept = {name: row for name, row in rows.items() if name in good}
    before = sum(row.repo_size for row in saved.files)
    log.info(
        "resume with %s of %s that were stored",
        size_text(sum(row.repo_size for row in kept.values())),
        size_text(before),
    )
    highest = _clean(storage, stanza, saved, kept.values())
    for name in kept:
        log.detail("checksum resumed file %s (%s)", name, size_text(kept[name].size))
    if delta:
        return Kept({}, kept, highest + 1)
    return Kept(kept, {}, highest + 1)


def _unchanged(
    data: DataDirectory, saved: Manifest, *, delta: bool, pages: bool
) -> dict[str, ManifestFile]:
    """What is stored already of files that look as they did."""
    done = {row.name: row for row in saved.files if row.checksum is not None}
    rows = {}
    for entry in data.files:
        row = done.get(entry.name)
        if row is None or entry.name == PG_CONTROL or row.reference is not None:
            continue
        size = row.size if row.original_size is None else row.original_size
        if size != entry.size or row.size != entry.size:
            continue
        if not entry.size and saved.backup.bundle:
            continue
        if pages and entry.page_check and entry.size and row.page_valid is None:
            continue
        same_time = row.timestamp == entry.mtime and not ahead.is_doubtful(row, saved)
        if delta or same_time:
            rows[entry.name] = _today(entry, row)
    return rows


def _today(entry: FileEntry, row: ManifestFile) -> ManifestFile:
    return row._replace(timestamp=entry.mtime, mode=entry.mode, user=entry.user, group=entry.group)


def _verified(
    stanza: str,
    pool: WorkerPool,
    saved: Manifest,
    rows: t.Iterable[ManifestFile],
    beat: t.Callable[[], None],
) -> set[str]:
    """Names of the files of which the repository gives back what was sent."""
    files = []
    for row in rows:
        place = stored(stanza, saved, row)
        if place is not None:
            files.append(
                VerifyFile(
                    row.name,
                    row.size,
                    row.checksum or "",
                    row.repo_checksum,
                    place,
                    not row.bundle_id,
                    row.block,
                )
            )
    good = {file.name for file in files}
    files.sort(key=lambda file: (file.stored.path, file.stored.offset))
    jobs = _jobs(Chain.of(stanza, saved), files)
    for event in pool.run(lambda _worker: next(jobs, None)):
        beat()
        if isinstance(event, Finished):
            for finding in event.result:
                log.detail("stored file %s is not what was sent", finding.path)
                good.discard(finding.name)
    return good


def _jobs(chain: Chain, files: t.Iterable[VerifyFile]) -> t.Iterator[FilesJob]:
    batch: list[VerifyFile] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.stored.size
        if size >= JOB_SIZE or len(batch) >= JOB_FILES:
            yield FilesJob(chain, tuple(batch))
            batch, size = [], 0
    if batch:
        yield FilesJob(chain, tuple(batch))


def _clean(storage: Storage, stanza: str, saved: Manifest, kept: t.Iterable[ManifestFile]) -> int:
    """Remove every file that holds nothing to keep; gives the highest bundle id that was there."""
    places = (stored(stanza, saved, row) for row in kept)
    needed = {place.path for place in places if place is not None}
    top = layout.label_path(stanza, saved.backup.label)
    # Until a newer one takes its place, what is saved is what there is.
    needed.add(layout.copy_of(layout.manifest_path(stanza, saved.backup.label)))
    bundles = layout.bundle_path(stanza, saved.backup.label, 0).rpartition("/")[0]
    highest = 0
    unneeded = []
    for path, info in files_below(storage, top):
        if path.startswith(bundles + "/") and info.name.isdigit():
            highest = max(highest, int(info.name))
        if path not in needed:
            unneeded.append(path)
    storage.remove_many(unneeded)
    return highest
