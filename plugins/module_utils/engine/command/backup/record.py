# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a backup at each moment of its life: announced, so far, and whole."""

from __future__ import annotations

import dataclasses
import typing as t

from ...config.options import Options, RepoOptions
from ...errors import AssertError
from ...postgres.entries import DataDirectory, FileEntry, PathEntry
from ...postgres.server import BackupStart, BackupStop
from ...postgres.server import Database as ServerDatabase
from ...repository.backup_info import BackupDb
from ...repository.contents import (
    EMPTY_SHA1,
    PG_DATA,
    BackupFacts,
    Database,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestOptions,
)
from ...transform.compression import Framing, compress_type
from ...transform.pipeline import Encoding
from .. import alive
from .begin import Chosen
from .copy import Outcome
from .finish import Copied
from .plan import Layout, manifest_links, manifest_paths, manifest_targets, reference


class Begun(t.NamedTuple):
    """What is settled when the copy starts."""

    start: BackupStart | None
    """None for a cluster that is not running."""
    copy_start: int
    """Seconds since 1970 by the cluster's clock."""
    delta: bool


class Ended(t.NamedTuple):
    """What is settled when the copy has ended."""

    stop: BackupStop | None
    timestamp: int
    """Seconds since 1970 by the cluster's clock."""
    databases: t.Sequence[ServerDatabase]


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of a backup from its beginning on, and stands in each of its manifests."""

    options: Options
    repo: RepoOptions
    cluster_row: BackupDb
    chosen: Chosen
    store: Layout
    checksum_page: bool
    standby: bool
    """Whether files are read from a standby."""

    def announcement(self) -> Manifest:
        """What shows that the backup is being made, before it is known what it will hold."""
        if self.chosen.resumed is not None:
            return dataclasses.replace(self.chosen.resumed, annotation=alive.mark(self.options))
        nothing = DataDirectory(PG_DATA, paths=[PathEntry(PG_DATA, 0o700, None, None)])
        return self._made_of(nothing, (), Begun(None, self.chosen.begin, self.options.delta), None)

    def so_far(self, files: Copied, begun: Begun) -> Manifest:
        """What another run may go on with."""
        lines = rows_so_far(files, checksum_page=self.checksum_page)
        return self._made_of(files.data, lines, begun, None)

    def whole(
        self, files: Copied, extra: t.Sequence[ManifestFile], begun: Begun, ended: Ended
    ) -> Manifest:
        """What lists the backup; ``extra`` is stored beside what was copied.

        Nothing is left of ``files`` afterwards (see ``rows``).
        """
        lines = rows(files, extra, checksum_page=self.checksum_page)
        return self._made_of(files.data, lines, begun, ended)

    def _made_of(
        self,
        data: DataDirectory,
        lines: t.Sequence[ManifestFile],
        begun: Begun,
        ended: Ended | None,
    ) -> Manifest:
        options, encoding = self.options, self.store.encoding
        databases = ended.databases if ended is not None else ()
        return Manifest(
            backup=self._facts(begun, ended),
            db=ManifestDb(*self.cluster_row),
            options=ManifestOptions(
                archive_check=options.archive_check,
                archive_copy=options.archive_copy,
                backup_standby=self.standby,
                buffer_size=options.buffer_size,
                checksum_page=self.checksum_page,
                compress_level=_level(encoding),
                compress_level_network=options.compress_level_network,
                compress_type=encoding.compress_type,
                delta=begun.delta,
                hardlink=False,
                online=options.online,
                process_max=options.process_max,
            ),
            targets=manifest_targets(data),
            files=lines,
            paths=manifest_paths(data),
            links=manifest_links(data),
            databases=[Database(row.name, row.oid, row.last_system_oid) for row in databases],
            annotation=dict(options.annotation if ended is not None else alive.mark(options)),
            cipher_pass=encoding.cipher_pass,
        )

    def _facts(self, begun: Begun, ended: Ended | None) -> BackupFacts:
        start = begun.start
        stop = ended.stop if ended is not None else None
        prior = self.chosen.prior
        return BackupFacts(
            label=self.store.label,
            backup_type=self.chosen.backup_type,
            timestamp_start=self.chosen.begin,
            timestamp_copy_start=begun.copy_start,
            timestamp_stop=ended.timestamp if ended is not None else 0,
            references=self.store.references,
            prior=prior.backup.label if prior is not None else None,
            archive_start=start.wal_segment if start is not None else None,
            archive_stop=stop.wal_segment if stop is not None else None,
            lsn_start=start.lsn if start is not None else None,
            lsn_stop=stop.lsn if stop is not None else None,
            bundle=self.repo.bundle,
            bundle_raw=self.store.bundle_framing is Framing.RAW,
            block_incr=self.repo.block,
        )


def _level(encoding: Encoding) -> int:
    """The level of compression; 0 where there is none. It has to be told: pgBackRest does not go on
    with a backup without it when its own options say another type.
    """
    level = encoding.compress_level
    if level is None:
        level = compress_type(encoding.compress_type).level
    return level or 0


def rows(
    files: Copied, extra: t.Sequence[ManifestFile], *, checksum_page: bool
) -> list[ManifestFile]:
    """The manifest's lines for everything that is in the backup; ``extra`` is stored already.

    They take the place of the scan's files and of what was copied, of which nothing is left: a
    cluster may have so many files that memory does not hold all of it twice.
    """
    found = list(extra)
    known = {row.name for row in found}
    entries = files.data.files
    entries.reverse()
    while entries:
        entry = entries.pop()
        if entry.name not in known:
            row = _row(entry, files, checksum_page=checksum_page)
            files.copied.pop(entry.name, None)
            if row is not None:
                found.append(row)
    return found


def rows_so_far(files: Copied, *, checksum_page: bool) -> list[ManifestFile]:
    """The lines of those files that are stored.

    What an earlier run stored and this one has not read again yet is among them, but without a
    time: nobody may take it for unchanged by that.
    """
    found = []
    for entry in files.data.files:
        candidate = files.planned.candidates.get(entry.name)
        if candidate is not None and entry.name not in files.copied:
            found.append(candidate._replace(timestamp=0))
        elif entry.name in files.copied or entry.name in files.planned.referenced:
            row = _row(entry, files, checksum_page=checksum_page)
            if row is not None:
                found.append(row)
    return found


def _row(entry: FileEntry, files: Copied, *, checksum_page: bool) -> ManifestFile | None:
    """The manifest's line for one file of the scan; None for a file that vanished."""
    referenced = files.planned.referenced.get(entry.name)
    if referenced is not None:
        return _held(entry, referenced, files)
    copied = files.copied.get(entry.name)
    if entry.name in files.early or (copied is not None and copied.again):
        # Whatever time it has when the next backup sees it, it is another one.
        entry = entry._replace(mtime=entry.mtime - 1)
    row = ManifestFile(
        entry.name, entry.size, entry.size, entry.mtime, entry.mode, entry.user, entry.group
    )
    if copied is None:
        if entry.size:
            raise AssertError(f"'{entry.name}' was neither copied nor referenced")
        # A bundled backup stores nothing of an empty file.
        checked = entry.page_check and checksum_page
        return row._replace(checksum=EMPTY_SHA1, page_valid=True if checked else None)
    if copied.outcome is Outcome.VANISHED:
        return None
    if copied.outcome is Outcome.UNCHANGED:
        held = _held(entry, files.planned.candidates[entry.name], files)
        return held._replace(timestamp=entry.mtime)
    return row._replace(
        size=copied.size,
        repo_size=copied.repo_size,
        checksum=copied.checksum or EMPTY_SHA1,
        repo_checksum=copied.repo_checksum,
        bundle_id=copied.bundle_id,
        bundle_offset=copied.bundle_offset,
        page_valid=copied.page_valid,
        page_errors=copied.page_errors,
        block=copied.block,
        original_size=entry.size if entry.size != copied.size else None,
    )


def _held(entry: FileEntry, row: ManifestFile, files: Copied) -> ManifestFile:
    """The line of a file that is stored already: by the prior backup, or in this one."""
    prior = files.planned.prior
    return row if prior is None else reference(entry, row, prior)
