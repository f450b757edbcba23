# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a backup: pg_control, what the stop function returned, and the manifest."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ...config.options import Options
from ...errors import AssertError, FileMissingError
from ...postgres import control as pg_control
from ...postgres.entries import DataDirectory, FileEntry
from ...postgres.server import BackupStop
from ...postgres.server import Database as ServerDatabase
from ...repository import layout
from ...repository.backup_info import BackupDb
from ...repository.contents import (
    EMPTY_SHA1,
    PG_CONTROL,
    PG_DATA,
    BackupFacts,
    Database,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestOptions,
)
from ...storage.base import Completion, Publish, Storage
from ...transform.compression import compress_type
from ...transform.pipeline import Encoder, Encoding
from ..cluster import Cluster
from .copy import CopiedFile, Outcome
from .plan import CopyPlan, Layout, manifest_links, manifest_paths, manifest_targets


@dataclass(frozen=True)
class Copied:
    """The scan, what was planned from it, and what the workers made of that."""

    data: DataDirectory
    planned: CopyPlan
    copied: dict[str, CopiedFile]


class StoredFiles(t.NamedTuple):
    """Files on their way into the repository; durable when the completions say so."""

    files: list[ManifestFile]
    completions: list[Completion]

    def and_also(self, others: StoredFiles) -> StoredFiles:
        """Both together."""
        return StoredFiles(self.files + others.files, self.completions + others.completions)


def store_control(storage: Storage, store: Layout, cluster: Cluster, files: Copied) -> StoredFiles:
    """Copy pg_control, after everything else and with a valid checksum.

    FileMissingError when the scan did not see it: a backup without it cannot be restored.
    """
    entry = next((file for file in files.data.files if file.name == PG_CONTROL), None)
    if entry is None:
        raise FileMissingError("pg_control must be present in all online backups")
    data = pg_control.normalized(cluster.primary.control_bytes())
    return _store(storage, store, [_like(entry, data)])


def store_labels(storage: Storage, store: Layout, stop: BackupStop, files: Copied) -> StoredFiles:
    """Store backup_label and, if there is one, tablespace_map; each as a file of its own."""
    root = next(path for path in files.data.paths if path.name == PG_DATA)
    contents = {"backup_label": stop.backup_label, "tablespace_map": stop.tablespace_map}
    made = []
    for name, text in contents.items():
        if text.strip():
            data = text.encode("utf-8")
            row = ManifestFile(
                f"{PG_DATA}/{name}",
                len(data),
                len(data),
                stop.timestamp,
                root.mode & 0o644,
                root.user,
                root.group,
            )
            made.append((row, data))
    return _store(storage, store, made)


def _like(entry: FileEntry, data: bytes) -> tuple[ManifestFile, bytes]:
    row = ManifestFile(
        entry.name, len(data), len(data), entry.mtime, entry.mode, entry.user, entry.group
    )
    return row, data


def _store(
    storage: Storage, store: Layout, contents: t.Iterable[tuple[ManifestFile, bytes]]
) -> StoredFiles:
    extension = compress_type(store.encoding.compress_type).extension
    rows = []
    completions = []
    for row, data in contents:
        encoder = Encoder(store.encoding)
        stored = encoder.update(data) + encoder.finish()
        path = layout.data_path(store.stanza, store.label, row.name, extension)
        writer = storage.writer(path, publish=Publish.RENAME)
        writer.write(stored)
        completions.append(writer.finish())
        rows.append(
            row._replace(
                repo_size=encoder.stored_size,
                checksum=encoder.source_sha1,
                repo_checksum=encoder.stored_sha1,
            )
        )
    return StoredFiles(rows, completions)


def rows(
    files: Copied, extra: t.Sequence[ManifestFile], *, checksum_page: bool
) -> list[ManifestFile]:
    """The manifest's lines for everything that is in the backup; ``extra`` is stored already."""
    found = list(extra)
    known = {row.name for row in found}
    for entry in files.data.files:
        if entry.name not in known:
            row = _row(entry, files, checksum_page=checksum_page)
            if row is not None:
                found.append(row)
    return found


def rows_so_far(files: Copied, *, checksum_page: bool) -> list[ManifestFile]:
    """The lines of those files that are stored."""
    found = []
    for entry in files.data.files:
        if entry.name in files.copied or entry.name in files.planned.referenced:
            row = _row(entry, files, checksum_page=checksum_page)
            if row is not None:
                found.append(row)
    return found


def assemble(
    data: DataDirectory,
    files: t.Sequence[ManifestFile],
    *,
    facts: BackupFacts,
    cluster_row: BackupDb,
    options: Options,
    databases: t.Iterable[ServerDatabase],
    encoding: Encoding,
    checksum_page: bool,
    standby: bool,
    delta: bool,
) -> Manifest:
    """The manifest of a backup that holds ``files``."""
    return Manifest(
        backup=facts,
        db=ManifestDb(*cluster_row),
        options=ManifestOptions(
            archive_check=options.archive_check,
            archive_copy=options.archive_copy,
            backup_standby=standby,
            buffer_size=options.buffer_size,
            checksum_page=checksum_page,
            compress_level=encoding.compress_level,
            compress_level_network=options.compress_level_network,
            compress_type=encoding.compress_type,
            delta=delta,
            hardlink=False,
            online=options.online,
            process_max=options.process_max,
        ),
        targets=manifest_targets(data),
        files=files,
        paths=manifest_paths(data),
        links=manifest_links(data),
        databases=[Database(row.name, row.oid, row.last_system_oid) for row in databases],
        annotation=dict(options.annotation),
        cipher_pass=encoding.cipher_pass,
    )


def _row(entry: FileEntry, files: Copied, *, checksum_page: bool) -> ManifestFile | None:
    """The manifest's line for one file of the scan; None for a file that vanished."""
    referenced = files.planned.referenced.get(entry.name)
    if referenced is not None:
        return referenced
    copied = files.copied.get(entry.name)
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
        return files.planned.candidates[entry.name]
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
