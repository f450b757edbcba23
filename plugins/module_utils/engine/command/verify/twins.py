# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twins of info files, each looked at (repository reference, section 1).

Whoever reads a repository is content with one of the two; verify tells when the other one is gone
or damaged, while there still is a good one.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from ...errors import EngineError, FormatError, StorageMissingError, TransportLostError
from ...repository import infofile, manifest
from ...repository.contents import Manifest
from ...repository.layout import copy_of
from ...storage.base import Storage
from ...transform.pipeline import Decoder, Encoding

ValueT = t.TypeVar("ValueT")
Decode = t.Callable[[t.Iterable[bytes]], ValueT]


@dataclass(frozen=True)
class Twins(t.Generic[ValueT]):
    """What two files say, and what is wrong with each."""

    path: str
    value: ValueT | None
    """None when neither can be used."""
    main: EngineError | None
    copy: EngineError | None
    differ: bool = False
    """Both are good and not the same: a command was interrupted between the two, or runs now."""

    @property
    def missing(self) -> bool:
        """Whether neither is there."""
        return isinstance(self.main, StorageMissingError) and isinstance(
            self.copy, StorageMissingError
        )

    def errors(self) -> t.Iterator[str]:
        """What is wrong, by name."""
        for path, cause in ((self.path, self.main), (copy_of(self.path), self.copy)):
            if isinstance(cause, StorageMissingError):
                yield f"'{path}' is missing"
            elif cause is not None:
                yield f"'{path}' is damaged: {cause.message}"


def load(storage: Storage, path: str, decode: Decode[ValueT]) -> Twins[ValueT]:
    """Read both; only a lost transport is raised."""
    with storage.reader(path) as main, storage.reader(copy_of(path)) as copy:
        first = hashlib.sha1()
        value, main_error = _decoded(_hashed(main, first), decode)
        if main_error is not None:
            value, copy_error = _decoded(copy, decode)
            return Twins(path, value, main_error, copy_error)
        second = hashlib.sha1()
        _dummy, copy_error = _decoded(_hashed(copy, second), _drain)
    if copy_error is not None or first.digest() == second.digest():
        return Twins(path, value, None, copy_error)
    with storage.reader(copy_of(path)) as copy:
        _dummy, copy_error = _decoded(copy, decode)
    return Twins(path, value, None, copy_error, differ=copy_error is None)


def info_decoder(parse: t.Callable[[str], ValueT], cipher_pass: str | None) -> Decode[ValueT]:
    """How archive.info and backup.info are read."""
    encoding = Encoding(cipher_pass=cipher_pass)
    return lambda chunks: parse("".join(infofile.text_pieces(Decoder(encoding).stream(chunks))))


def manifest_decoder(label: str, cipher_pass: str | None) -> Decode[Manifest]:
    """How a manifest is read."""
    encoding = Encoding(cipher_pass=cipher_pass)

    def decode(chunks: t.Iterable[bytes]) -> Manifest:
        found = manifest.parse_pieces(infofile.text_pieces(Decoder(encoding).stream(chunks)))
        if found.backup.label != label:
            raise FormatError(f"it is the manifest of backup '{found.backup.label}'")
        manifest.validate_whole(found)
        return found

    return decode


def _hashed(chunks: t.Iterable[bytes], digest: t.Any) -> t.Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _drain(chunks: t.Iterable[bytes]) -> None:
    for _chunk in chunks:
        continue


def _decoded(
    chunks: t.Iterable[bytes], decode: t.Callable[[t.Iterable[bytes]], ValueT]
) -> tuple[ValueT | None, EngineError | None]:
    try:
        return decode(chunks), None
    except TransportLostError:
        raise
    except EngineError as cause:
        return None, cause
