# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a backup: pg_control, what the stop function returned, and the manifest."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ...errors import FileMissingError
from ...postgres import control as pg_control
from ...postgres.entries import DataDirectory, FileEntry
from ...postgres.server import BackupStop
from ...repository import layout
from ...repository.contents import (
    PG_CONTROL,
    PG_DATA,
    ManifestFile,
)
from ...storage.base import Completion, Publish, Storage
from ...transform.compression import compress_type
from ...transform.pipeline import Encoder
from ..cluster import Cluster
from .copy import CopiedFile
from .plan import (
    CopyPlan,
    Layout,
)


@dataclass(frozen=True)
class Copied:
    """The scan, what was planned from it, and what the workers made of that."""

    data: DataDirectory
    planned: CopyPlan
    copied: dict[str, CopiedFile]
    early: set[str]
    """Files whose time says nothing of what was read: they could change once more without a later
    one, or have by that time what a standby does not have yet."""


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
        raise FileMissingError(
            "global/pg_control was not found in the data directory",
            hint="no backup is whole without it: is pg1-path the directory of a cluster?",
        )
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
