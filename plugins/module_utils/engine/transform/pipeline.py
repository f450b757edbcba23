# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a file's bytes into the repository and back (repository reference, sections 4 and 5).

Writing: digest of the plain bytes, compress, encrypt, digest of what is stored. Reading: decrypt,
decompress, digest. One pass; nothing is held but what a codec needs.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import typing as t

from ..errors import AssertError, FormatError
from .cipher import Decryptor, Encryptor
from .compression import Buffer, Framing, compressor, decompressor
from .digest import Sha1

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "PLAIN",
    "Decoder",
    "Digests",
    "Encoder",
    "Encoding",
    "Framing",
    "decode",
    "encode",
]


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How stored bytes differ from original ones."""

    compress_type: str = "none"
    compress_level: int | None = None
    """None is the type's default; without meaning for reading."""
    cipher_pass: str | None = dataclasses.field(default=None, repr=False)
    """The pass of AES-256-CBC; None stores plain."""

    @property
    def is_plain(self) -> bool:
        """Whether stored bytes are the original bytes."""
        return self.compress_type == "none" and self.cipher_pass is None

    @property
    def _pass(self) -> bytes:
        return (self.cipher_pass or "").encode("utf-8")


PLAIN = Encoding()


class Digests(enum.Enum):
    """What an encoder takes the SHA-1 of, which costs as much as a fast codec."""

    BOTH = enum.auto()
    SOURCE = enum.auto()
    """Only the original bytes: of WAL no other digest is kept."""


class Encoder:
    """Original bytes in, stored bytes out; sizes and digests once finished."""

    def __init__(
        self,
        encoding: Encoding,
        *,
        framing: Framing = Framing.WHOLE,
        digests: Digests = Digests.BOTH,
    ) -> None:
        self._compressor = compressor(
            encoding.compress_type, encoding.compress_level, framing=framing
        )
        self._encryptor = (
            None if encoding.cipher_pass is None else Encryptor(encoding._pass, framing=framing)
        )
        self._source = Sha1()
        self._stored = None
        if digests is Digests.BOTH:
            self._stored = self._source if encoding.is_plain else Sha1()
        self.source_size = 0
        """Bytes taken so far."""
        self.stored_size = 0
        """Bytes given so far."""

    def update(self, data: Buffer) -> bytes:
        """Take original bytes; what comes back may be empty."""
        self.source_size += len(data)
        self._source.update(data)
        output = self._compressor.update(data)
        if self._encryptor is not None and output:
            output = self._encryptor.update(output)
        return self._store(output)

    def finish(self) -> bytes:
        """The rest; call once."""
        output = self._compressor.finish()
        if self._encryptor is not None:
            output = self._encryptor.update(output) + self._encryptor.finish()
        return self._store(output)

    def _store(self, output: bytes) -> bytes:
        self.stored_size += len(output)
        if self._stored is not None and self._stored is not self._source:
            self._stored.update(output)
        return output

    @property
    def source_sha1(self) -> str:
        """SHA-1 of the original bytes, in hex: a manifest's ``checksum``, a segment's name."""
        return self._source.hexdigest()

    @property
    def stored_sha1(self) -> str:
        """SHA-1 of the stored bytes, in hex: a manifest's ``rck``; AssertError without one."""
        if self._stored is None:
            raise AssertError("no digest of what is stored was taken")
        return self._stored.hexdigest()


class Decoder:
    """Stored bytes in, original bytes out; sizes and digest once finished.

    Raises FormatError or CryptoError for a stream that is damaged or not complete. What decodes
    well may still be the wrong file: compare ``source_sha1``.
    """

    def __init__(self, encoding: Encoding, *, framing: Framing = Framing.WHOLE) -> None:
        self._decryptor = (
            None if encoding.cipher_pass is None else Decryptor(encoding._pass, framing=framing)
        )
        self._decompressor = decompressor(encoding.compress_type, framing=framing)
        self._source = hashlib.sha1()
        self.source_size = 0
        """Bytes given so far."""
        self.stored_size = 0
        """Bytes taken so far."""

    def pieces(self, data: Buffer) -> Iterator[bytes]:
        """Take stored bytes, give bounded pieces; consume them all before the next call."""
        self.stored_size += len(data)
        if self._decryptor is not None:
            data = self._decryptor.update(data)
        if data:
            for piece in self._decompressor.pieces(data):
                yield self._give(piece)

    def update(self, data: Buffer) -> bytes:
        """Take stored bytes, give all that they hold at once: for what is known to be small."""
        return b"".join(self.pieces(data))

    def finish(self) -> bytes:
        """The rest; raises when the stream is not complete. Call once."""
        last: list[bytes] = []
        if self._decryptor is not None:
            data = self._decryptor.finish()
            if data:
                last.extend(self._decompressor.pieces(data))
        last.append(self._decompressor.finish())
        return self._give(b"".join(last))

    def stream(self, chunks: Iterable[Buffer], *, most: int | None = None) -> Iterator[bytes]:
        """The whole way of one file: bounded pieces of what chunks hold, up to the checked end.

        With ``most`` it ends with a FormatError before more bytes than that come out: a little that
        is stored may stand for very much.
        """
        for chunk in chunks:
            for piece in self.pieces(chunk):
                self._refuse_more_than(most)
                yield piece
        rest = self.finish()
        self._refuse_more_than(most)
        if rest:
            yield rest

    def _refuse_more_than(self, most: int | None) -> None:
        if most is not None and self.source_size > most:
            raise FormatError(f"it holds more than {most} bytes")

    def _give(self, piece: bytes) -> bytes:
        self.source_size += len(piece)
        self._source.update(piece)
        return piece

    @property
    def source_sha1(self) -> str:
        """SHA-1 of the original bytes, in hex."""
        return self._source.hexdigest()


def encode(data: Buffer, encoding: Encoding, *, framing: Framing = Framing.WHOLE) -> bytes:
    """Encode what fits in memory. Without digests, which Encoder has."""
    stream = compressor(encoding.compress_type, encoding.compress_level, framing=framing)
    output = stream.update(data) + stream.finish()
    if encoding.cipher_pass is None:
        return output
    encryptor = Encryptor(encoding._pass, framing=framing)
    return encryptor.update(output) + encryptor.finish()


def decode(
    data: Buffer,
    encoding: Encoding,
    *,
    framing: Framing = Framing.WHOLE,
    most: int | None = None,
) -> bytes:
    """Decode what fits in memory; raises as ``Decoder.stream`` does."""
    return b"".join(Decoder(encoding, framing=framing).stream((data,), most=most))
