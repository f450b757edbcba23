# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restore: bring a backup back as a data directory (repository reference, section 15)."""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import asdict, dataclass
from datetime import datetime

from ... import log
from ...config.options import Options, RepoOptions
from ...errors import BackupSetInvalidError, OptionInvalidValueError, PathMissingError
from ...postgres import recovery
from ...repository import backup_info, lock, manifest
from ...repository.backup_info import BackupEntry, BackupInfo
from ...repository.contents import Manifest
from ...storage.base import Storage
from ...storage.open import Opener, prepare
from ...worker.pool import Report, WorkerPool
from ...worker.progress import Progress, size_text
from ..cipher import cipher_pass
from .command_line import restore_command
from .copy import Keep, worker_setup
from .owner import Owners
from .plan import RestorePlan, places, plan
from .target import Target, is_data_directory, refuse_running

TYPES = ("default", "immediate", "lsn", "name", "none", "preserve", "standby", "time", "xid")


# What --type=preserve leaves as it is.
PRESERVED = ("postgresql.auto.conf", "recovery.signal", "standby.signal")


@dataclass(frozen=True)
class RestoreResult:
    """A data directory that can be started. Sizes in bytes, times in seconds."""

    label: str
    type: str
    path: str
    size: int
    size_fetched: int
    file_total: int
    files_fetched: int
    files_removed: int
    duration: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def run(options: Options) -> RestoreResult:
    """Restore one backup; a failure leaves a directory that PostgreSQL refuses to start."""
    stanza = options.require_stanza()
    repo = options.repo()
    restore_type = options.type or "default"
    if restore_type not in TYPES:
        raise OptionInvalidValueError(f"'{restore_type}' is not allowed for 'type' option")
    started = time.monotonic()
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(options.lock_path, stanza, [lock.LockType.RESTORE], [repo.key])
        pg_data = options.pg.path.rstrip("/")
        refuse_running(pg_data)
        reuse = _reuse(options, pg_data)
        _refuse_early(pg_data, reuse)
        opener = prepare(repo, io_timeout=options.io_timeout)
        with WorkerPool(options.process_max, worker_setup(opener)) as pool:
            return _restore(options, repo, opener, pool, locks, restore_type, reuse, started)


class Reuse(t.NamedTuple):
    """What may happen to files that are there: replaced when they differ, or always."""

    delta: bool
    force: bool

    @property
    def any(self) -> bool:
        """Whether a directory that is not empty is acceptable."""
        return self.delta or self.force

    @property
    def keep(self) -> Keep:
        """Which existing files need not be fetched."""
        if not self.delta:
            return Keep.NONE
        return Keep.SAME_SIZE_AND_TIME if self.force else Keep.SAME_CHECKSUM


def _reuse(options: Options, pg_data: str) -> Reuse:
    reuse = Reuse(options.delta, options.force)
    if reuse.any and not is_data_directory(pg_data):
        if os.path.isdir(pg_data) and os.listdir(pg_data):
            log.warn(
                "--delta or --force specified but unable to find 'PG_VERSION' or 'backup.manifest' "
                "in '%s' to confirm that this is a valid $PGDATA directory; they have been "
                "disabled, and the restore will be aborted if any files exist there",
                pg_data,
            )
        return Reuse(False, False)
    return reuse


def _refuse_early(pg_data: str, reuse: Reuse) -> None:
    """What needs no repository to be refused is refused before one is asked."""
    if not reuse.any and os.path.isdir(pg_data):
        Target.refuse_not_empty(pg_data)
    parent = os.path.dirname(pg_data)
    if not os.path.isdir(pg_data) and not os.path.isdir(parent):
        raise PathMissingError(
            f"unable to restore to '{pg_data}': '{parent}' does not exist",
            hint="is pg1-path right? the restore makes the data directory, not its parents.",
        )


def _restore(
    options: Options,
    repo: RepoOptions,
    opener: Opener,
    pool: WorkerPool,
    locks: lock.Locks,
    restore_type: str,
    reuse: Reuse,
    started: float,
) -> RestoreResult:
    stanza = options.require_stanza()
    with opener.open() as storage:
        entry, contents = _load(storage, options, repo)
    log.info(
        "repo%d: restore backup set %s, recovery will start at %s",
        repo.key,
        entry.label,
        datetime.fromtimestamp(entry.timestamp_start).strftime("%Y-%m-%d %H:%M:%S"),
    )
    where = places(contents, options)
    owners = Owners(where.pg_data)
    target = Target(contents, where, owners)
    preserve = restore_type == "preserve"
    work = plan(contents, where, owners, stanza=stanza, keep=reuse.keep, preserve=preserve)
    removed = 0
    if reuse.any:
        target.remove_control()
        removed = target.clean(preserve=PRESERVED if preserve else ())
    else:
        target.refuse_unless_empty()
    target.make_directories()
    target.mark(manifest.render(contents))
    target.make_empty(work.empty)
    fetched, fetched_size = _copy(pool, work, locks)
    _write_recovery(target, contents, options, restore_type)
    target.finish(online=contents.options.online)
    log.info("restore size = %s, file total = %d", size_text(work.size), work.file_total)
    return RestoreResult(
        label=entry.label,
        type=restore_type,
        path=where.pg_data,
        size=work.size,
        size_fetched=fetched_size,
        file_total=work.file_total,
        files_fetched=fetched,
        files_removed=removed,
        duration=round(time.monotonic() - started, 3),
    )


def _load(storage: Storage, options: Options, repo: RepoOptions) -> tuple[BackupEntry, Manifest]:
    stanza = options.require_stanza()
    info = backup_info.load(storage, stanza, cipher_pass(repo))
    entry = select(info, options.set)
    return entry, manifest.load(storage, stanza, entry.label, info.cipher_pass)


def select(info: BackupInfo, wanted: str | None) -> BackupEntry:
    """The backup to restore: the newest of the current cluster, or the one that is named.

    Raises BackupSetInvalidError when there is none.
    """
    if wanted is not None and wanted != "latest":
        try:
            return info.backups[wanted]
        except KeyError:
            raise BackupSetInvalidError(
                f"backup set {wanted} is not valid",
                hint="the info command lists the backups that there are.",
            ) from None
    if not info.backups:
        raise BackupSetInvalidError(
            "no backup set found to restore", hint="has a backup been taken for this stanza?"
        )
    latest = info.backups[max(info.backups)]
    if latest.db_id != info.current_id:
        raise BackupSetInvalidError(
            f"the latest backup set {latest.label} is of a former cluster of this stanza",
            hint="name it with --set to restore it all the same.",
        )
    return latest


def _copy(pool: WorkerPool, work: RestorePlan, locks: lock.Locks) -> tuple[int, int]:
    """Have the workers fetch everything; the number of files fetched and their size."""
    jobs = list(reversed(work.jobs))
    progress = Progress(work.size)
    fetched = size = 0
    for event in pool.run(lambda worker: jobs.pop() if jobs else None):
        if isinstance(event, Report):
            line = progress.add(event.size)
            if line is not None:
                locks.progress(line.total, line.done)
                log.info("restore progress: %s", line)
            continue
        for file in event.result:
            extra = {"process_id": event.worker}
            if file.fetched:
                fetched += 1
                size += file.size
                log.detail("restore file %s (%s)", file.name, size_text(file.size), extra=extra)
            else:
                log.detail("restore file %s - exists and matches backup", file.name, extra=extra)
    return fetched, size


def _write_recovery(
    target: Target, contents: Manifest, options: Options, restore_type: str
) -> None:
    if restore_type == "preserve":
        return
    version = contents.db.version
    settings = recovery.recovery_settings(options, version, restore_command(options))
    name = recovery.config_file(version)
    path = f"{target.pg_data}/{name}"
    now = datetime.now()
    if name == recovery.AUTO_CONF:
        text = recovery.edit_auto_conf(_read_text(path), settings, now)
    else:
        text = recovery.settings_text(settings, now)
    log.info("write updated %s", path)
    target.write_file(name, text)
    signal = recovery.signal_file(version, restore_type)
    if signal is not None:
        target.write_file(signal, "")


def _read_text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None
