# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``backup.manifest`` in the repository (repository reference, sections 1 and 8).

The manifest is the last file of a backup that is written: a directory without it is not a backup.
Its copy is written before it, and may hold what an unfinished backup has so far.
"""

from __future__ import annotations

import typing as t

from ..errors import FormatError, StorageLimitError
from ..storage.base import Publish
from ..transform.pipeline import Decoder, Encoder, Encoding
from . import infofile, layout
from .contents import (
    EMPTY_SHA1,
    PG_CONTROL,
    PG_DATA,
    BackupFacts,
    Block,
    Database,
    Defaults,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestLink,
    ManifestOptions,
    ManifestPath,
    Owner,
    PageErrors,
    Target,
    entry_for,
)
from .manifest_reader import parse, parse_pieces
from .manifest_writer import render, render_pieces
from .twins import Loading

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..storage.base import Completion, Storage, Writer

__all__ = [
    "EMPTY_SHA1",
    "PG_CONTROL",
    "PG_DATA",
    "BackupFacts",
    "Block",
    "Database",
    "Defaults",
    "Manifest",
    "ManifestDb",
    "ManifestFile",
    "ManifestLink",
    "ManifestOptions",
    "ManifestPath",
    "Owner",
    "PageErrors",
    "Target",
    "begin_checkpoint",
    "entry_for",
    "load",
    "parse",
    "parse_pieces",
    "render",
    "render_pieces",
    "save",
    "save_checkpoint",
    "validate",
    "validate_whole",
]

_HISTORY_LEVEL = 9


def validate(manifest: Manifest) -> None:
    """What must hold of the manifest of a finished backup; raises FormatError."""
    errors = []
    for file in manifest.files:
        if not file.checksum:
            errors.append(f"missing checksum for file '{file.name}'")
        elif file.size == 0 and file.checksum != EMPTY_SHA1:
            errors.append(f"invalid checksum '{file.checksum}' for zero size file '{file.name}'")
        elif file.size > 0 and file.repo_size == 0:
            errors.append(f"repo size must be > 0 for file '{file.name}'")
    if not any(target.name == PG_DATA for target in manifest.targets):
        errors.append("missing target 'pg_data'")
    if not any(path.name == PG_DATA for path in manifest.paths):
        errors.append("missing path 'pg_data'")
    if errors:
        shown = errors[:10] + ([f"{len(errors) - 10} more"] if len(errors) > 10 else [])
        raise FormatError("manifest validation failed:\n" + "\n".join(shown))


def validate_whole(manifest: Manifest) -> None:
    """``validate``, and what else a restore would stumble over in the middle; raises FormatError.

    What there is of the server's files lies in directories that are listed as well.
    """
    validate(manifest)
    directories = {path.name for path in manifest.paths}
    for path in manifest.paths:
        _refuse_without_parent(path.name, directories)
    control = False
    for file in manifest.files:
        _refuse_without_parent(file.name, directories)
        if file.name in directories:
            raise FormatError(f"manifest has '{file.name}' as a file and as a directory")
        control = control or file.name == PG_CONTROL
    if not control:
        raise FormatError(f"manifest has no file '{PG_CONTROL}'")


def _refuse_without_parent(name: str, directories: t.Container[str]) -> None:
    parent, slash, _last = name.rpartition("/")
    if slash and parent not in directories:
        raise FormatError(f"manifest has '{name}' without its directory")


# --- in the repository -----------------------------------------------------------------------


def load(storage: Storage, stanza: str, label: str, cipher_pass: str | None) -> Manifest:
    """Read a backup's manifest; ``cipher_pass`` is that of backup.info.

    Raises as ``Loading.result``, and FormatError when the manifest is of another backup.
    """
    encoding = Encoding(cipher_pass=cipher_pass)

    def decoded(chunks: Iterable[bytes]) -> Manifest:
        manifest = parse_pieces(infofile.text_pieces(Decoder(encoding).stream(chunks)))
        if manifest.backup.label != label:
            raise FormatError(
                f"backup '{label}' has the manifest of backup '{manifest.backup.label}'",
                hint="has the directory been renamed? A backup must keep its name.",
            )
        return manifest

    path = layout.manifest_path(stanza, label)
    return Loading(storage, path, decoded, kind="backup manifest").result()


def save_checkpoint(
    storage: Storage, stanza: str, manifest: Manifest, cipher_pass: str | None
) -> None:
    """Write only the copy: what a backup has so far. Without its twin it is not a backup."""
    begin_checkpoint(storage, stanza, manifest, cipher_pass).wait()


def begin_checkpoint(
    storage: Storage, stanza: str, manifest: Manifest, cipher_pass: str | None
) -> Completion:
    """``save_checkpoint`` without waiting for the end."""
    path = layout.copy_of(layout.manifest_path(stanza, manifest.backup.label))
    (writer,) = _written(storage, manifest, [([path], Encoding(cipher_pass=cipher_pass))])
    return writer.finish()


def save(storage: Storage, stanza: str, manifest: Manifest, cipher_pass: str | None) -> None:
    """Write the history copy, the copy, and last the manifest itself, which makes it a backup."""
    begin_save(storage, stanza, manifest, cipher_pass).wait()


def begin_save(
    storage: Storage,
    stanza: str,
    manifest: Manifest,
    cipher_pass: str | None,
    *,
    after: t.Sequence[Completion] = (),
    announcement: Completion | None = None,
) -> Completion:
    """``save`` without waiting for the end.

    All are on their way together. The manifest itself appears only when the two others have, and
    when ``after`` is complete: what the backup is made of. The copy replaces an ``announcement``.
    Where so many files cannot be open at once, each is written when the one before it is.
    """
    label = manifest.backup.label
    path = layout.manifest_path(stanza, label)
    history_path, copy_path = layout.history_manifest_path(stanza, label), layout.copy_of(path)
    packed = Encoding("gz", _HISTORY_LEVEL, cipher_pass)
    plain = Encoding(cipher_pass=cipher_pass)
    replaced = [] if announcement is None else [announcement]
    try:
        writers = _written(
            storage, manifest, [([history_path], packed), ([copy_path, path], plain)]
        )
    except StorageLimitError:
        files = [(history_path, packed, ()), (copy_path, plain, replaced), (path, plain, after)]
        return _save_in_turn(storage, manifest, files)
    history, copy, last = writers
    try:
        return last.finish(after=[*after, history.finish(), copy.finish(after=replaced)])
    except BaseException:
        for writer in writers:
            writer.abort()
        raise


def _save_in_turn(
    storage: Storage,
    manifest: Manifest,
    files: t.Iterable[tuple[str, Encoding, t.Sequence[Completion]]],
) -> Completion:
    """Begin a file when the one before is finished, so that its handle gets free for the next.

    Each appears when what is named with it is complete, and the files before it.
    """
    made: list[Writer] = []
    ended: list[Completion] = []
    try:
        for path, encoding, others in files:
            made += _written(storage, manifest, [([path], encoding)])
            ended.append(made[-1].finish(after=[*others, *ended]))
        return ended[-1]
    except BaseException:
        for writer in made:
            writer.abort()
        raise


def _written(
    storage: Storage,
    manifest: Manifest,
    files: t.Iterable[tuple[t.Sequence[str], Encoding]],
) -> list[Writer]:
    """Write the text once under every path; paths with one encoding get the same bytes."""
    made: list[Writer] = []
    try:
        outputs: list[tuple[Encoder, list[Writer]]] = []
        for paths, encoding in files:
            outputs.append((Encoder(encoding), []))
            for path in paths:
                made.append(storage.writer(path, publish=Publish.RENAME))
                outputs[-1][1].append(made[-1])
        for piece in render_pieces(manifest):
            data = infofile.to_bytes(piece)
            for encoder, writers in outputs:
                _put(writers, encoder.update(data))
        for encoder, writers in outputs:
            _put(writers, encoder.finish())
    except BaseException:
        for writer in made:
            writer.abort()
        raise
    return made


def _put(writers: t.Iterable[Writer], data: bytes) -> None:
    if data:
        for writer in writers:
            writer.write(data)
