# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup: copy a running cluster into a repository (repository reference, sections 9 to 12).

Lock, look at what is there, start, scan, copy, stop, wait for the WAL, and only then the manifest
that makes it a backup and the line in backup.info that lists it.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ... import log
from ...config.options import Options, RepoOptions
from ...errors import (
    ArchiveCommandInvalidError,
    ArchiveDisabledError,
    BackupMismatchError,
    FeatureNotSupportedError,
    OptionInvalidValueError,
)
from ...postgres.entries import DataDirectory
from ...postgres.server import BackupStart, BackupStop, ServerFacts
from ...repository import (
    archive_info,
    backup_info,
    label,
    layout,
    lock,
    manifest,
    reconstruct,
)
from ...repository.backup_info import BackupInfo
from ...repository.contents import BackupFacts, Manifest
from ...repository.reconstruct import Reconstruction
from ...storage.base import Storage
from ...storage.open import prepare
from ...transform.compression import Framing, compress_type
from ...transform.pipeline import Encoding
from ...worker.pool import Report, WorkerPool
from ...worker.progress import Progress, size_text
from .. import wal
from ..cipher import cipher_pass, new_sub_key
from ..cluster import Cluster, connected, open_node
from ..expire import expire
from ..latest import point_latest
from .copy import CopiedFile, Outcome, worker_setup
from .finish import Copied, assemble, store_control, store_labels
from .plan import CopyPlan, Layout, bundle_rule, plan
from .result import BackupResult

TYPES = (label.FULL, label.DIFF, label.INCR)


def run(options: Options) -> BackupResult:
    """Take one backup; everything that is raised leaves nothing listed that is not whole."""
    stanza = options.require_stanza()
    repo = options.repo()
    wanted = options.type or label.INCR
    if wanted not in TYPES:
        raise OptionInvalidValueError(f"'{wanted}' is not allowed for 'type' option")
    lock.check_stop(options.lock_path, stanza)
    started = time.monotonic()
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(options.lock_path, stanza, [lock.LockType.BACKUP], [repo.key])
        opener = prepare(repo, io_timeout=options.io_timeout)
        # One more process reads from the primary while the others read from the standby.
        extra = 1 if options.backup_standby != "n" else 0
        setup = worker_setup(opener, options, open_node)
        with (
            WorkerPool(options.process_max + extra, setup) as pool,
            contextlib.ExitStack() as stack,
        ):
            storage = stack.enter_context(opener.open())
            cluster = stack.enter_context(connected(options, standby=options.backup_standby))
            result = _Backup(options, repo, storage, cluster, locks).run(pool, wanted, started)
            if options.expire_auto:
                expire(storage, options, repo)
            return result


class _Backup:
    """One run; holds what every step needs."""

    def __init__(
        self,
        options: Options,
        repo: RepoOptions,
        storage: Storage,
        cluster: Cluster,
        locks: lock.Locks,
    ) -> None:
        self.options = options
        self.repo = repo
        self.stanza = options.require_stanza()
        self.storage = storage
        self.cluster = cluster
        self.locks = locks
        self.secret = cipher_pass(repo)
        self.facts = cluster.primary.db.facts()

    def run(self, pool: WorkerPool, wanted: str, started: float) -> BackupResult:
        """The steps."""
        loading = archive_info.begin(self.storage, self.stanza, self.secret)
        found = reconstruct.load_reconstructed(self.storage, self.stanza, self.secret)
        archive = loading.result()
        info = found.info
        self._check_identity(info)
        check_archiving(self.facts, self.options)
        archive_id = archive.current.archive_id
        begin = int(self.cluster.primary.db.now())
        backup_type, prior = self._prior(info, wanted)
        name = label.new_label(
            backup_type,
            begin,
            prior=prior.backup.label if prior else None,
            existing=[*found.on_disk, *info.backups],
        )
        self._remove_leftovers(found)
        start = self._start(archive_id, archive.cipher_pass)
        data = self._scan()
        copy_start = self._next_second()
        store, planned = self._plan(name, prior, data, begin)
        copied = self._copy(pool, planned)
        files = Copied(data, planned, copied)
        control = store_control(self.storage, store, self.cluster, files)
        stop = self._stop()
        labels = store_labels(self.storage, store, stop, files)
        self.storage.wait([*control.completions, *labels.completions])
        if self.options.archive_check:
            segments = wal.segments(start, stop, self.facts.wal_segment_size)
            log.info("check archive for segment(s) %s:%s", segments[0], segments[-1])
            wal.wait_for(
                self.storage, self.stanza, archive_id, segments, self.options.archive_timeout
            )
        made = assemble(
            files,
            [*control.files, *labels.files],
            facts=self._facts(name, backup_type, prior, begin, copy_start, start, stop),
            cluster_row=info.current,
            options=self.options,
            databases=self.cluster.primary.db.databases(),
            encoding=store.encoding,
            checksum_page=self._checksum_page(prior),
            standby=self.cluster.standby is not None,
        )
        manifest.validate(made)
        log.info("new backup label = %s", name)
        saving = manifest.begin_save(self.storage, self.stanza, made, info.cipher_pass)
        entry = manifest.entry_for(made)
        info = info.with_backup(entry)
        backup_info.begin_save(self.storage, self.stanza, info, self.secret, after=saving).wait()
        point_latest(self.storage, self.repo, self.stanza, name)
        log.info(
            "%s backup size = %s, file total = %d",
            backup_type,
            size_text(entry.size_delta),
            len(made.files),
        )
        return BackupResult.of(entry, len(made.files), time.monotonic() - started)

    def _check_identity(self, info: BackupInfo) -> None:
        control, current = self.cluster.control, info.current
        if (control.system_id, control.version) != (current.system_id, current.version):
            raise BackupMismatchError(
                f"the cluster is version {control.version}, system-id {control.system_id}, but the "
                f"stanza is of version {current.version}, system-id {current.system_id}",
                hint="is this the right stanza? after a major upgrade run stanza-upgrade.",
            )

    def _prior(self, info: BackupInfo, wanted: str) -> tuple[str, Manifest | None]:
        """The backup to build on: the newest full for a diff, the newest of all for an incr."""
        if wanted == label.FULL:
            return wanted, None
        candidates = [
            entry
            for entry in info.backups.values()
            if entry.db_id == info.current_id
            and (wanted == label.INCR or entry.backup_type == label.FULL)
        ]
        if not candidates:
            log.warn("no prior backup exists, %s backup has been changed to full", wanted)
            return label.FULL, None
        name = candidates[-1].label
        prior = manifest.load(self.storage, self.stanza, name, info.cipher_pass)
        log.info("last backup label = %s, version = %s", name, prior.writer_version)
        return wanted, prior

    def _remove_leftovers(self, found: Reconstruction) -> None:
        """Directories of backups that were not finished; nothing ever refers to their files."""
        for name, has_manifest in found.on_disk.items():
            if not has_manifest:
                log.warn("remove aborted backup %s", name)
                self.storage.remove_tree(layout.label_path(self.stanza, name))

    def _start(self, archive_id: str, archive_pass: str | None) -> BackupStart:
        """Begin the backup on the primary; with archive-check, prove first that WAL arrives."""
        db = self.cluster.primary.db
        before = db.current_wal_segment() if self.options.archive_check else None
        log.info(
            "execute non-exclusive backup start: backup begins after the %s checkpoint completes",
            "requested immediate" if self.options.start_fast else "next regular",
        )
        text = f"pgBackRest backup started at {time.strftime('%Y-%m-%d %H:%M:%S')}"
        start = db.start_backup(text, self.options.start_fast)
        log.info("backup start archive = %s, lsn = %s", start.wal_segment, start.lsn)
        if self.cluster.standby is not None:
            log.info("wait for replay on the standby to reach %s", start.lsn)
            reached = self.cluster.standby.db.wait_replay(start.lsn, self.options.archive_timeout)
            log.info("replay on the standby reached %s", reached)
        if before is not None:
            if before == start.wal_segment:
                db.create_restore_point("pgBackRest Archive Check")
                db.switch_wal()
            log.info(
                "check archive for %ssegment %s", "prior " * (before != start.wal_segment), before
            )
            wal.wait_for(
                self.storage, self.stanza, archive_id, [before], self.options.archive_timeout
            )
        return start

    def _scan(self) -> DataDirectory:
        return self.cluster.primary.scan(
            online=True,
            exclude=self.options.exclude,
            tablespaces=self.cluster.primary.db.tablespaces(),
        )

    def _next_second(self) -> int:
        """Wait until the second of the scan is over (repository reference, section 10, step 5).

        A file that changes after this is younger than what is recorded for it, so the next
        incremental backup sees the change.
        """
        now = self.cluster.primary.db.now()
        time.sleep(1.0 - now % 1.0)
        return int(now) + 1

    def _plan(
        self, name: str, prior: Manifest | None, data: DataDirectory, begin: int
    ) -> tuple[Layout, CopyPlan]:
        options = self.options
        if prior is None:
            level = options.compress_level
            if level is None:
                level = compress_type(options.compress_type).level
            encoding = Encoding(options.compress_type, level, new_sub_key(self.repo))
            framing = Framing.RAW if self.repo.block else Framing.WHOLE
        else:
            encoding, framing = prior.encoding, prior.bundle_framing
            if encoding.compress_type != options.compress_type:
                log.warn(
                    "%s backup cannot alter compress-type option to '%s', reset to value in %s",
                    "diff/incr",
                    options.compress_type,
                    prior.backup.label,
                )
        store = Layout(
            self.stanza,
            name,
            encoding,
            bundle_rule(self.repo),
            framing,
            _references(prior, name),
            blocks=self.repo.block,
            started=begin,
        )
        standby = self.cluster.standby
        page_size = self.cluster.control.page_size if self._checksum_page(prior) else None
        planned = plan(
            data,
            store,
            primary=self.cluster.primary.pg.key,
            standby=standby.pg.key if standby is not None else None,
            page_size=page_size,
            prior=prior,
            delta=options.delta,
        )
        return store, planned

    def _checksum_page(self, prior: Manifest | None) -> bool:
        if prior is not None and prior.options.checksum_page is not None:
            return prior.options.checksum_page
        if self.options.checksum_page is not None:
            return self.options.checksum_page
        return self.cluster.control.data_checksums

    def _copy(self, pool: WorkerPool, planned: CopyPlan) -> dict[str, CopiedFile]:
        """Hand out the jobs and collect what the workers found."""
        queues = {node: list(reversed(jobs)) for node, jobs in planned.jobs.items()}
        primary = self.cluster.primary.pg.key
        both = self.cluster.standby is not None

        def next_job(worker: int) -> t.Any:
            # With a standby one process alone reads from the primary, which bounds the load there.
            if both and worker == 1:
                queue = queues.get(primary)
            elif both:
                queue = next((q for node, q in queues.items() if node != primary), None)
            else:
                queue = queues.get(primary)
            return queue.pop() if queue else None

        copied: dict[str, CopiedFile] = {}
        progress = Progress(planned.size)
        for event in pool.run(next_job):
            if isinstance(event, Report):
                line = progress.add(event.size)
                if line is not None:
                    self.locks.progress(line.total, line.done)
                    log.info("backup progress: %s", line)
                continue
            for file in event.result:
                copied[file.name] = file
                _log_file(event.worker, file)
        return copied

    def _stop(self) -> BackupStop:
        log.info("execute non-exclusive backup stop and wait for all WAL segments to archive")
        stop = self.cluster.primary.db.stop_backup()
        log.info("backup stop archive = %s, lsn = %s", stop.wal_segment, stop.lsn)
        return stop

    def _facts(
        self,
        name: str,
        backup_type: str,
        prior: Manifest | None,
        begin: int,
        copy_start: int,
        start: BackupStart,
        stop: BackupStop,
    ) -> BackupFacts:
        return BackupFacts(
            label=name,
            backup_type=backup_type,
            timestamp_start=begin,
            timestamp_copy_start=copy_start,
            timestamp_stop=stop.timestamp,
            references=_references(prior, name),
            prior=prior.backup.label if prior is not None else None,
            archive_start=start.wal_segment,
            archive_stop=stop.wal_segment,
            lsn_start=start.lsn,
            lsn_stop=stop.lsn,
            bundle=self.repo.bundle,
            bundle_raw=prior.backup.bundle_raw if prior is not None else self.repo.block,
            block_incr=self.repo.block,
        )


def _references(prior: Manifest | None, name: str) -> tuple[str, ...]:
    """The labels of the chain; block maps count in them."""
    return (*prior.backup.references, name) if prior is not None else (name,)


def check_archiving(facts: ServerFacts, options: Options) -> None:
    """A backup needs its WAL: refuse at once where the server would not archive it."""
    if not options.archive_check:
        return
    if facts.archive_mode == "off":
        raise ArchiveDisabledError(
            "archive_mode must be enabled",
            hint="set archive_mode=on and restart PostgreSQL; --no-archive-check backs up without.",
        )
    if facts.archive_mode == "always" and options.archive_mode_check:
        raise FeatureNotSupportedError(
            "archive_mode=always not supported",
            hint="set archive_mode=on, or archive-mode-check=n if each host has its own stanza.",
        )
    if not any(name in facts.archive_command for name in ("pgsftp", "pgbackrest")):
        raise ArchiveCommandInvalidError(
            f"archive_command '{facts.archive_command or '[null]'}' must contain pgsftp or "
            "pgbackrest",
            hint="set archive_command='pgsftp --stanza=NAME archive-push %p' and reload.",
        )


def _log_file(worker: int, file: CopiedFile) -> None:
    extra = {"process_id": worker}
    if file.outcome is Outcome.VANISHED:
        log.detail("skip file removed by database %s", file.name, extra=extra)
        return
    verb = "match file from prior backup" if file.outcome is Outcome.UNCHANGED else "backup file"
    log.detail("%s %s (%s)", verb, file.name, size_text(file.size), extra=extra)
    if file.page_misaligned:
        log.warn(
            "page misalignment in file %s: its size is no multiple of the page size", file.name
        )
    elif file.page_valid is False:
        pages = ", ".join(
            str(page) if isinstance(page, int) else f"{page[0]}-{page[1]}"
            for page in file.page_errors
        )
        log.warn("invalid page checksum(s) found in file %s at page(s) %s", file.name, pages)
