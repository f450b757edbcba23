# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup, step by step: what a run of the command does between its locks and its expire."""

from __future__ import annotations

import time
import typing as t

from ... import log, resident
from ...config.options import Options, RepoOptions
from ...errors import (
    EngineError,
    TransportLostError,
)
from ...postgres.entries import DataDirectory
from ...postgres.server import BackupStart, BackupStop
from ...postgres.wal import lsn_parse
from ...repository import (
    archive_info,
    backup_info,
    label,
    lock,
    manifest,
    reconstruct,
)
from ...repository.archive_info import ArchiveInfo
from ...repository.backup_info import BackupEntry, BackupInfo
from ...repository.contents import PG_DATA, Manifest
from ...storage.base import Storage
from ...worker.pool import WorkerPool
from ...worker.progress import size_text
from .. import alive, wal
from ..cipher import cipher_pass
from ..latest import point_latest
from . import ahead, gap, resume, whole
from . import delta as time_stamps
from .begin import Chosen, check_identity, choose, remove_leftovers
from .checkpoint import Checkpoint
from .copy import CopiedFile, CopyJob, Outcome
from .copying import copy
from .finish import (
    Copied,
    StoredFiles,
    store_control,
    store_labels,
)
from .plan import NOTHING_KEPT, CopyPlan, Kept, Layout, Pages, plan
from .record import Begun, Ended, Record
from .result import BackupPreview, BackupResult
from .second import Second
from .source import OnlineSource, Source
from .store import directories, store_of
from .wal_copy import store_wal
from .whose import Whose, whose


class Known(t.NamedTuple):
    """What the repository has to say of the stanza when the backup is listed."""

    archive: ArchiveInfo
    info: BackupInfo


class Backup:
    """One run; holds what every step needs."""

    known: Known | None = None
    """Of a repository that had nothing to be mended when the backup began."""

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

    def run(self, pool: WorkerPool, wanted: str, started: float, *, borrows: bool) -> BackupResult:
        """The steps. Whoever ``borrows`` knows how much there is to copy before workers connect."""
        options = self.options
        if not borrows and self._archives_without_us():
            pool.begin(Whose.OWN)
        loading = archive_info.begin(self.storage, self.stanza, self.secret)
        found = reconstruct.load_reconstructed(self.storage, self.stanza, self.secret)
        archive = loading.result()
        info = found.info
        check_identity(self.cluster.control, info)
        alive.refuse(self.storage, self.options, found)
        self.source.check()
        wanted = gap.type_after(self.storage, self.options, self.source, archive, info, wanted)
        chosen = choose(self.storage, self.options, self.repo, found, wanted, self.source.now)
        remove_leftovers(self.storage, self.stanza, found, chosen)
        record = self._record(info, chosen)
        store = record.store
        self.storage.expect_paths(directories(store, chosen.backup_type))
        checkpoint = Checkpoint(self.storage, self.stanza, info.cipher_pass, record.announcement())
        databases = self.source.databases()
        start = self.source.start(lambda names: self._wait_for(archive, names))
        if not borrows or chosen.resumed is not None:
            pool.begin(Whose.OWN)
        data = self.source.scan()
        second = Second.now(self.source)
        delta = self._delta(data, chosen.prior or chosen.resumed, start, second.next)
        begun = Begun(start, second.next, delta)
        kept = NOTHING_KEPT

        def beat() -> None:
            self.source.keep_alive()
            checkpoint.beat()

        if chosen.resumed is not None:
            kept = resume.keep(
                self.storage,
                self.stanza,
                pool,
                data,
                chosen.resumed,
                delta=delta,
                pages=record.checksum_page,
                beat=beat,
            )
        planned = self._plan(record, data, kept, begun, second.fresh)
        pool.begin(whose(planned.size))
        early = ahead.files(data, chosen.begin) if record.standby else set()
        files = Copied(data, planned, {}, early)

        def made_so_far() -> Manifest:
            if record.standby:
                # What a standby gave that was promoted meanwhile must not be gone on with.
                self.source.check_roles()
            return record.so_far(files, begun)

        if options.resume and chosen.backup_type == label.FULL:
            checkpoint.collect(
                made_so_far,
                threshold=options.manifest_save_threshold,
                total=files.planned.size,
            )
        self._copy(pool, files, checkpoint, beat, second)
        pool.close()
        self.source.check_roles()
        extra = store_control(self.storage, store, self.cluster, files)
        stop = self.source.stop()
        timestamp = stop.timestamp if stop is not None else int(self.source.now())
        if start is not None and stop is not None:
            labels = store_labels(self.storage, store, stop, files)
            copies = self._archived(archive, store, data, start, stop)
            extra = extra.and_also(labels).and_also(copies)
        ended = Ended(stop, timestamp, databases)
        made = record.whole(files, extra.files, begun, ended)
        entry = self._list(made, info, extra, checkpoint)
        if found.is_sound:
            self.known = Known(archive, info.with_backup(entry))
        log.info("new backup label = %s", chosen.label)
        point_latest(self.storage, self.repo, self.stanza, chosen.label)
        log.info(
            "%s backup size = %s, file total = %d",
            chosen.backup_type,
            size_text(entry.size_delta),
            len(made.files),
        )
        return BackupResult.of(entry, len(made.files), time.monotonic() - started)

    def _list(
        self, made: Manifest, info: BackupInfo, extra: StoredFiles, checkpoint: Checkpoint
    ) -> BackupEntry:
        """Make it a backup: its manifest, and when that is durable its line in backup.info."""
        manifest.validate(made)
        checking = whole.Check(self.storage, self.stanza, made, but=extra.files)
        saving = manifest.begin_save(
            self.storage,
            self.stanza,
            made,
            info.cipher_pass,
            after=[*extra.completions, checking],
            announcement=checkpoint.announcement,
        )
        entry = manifest.entry_for(made)
        self.storage.wait(
            backup_info.begin_save(
                self.storage,
                self.stanza,
                info.with_backup(entry),
                self.secret,
                after=[saving],
            )
        )
        return entry

    def _archives_without_us(self) -> bool:
        """Whether nothing that the start of the backup waits for needs a further connection, of
        which a server may grant few: archive_command, where no archiver has one already.
        """
        if not self.options.archive_check or not self.source.online:
            return True
        return resident.answers(self.options.archiver_path, self.stanza)

    def preview(self, wanted: str) -> BackupPreview:
        """The first steps, up to what would be copied."""
        loading = archive_info.begin(self.storage, self.stanza, self.secret)
        found = reconstruct.load_reconstructed(self.storage, self.stanza, self.secret)
        archive = loading.result()
        check_identity(self.cluster.control, found.info)
        self.source.check()
        wanted = gap.type_after(
            self.storage, self.options, self.source, archive, found.info, wanted
        )
        chosen = choose(self.storage, self.options, self.repo, found, wanted, self.source.now)
        data = self.source.scan()
        delta = self._delta(data, chosen.prior or chosen.resumed, None, chosen.begin)
        record = self._record(found.info, chosen)
        planned = self._plan(record, data, NOTHING_KEPT, Begun(None, chosen.begin, delta))
        resumed = None if chosen.resumed is None else chosen.label
        return BackupPreview.of(chosen.backup_type, chosen.prior, resumed, data, planned)

    def _record(self, info: BackupInfo, chosen: Chosen) -> Record:
        checksum_page = self._checksum_page(chosen.prior)
        return Record(
            self.options,
            self.repo,
            info.current,
            chosen,
            store_of(self.options, self.repo, chosen, checksum_page=checksum_page),
            checksum_page=checksum_page,
            standby=self.cluster.standby is not None,
        )

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

    def _plan(
        self,
        record: Record,
        data: DataDirectory,
        kept: Kept,
        begun: Begun,
        fresh: t.Container[int] = (),
    ) -> CopyPlan:
        standby = self.cluster.standby
        start = begun.start
        control = self.cluster.control
        return plan(
            data,
            record.store,
            primary=self.cluster.primary.pg.key,
            standby=standby.pg.key if standby is not None else None,
            pages=Pages(control.page_size, control.segment_pages) if record.checksum_page else None,
            prior=record.chosen.prior,
            delta=begun.delta,
            kept=kept,
            replayed_from=lsn_parse(start.lsn) if start is not None else None,
            fresh=fresh,
            processes=self.options.process_max,
        )

    def _copy(
        self,
        pool: WorkerPool,
        files: Copied,
        checkpoint: Checkpoint,
        beat: t.Callable[[], None],
        second: Second,
    ) -> None:
        def handed(job: CopyJob) -> None:
            if job.fresh and not second.is_over():
                files.early.update(file.name for file in job.files)

        def collect(done: t.Sequence[CopiedFile]) -> None:
            files.copied.update((row.name, row) for row in done)
            checkpoint.add(sum(row.size for row in done if row.outcome is Outcome.COPIED))

        try:
            copy(
                pool,
                files.planned,
                self.source.cluster,
                self.locks,
                collect,
                beat,
                handed,
                checkpoint.show,
            )
        except TransportLostError:
            # It was tried for long enough to reach the repository.
            raise
        except BaseException as ending:
            for event in pool.abandon():
                collect(event.result)
            self._save_rest(checkpoint, in_haste=not isinstance(ending, Exception))
            raise

    def _save_rest(self, checkpoint: Checkpoint, *, in_haste: bool) -> None:
        """Let another run go on where this one ends. A signal has no further one heard, so that a
        server that is away is not waited for then, ``in_haste``.
        """
        try:
            if not in_haste:
                checkpoint.save()
            elif not self.storage.ended:
                with self.storage.at_once():
                    checkpoint.save()
        except EngineError as cause:
            log.detail("unable to save what the backup has so far: %s", cause.message)

    def _checksum_page(self, prior: Manifest | None) -> bool:
        if prior is not None and prior.options.checksum_page is not None:
            return prior.options.checksum_page
        if self.options.checksum_page is not None:
            return self.options.checksum_page
        return self.source.checksum_page
