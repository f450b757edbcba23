# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive-copy: the WAL that a backup needs lies in the backup, too (repository reference, 9)."""

from __future__ import annotations

import typing as t

from ...errors import ArchiveTimeoutError, ChecksumError
from ...postgres import releases
from ...postgres.entries import PathEntry
from ...postgres.wal import LARGEST
from ...repository import layout
from ...repository.archive import Archive, StoredSegment
from ...repository.contents import PG_DATA, ManifestFile
from ...storage.base import Completion, Publish, Storage
from ...transform.compression import compress_type, type_of_name
from ...transform.pipeline import Decoder, Encoder, Encoding
from .finish import StoredFiles
from .plan import Layout

# Segments that are written ahead of the one that is waited for; their bytes may be held in memory.
UNDER_WAY = 3


def store_wal(
    storage: Storage,
    store: Layout,
    names: t.Sequence[str],
    *,
    archive_id: str,
    archive_pass: str | None,
    version: str,
    root: PathEntry,
    timestamp: int,
) -> StoredFiles:
    """Copy segments from the archive to where a restore puts them.

    ``root`` is the data directory, of which they get owner and mode. Raises ChecksumError for a
    segment that is not what its name says.
    """
    directory = "pg_wal" if releases.number(version) >= 100000 else "pg_xlog"
    extension = compress_type(store.encoding.compress_type).extension
    found = Archive(storage, store.stanza).find_many(archive_id, names)
    rows, completions = [], []
    for name in names:
        if not found[name]:
            raise ArchiveTimeoutError(
                f"WAL segment {name} is not in the archive any more",
                hint="was it expired meanwhile? then keep WAL for longer.",
            )
        manifest_name = f"{PG_DATA}/{directory}/{name}"
        path = layout.data_path(store.stanza, store.label, manifest_name, extension)
        encoder, completion = _copy(storage, found[name][0], archive_pass, path, store.encoding)
        completions.append(completion)
        if len(completions) > UNDER_WAY:
            completions[-1 - UNDER_WAY].wait()
        rows.append(
            ManifestFile(
                manifest_name,
                encoder.source_size,
                encoder.stored_size,
                timestamp,
                root.mode & 0o640,
                root.user,
                root.group,
                # As the real writer: no digest of the stored bytes.
                checksum=found[name][0].sha1,
            )
        )
    return StoredFiles(rows, completions)


def _copy(
    storage: Storage, segment: StoredSegment, archive_pass: str | None, path: str, to: Encoding
) -> tuple[Encoder, Completion]:
    stored_as = Encoding(type_of_name(segment.path).name, cipher_pass=archive_pass)
    decoder, encoder = Decoder(stored_as), Encoder(to)
    writer = storage.writer(path, publish=Publish.RENAME)
    try:
        for piece in decoder.stream(storage.reader(segment.path), most=LARGEST):
            writer.write(encoder.update(piece))
        if decoder.source_sha1 != segment.sha1:
            raise ChecksumError(
                f"WAL segment '{segment.path}' in the archive has the checksum"
                f" {decoder.source_sha1}",
                hint="the verify command shows what else is damaged.",
            )
        writer.write(encoder.finish())
    except BaseException:
        writer.abort()
        raise
    return encoder, writer.finish()
