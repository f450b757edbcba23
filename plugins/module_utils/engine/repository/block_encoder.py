# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a file into the repository block by block (repository reference, section 13).

Only blocks that the backups before do not hold are stored, several of them together in a super
block; the map at the end says where each block of the file is.
"""

from __future__ import annotations

import hashlib
import typing as t

from ..transform.pipeline import Encoding, encode
from ..transform.xxh3 import Digester
from . import blockmap_writer
from .blockmap import FRAMING, MapEntry, SuperBlock

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..transform.compression import Buffer
    from .contents import Block


class Place(t.NamedTuple):
    """Where the stored bytes of a file will lie."""

    reference: int
    """Index of this backup in the manifest's list of references."""
    bundle_id: int = 0
    """0 when the file is stored alone."""
    offset: int = 0
    """Of the file's first byte in the bundle."""


class BlockEncoder:
    """Original bytes in, stored bytes out; the face of ``transform.pipeline.Encoder``.

    Until a block differs from what ``prior``, the map in the backup before, says of it, nothing
    comes out.
    """

    def __init__(
        self,
        encoding: Encoding,
        block: Block,
        super_size: int,
        place: Place,
        prior: Sequence[MapEntry] = (),
        digester: Digester | None = None,
    ) -> None:
        self._encoding = encoding
        self._block = block
        self._super_size = super_size
        self._place = place
        self._prior = prior
        self._digester = digester or Digester.best()
        self._pending = b""
        self._entries: list[MapEntry | None] = []
        self._new: list[tuple[int, bytes]] = []
        self._content: list[bytes] = []
        self._content_size = 0
        self._source = hashlib.sha1()
        self._stored = hashlib.sha1()
        self._map_size = 0
        self.source_size = 0
        """Bytes taken so far."""
        self.stored_size = 0
        """Bytes given so far."""

    def update(self, data: Buffer) -> bytes:
        """Take original bytes; what comes back may be empty."""
        self.source_size += len(data)
        self._source.update(data)
        # What is left of the data before is less than a block.
        self._pending = self._pending + data if self._pending else bytes(data)
        whole = len(self._pending) // self._block.size * self._block.size
        if not whole:
            return b""
        ready, self._pending = self._pending[:whole], self._pending[whole:]
        return self._store(self._blocks(ready))

    def finish(self) -> bytes:
        """The rest, with the map; call once."""
        output = b""
        if self._pending:
            output += self._blocks(self._pending)
        if self._new:
            output += self._super_block()
        entries = t.cast("list[MapEntry]", self._entries)
        # A map is encrypted but never compressed.
        stored_map = encode(
            blockmap_writer.encode(entries, self._block.size),
            Encoding(cipher_pass=self._encoding.cipher_pass),
            framing=FRAMING,
        )
        self._map_size = len(stored_map)
        return self._store(output + stored_map)

    def _blocks(self, data: bytes) -> bytes:
        size = self._block.size
        output = []
        for number, digest in enumerate(self._digester(data, size)):
            checksum = digest[: self._block.checksum_size]
            index = len(self._entries)
            if index < len(self._prior) and self._prior[index].checksum == checksum:
                self._entries.append(self._prior[index])
                continue
            self._entries.append(None)
            self._new.append((index, checksum))
            content = data[number * size : (number + 1) * size]
            self._content.append(content)
            self._content_size += len(content)
            if self._content_size >= self._super_size:
                output.append(self._super_block())
        return b"".join(output)

    def _super_block(self) -> bytes:
        stored = encode(b"".join(self._content), self._encoding, framing=FRAMING)
        reference, bundle_id, offset = self._place
        unit = SuperBlock(reference, bundle_id, offset, len(stored), self._content_size)
        for number, (index, checksum) in enumerate(self._new):
            self._entries[index] = MapEntry(unit, number, checksum)
        self._place = self._place._replace(offset=offset + len(stored))
        self._new, self._content, self._content_size = [], [], 0
        return stored

    def _store(self, output: bytes) -> bytes:
        self.stored_size += len(output)
        self._stored.update(output)
        return output

    @property
    def block(self) -> Block:
        """What the manifest says of the blocks; once finished."""
        return self._block._replace(map_size=self._map_size)

    @property
    def source_sha1(self) -> str:
        """SHA-1 of the original bytes, in hex."""
        return self._source.hexdigest()

    @property
    def stored_sha1(self) -> str:
        """SHA-1 of the stored bytes, map included, in hex."""
        return self._stored.hexdigest()
