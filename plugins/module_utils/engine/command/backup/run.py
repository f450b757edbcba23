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
    EngineError,
    OptionInvalidValueError,
    TransportLostError,
)
from ...postgres.entries import DataDirectory
from ...postgres.server import BackupStart, BackupStop
from ...repository import (
    archive_info,
    backup_info,
    label,
    lock,
    manifest,
    reconstruct,
)
from ...repository.archive_info import ArchiveInfo
from ...repository.block_size import Rules
from ...repository.contents import PG_DATA, BackupFacts, Manifest, ManifestFile
from ...storage.base import Storage
from ...storage.open import prepare
from ...transform.compression import Framing, compress_type
from ...transform.pipeline import Encoding
from ...worker.pool import WorkerPool
from ...worker.progress import size_text
from .. import wal
from ..cipher import cipher_pass, new_sub_key
from ..cluster import open_node
from ..expire import expire
from ..latest import point_latest
from . import delta as time_stamps
from . import gap, resume
from .begin import check_identity, choose, remove_leftovers
from .checkpoint import Checkpoint
from .copy import CopiedFile, Outcome, worker_setup
from .copying import copy
from .finish import (
    Copied,
    StoredFiles,
    assemble,
    rows,
    rows_so_far,
    store_control,
    store_labels,
)
from .plan import NOTHING_KEPT, CopyPlan, Kept, Layout, bundle_rule, plan
from .result import BackupPreview, BackupResult
from .source import OnlineSource, Source, opened
from .wal_copy import store_wal

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
        extra = 1 if options.online and options.backup_standby != "n" else 0
        setup = worker_setup(opener, options, open_node)
        with (
            WorkerPool(options.process_max + extra, setup) as pool,
            contextlib.ExitStack() as stack,
        ):
            storage = stack.enter_context(opener.storage())
            source = stack.enter_context(opened(options))
            result = _Backup(options, repo, storage, source, locks).run(pool, wanted, started)
            if options.expire_auto:
                expire(storage, options, repo)
            return result


def preview(options: Options) -> BackupPreview:
    """What ``run`` would do at this moment; nothing is started, locked or written."""
    repo = options.repo()
    opener = prepare(repo, io_timeout=options.io_timeout)
    with opener.storage() as storage, opened(options) as source:
        locks = lock.Locks(options.exec_id or None)
        return _Backup(options, repo, storage, source, locks).preview(options.type or label.INCR)


class _Backup:
    """One run; holds what every step needs."""

    def __init__(
        self,
        options: Options,
        repo: RepoOptions,
        storage: Storage,
        source: Source,
        locks: lock.Locks,
    ) -> None:
        self.options = options
        self.repo = repo
        self.stanza = options.require_stanza()
        self.storage = storage
        self.source = source
        self.cluster = source.cluster
        self.locks = locks
        self.secret = cipher_pass(repo)

    def run(self, pool: WorkerPool, wanted: str, started: float) -> BackupResult:
        """The steps."""
        loading = archive_info.begin(self.storage, self.stanza, self.secret)
        found = reconstruct.load_reconstructed(self.storage, self.stanza, self.secret)
        archive = loading.result()
        info = found.info
        check_identity(self.cluster.control, info)
        self.source.check()
        begin = int(self.source.now())
        wanted = gap.type_after(
            self.storage, self.options, self.source, archive.current.archive_id, info, wanted
        )
        chosen = choose(self.storage, self.options, self.repo, found, wanted, begin)
        backup_type, name, prior, resumed = chosen
        remove_leftovers(self.storage, self.stanza, found, name)
        start = self.source.start(lambda names: self._wait_for(archive, names))
        # Not before: archive_command needs a connection, too, and there may be few.
        pool.begin()
        data = self.source.scan()
        copy_start = self._next_second()
        delta = self._delta(data, prior, start, copy_start)
        store = self._layout(name, prior, resumed, begin)
        kept = NOTHING_KEPT
        if resumed is not None:
            beat = self.source.keep_alive
            kept = resume.keep(
                self.storage, self.stanza, pool, data, resumed, delta=delta, beat=beat
            )
        files = Copied(data, self._plan(store, prior, data, kept, delta=delta), {})

        def made_of(
            lines: t.Sequence[ManifestFile], stop: BackupStop | None, ended: int
        ) -> Manifest:
            return assemble(
                data,
                lines,
                facts=self._facts(store, backup_type, prior, begin, copy_start, start, stop, ended),
                cluster_row=info.current,
                options=self.options,
                databases=self.source.databases() if ended else (),
                encoding=store.encoding,
                checksum_page=self._checksum_page(prior),
                standby=self.cluster.standby is not None,
                delta=delta,
            )

        checksum_page = self._checksum_page(prior)
        resumable = self.options.resume and backup_type == label.FULL
        checkpoint = Checkpoint(
            self.storage,
            self.stanza,
            info.cipher_pass,
            lambda: made_of(rows_so_far(files, checksum_page=checksum_page), None, 0),
            threshold=self.options.manifest_save_threshold,
            total=files.planned.size,
        )
        self._copy(pool, files, checkpoint if resumable else None)
        pool.close()
        extra = store_control(self.storage, store, self.cluster, files)
        stop = self.source.stop()
        ended = stop.timestamp if stop is not None else int(self.source.now())
        if start is not None and stop is not None:
            labels = store_labels(self.storage, store, stop, files)
            copies = self._archived(archive, store, data, start, stop)
            extra = extra.and_also(labels).and_also(copies)
        self.storage.wait(extra.completions)
        made = made_of(rows(files, extra.files, checksum_page=checksum_page), stop, ended)
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

    def preview(self, wanted: str) -> BackupPreview:
        """The first steps, up to what would be copied."""
        found = reconstruct.load_reconstructed(self.storage, self.stanza, self.secret)
        check_identity(self.cluster.control, found.info)
        self.source.check()
        begin = int(self.source.now())
        chosen = choose(self.storage, self.options, self.repo, found, wanted, begin)
        data = self.source.scan()
        delta = self._delta(data, chosen.prior, None, begin)
        store = self._layout(chosen.label, chosen.prior, chosen.resumed, begin)
        planned = self._plan(store, chosen.prior, data, NOTHING_KEPT, delta=delta)
        resumed = None if chosen.resumed is None else chosen.label
        return BackupPreview.of(chosen.backup_type, chosen.prior, resumed, data, planned)

    def _wait_for(self, archive: ArchiveInfo, names: t.Sequence[str]) -> None:
        wal.wait_for(
            self.storage,
            self.stanza,
            archive.current.archive_id,
            names,
            self.options.archive_timeout,
        )

    def _archived(
        self,
        archive: ArchiveInfo,
        store: Layout,
        data: DataDirectory,
        start: BackupStart,
        stop: BackupStop,
    ) -> StoredFiles:
        """Wait for the WAL that the backup needs, and with archive-copy store it in the backup."""
        if not self.options.archive_check or not isinstance(self.source, OnlineSource):
            return StoredFiles([], [])
        names = wal.segments(start, stop, self.source.facts.wal_segment_size)
        log.info("check archive for segment(s) %s:%s", names[0], names[-1])
        self._wait_for(archive, names)
        if not self.options.archive_copy:
            return StoredFiles([], [])
        log.info("copy segment(s) %s:%s to the backup", names[0], names[-1])
        return store_wal(
            self.storage,
            store,
            names,
            archive_id=archive.current.archive_id,
            archive_pass=archive.cipher_pass,
            version=self.cluster.control.version,
            root=next(path for path in data.paths if path.name == PG_DATA),
            timestamp=stop.timestamp,
        )

    def _delta(
        self,
        data: DataDirectory,
        prior: Manifest | None,
        start: BackupStart | None,
        copy_start: int,
    ) -> bool:
        """Whether files are compared by checksum; also where their times cannot be trusted."""
        if self.options.delta:
            return True
        reason = time_stamps.reason(
            data,
            prior,
            archive_start=start.wal_segment if start is not None else None,
            online=self.source.online,
            copy_start=copy_start,
        )
        if reason is None:
            return False
        log.warn("%s, enabling delta checksum", reason)
        return True

    def _next_second(self) -> int:
        """Wait until the second of the scan is over (repository reference, section 10, step 5).

        A file that changes after this is younger than what is recorded for it, so the next
        incremental backup sees the change.
        """
        now = self.source.now()
        time.sleep(1.0 - now % 1.0)
        return int(now) + (1 if self.source.online else 0)

    def _layout(
        self, name: str, prior: Manifest | None, resumed: Manifest | None, begin: int
    ) -> Layout:
        options = self.options
        if prior is None:
            level = options.compress_level
            if level is None:
                level = compress_type(options.compress_type).level
            key = resumed.cipher_pass if resumed is not None else new_sub_key(self.repo)
            encoding = Encoding(options.compress_type, level, key)
            framing = Framing.RAW if self.repo.block else Framing.WHOLE
        else:
            encoding, framing = prior.encoding, prior.bundle_framing
            before = prior.backup.label
            if encoding.compress_type != options.compress_type:
                _warn_of_fixed("compress-type", options.compress_type, before)
            elif options.compress_level not in (None, encoding.compress_level):
                _warn_of_fixed("compress-level", options.compress_level, before)
            if options.checksum_page not in (None, self._checksum_page(prior)):
                _warn_of_fixed("checksum-page", "ny"[bool(options.checksum_page)], before)
        return Layout(
            self.stanza,
            name,
            encoding,
            bundle_rule(self.repo),
            framing,
            (*prior.backup.references, name) if prior is not None else (name,),
            blocks=Rules.of(self.repo) if self.repo.block else None,
            started=begin,
        )

    def _plan(
        self,
        store: Layout,
        prior: Manifest | None,
        data: DataDirectory,
        kept: Kept,
        *,
        delta: bool,
    ) -> CopyPlan:
        standby = self.cluster.standby
        page_size = self.cluster.control.page_size if self._checksum_page(prior) else None
        return plan(
            data,
            store,
            primary=self.cluster.primary.pg.key,
            standby=standby.pg.key if standby is not None else None,
            page_size=page_size,
            prior=prior,
            delta=delta,
            kept=kept,
        )

    def _copy(self, pool: WorkerPool, files: Copied, checkpoint: Checkpoint | None) -> None:
        def collect(done: t.Sequence[CopiedFile]) -> None:
            files.copied.update((row.name, row) for row in done)
            if checkpoint is not None:
                checkpoint.add(sum(row.size for row in done if row.outcome is Outcome.COPIED))

        try:
            copy(pool, files.planned, self.source, self.locks, collect)
        except TransportLostError:
            # It was tried for long enough to reach the repository.
            raise
        except BaseException:
            for event in pool.abandon():
                collect(event.result)
            self._save_rest(checkpoint)
            raise

    def _save_rest(self, checkpoint: Checkpoint | None) -> None:
        """Let another run go on where this one ends."""
        try:
            if checkpoint is not None:
                checkpoint.save()
        except EngineError as cause:
            log.detail("unable to save what the backup has so far: %s", cause.message)

    def _checksum_page(self, prior: Manifest | None) -> bool:
        if prior is not None and prior.options.checksum_page is not None:
            return prior.options.checksum_page
        if self.options.checksum_page is not None:
            return self.options.checksum_page
        return self.source.checksum_page

    def _facts(
        self,
        store: Layout,
        backup_type: str,
        prior: Manifest | None,
        begin: int,
        copy_start: int,
        start: BackupStart | None,
        stop: BackupStop | None,
        ended: int,
    ) -> BackupFacts:
        return BackupFacts(
            label=store.label,
            backup_type=backup_type,
            timestamp_start=begin,
            timestamp_copy_start=copy_start,
            timestamp_stop=ended,
            references=store.references,
            prior=prior.backup.label if prior is not None else None,
            archive_start=start.wal_segment if start is not None else None,
            archive_stop=stop.wal_segment if stop is not None else None,
            lsn_start=start.lsn if start is not None else None,
            lsn_stop=stop.lsn if stop is not None else None,
            bundle=self.repo.bundle,
            bundle_raw=store.bundle_framing is Framing.RAW,
            block_incr=self.repo.block,
        )


def _warn_of_fixed(option: str, wanted: object, label_of_prior: str) -> None:
    log.warn(
        "diff/incr backup cannot alter %s option to '%s', reset to value in %s",
        option,
        wanted,
        label_of_prior,
    )
