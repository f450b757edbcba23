# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block maps: which backup holds which block of a file (repository reference, section 13). Reading.

A block-incremental file is stored as super blocks, each compressed and encrypted by itself, and a
map at the end that tells of every block of the file in which super block of which backup it lies.
"""

from __future__ import annotations

import typing as t

from ..errors import FormatError
from ..transform.pipeline import Encoding, Framing, decode
from . import layout
from .fields import MOST

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .contents import Block, Manifest

# Everything of a block-incremental file is framed so, also in sets whose bundles are not.
FRAMING = Framing.RAW

# Super blocks end with the block that makes them as large as the option says: this at most.
_SUPER_MOST = 16 * 1024 * 1024

# What does not get smaller gets a little larger.
_STORED_EXTRA = 64 * 1024


class SuperBlock(t.NamedTuple):
    """A unit of stored blocks; sizes and the offset in bytes."""

    reference: int
    """Index in the manifest's list of references."""
    bundle_id: int
    """0 when the file is stored alone."""
    offset: int
    """In the bundle, or in the file that is stored alone."""
    stored_size: int
    size: int
    """Of the content."""


class MapEntry(t.NamedTuple):
    """One block of the file; entries come in the order of the file."""

    super_block: SuperBlock
    number: int
    """Counts the blocks of the super block."""
    checksum: bytes
    """The first bytes of the block's XXH3-128."""


class _Holder:
    """How far the map has come in the super blocks of one backup."""

    def __init__(self, bundle_id: int, block_size: int) -> None:
        self.bundle_id = bundle_id
        self.offset = 0
        self.stored_size = 0
        self.size = block_size
        self.number = 0


class _Input:
    """Variable-length numbers and raw bytes, in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position == len(self._data)

    def number(self) -> int:
        """Seven bits a byte, lowest first; the high bit says that more follow."""
        result = shift = 0
        while True:
            if self._position >= len(self._data) or shift > 63:
                raise FormatError("block map is damaged")
            byte = self._data[self._position]
            self._position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self._position + size
        if end > len(self._data):
            raise FormatError("block map is damaged")
        data = self._data[self._position : end]
        self._position = end
        return data


def parse(
    data: bytes, block_size: int, checksum_size: int, blocks: int | None = None
) -> list[MapEntry]:
    """Read a map that is decrypted already; raises FormatError for what is none.

    ``blocks`` is how many the file has; None takes any number.
    """
    source = _Input(data)
    if source.number() & 1:
        raise FormatError("block map has a version that is not known")
    entries: list[MapEntry] = []
    holders: dict[int, _Holder] = {}
    last_stored_size = 0
    while True:
        run = source.number()
        reference = run >> 3
        holder = holders.get(reference)
        continued = False
        if holder is None:
            holder = holders[reference] = _Holder(source.number() if run & 2 else 0, block_size)
            offset = source.number() if run & 4 else 0
        elif run & 2:
            # Goes on in the super block where this backup's last run ended.
            continued = True
            offset = holder.offset
        else:
            offset = holder.offset + holder.stored_size + (source.number() if run & 4 else 0)
        while True:
            if continued:
                continued = False
                flags = 4 | (run >> 2 & 1)
            else:
                flags = source.number()
                stored_size = flags >> 3
                if last_stored_size:
                    # Afterwards only differences, signed, in zigzag form.
                    stored_size = last_stored_size + (stored_size >> 1 ^ -(stored_size & 1))
                if flags & 2:
                    size = source.number()
                    holder.size = (size >> 1) * block_size + (source.number() if size & 1 else 0)
                holder.offset, holder.stored_size, holder.number = offset, stored_size, 0
            last_stored_size = holder.stored_size
            if flags & 4:
                counted = source.number()
                count = (counted >> 1) + 1
                if counted & 1:
                    holder.number += source.number()
            else:
                count = -(-holder.size // block_size)
            if (holder.number + count - 1) * block_size >= holder.size or holder.stored_size <= 0:
                raise FormatError("block map is damaged")
            if blocks is not None and len(entries) + count > blocks:
                raise FormatError(f"block map has more than the {blocks} blocks of the file")
            _refuse_too_large(offset, holder, block_size)
            unit = SuperBlock(reference, holder.bundle_id, offset, holder.stored_size, holder.size)
            for _block in range(count):
                entries.append(MapEntry(unit, holder.number, source.take(checksum_size)))
                holder.number += 1
            offset += holder.stored_size
            if flags & 1:
                break
        if run & 1:
            break
    if not source.at_end:
        raise FormatError("block map is damaged")
    return entries


def _refuse_too_large(offset: int, holder: _Holder, block_size: int) -> None:
    """What nobody has written, and whoever reads it would have to hold."""
    if (
        holder.size >= _SUPER_MOST + block_size
        or holder.stored_size > 2 * holder.size + _STORED_EXTRA
        or offset + holder.stored_size >= MOST
    ):
        raise FormatError(f"block map has a super block at {offset} that is too large")


def super_blocks(entries: Iterable[MapEntry]) -> list[SuperBlock]:
    """What has to be fetched, in the order in which ``assemble`` needs it."""
    return list(dict.fromkeys(entry.super_block for entry in entries))


def assemble(
    entries: Iterable[MapEntry], block_size: int, contents: Iterable[bytes]
) -> Iterator[bytes]:
    """The content of the file, block by block.

    ``contents`` gives the decoded super blocks in the order of ``super_blocks``, when they are
    needed. One of each backup is held, since a map never goes back within a backup. Raises
    FormatError.
    """
    supply = iter(contents)
    held: dict[int, tuple[SuperBlock, bytes]] = {}
    for unit, number, _checksum in entries:
        current = held.get(unit.reference)
        if current is None or current[0] != unit:
            content = next(supply, b"")
            if len(content) != unit.size:
                raise FormatError(
                    f"super block at {unit.offset} has {len(content)} bytes, expected {unit.size}"
                )
            current = held[unit.reference] = (unit, content)
        start = number * block_size
        yield current[1][start : start + block_size]


# --- in the repository -----------------------------------------------------------------------


class Chain(t.NamedTuple):
    """What all block-incremental files of a backup have in common."""

    stanza: str
    references: tuple[str, ...]
    """Labels; a map counts in this list."""
    encoding: Encoding

    @classmethod
    def of(cls, stanza: str, manifest: Manifest) -> Chain:
        """The chain of a backup."""
        return cls(stanza, manifest.backup.references, manifest.encoding)


def load_map(chain: Chain, name: str, block: Block, stored_map: bytes, size: int) -> list[MapEntry]:
    """Decode the last ``map_size`` stored bytes of a file of ``size`` bytes.

    Raises FormatError and CryptoError.
    """
    # A map is encrypted but never compressed.
    encoding = Encoding(cipher_pass=chain.encoding.cipher_pass)
    try:
        data = decode(stored_map, encoding, framing=FRAMING)
        entries = parse(data, block.size, block.checksum_size, -(-size // block.size))
    except FormatError as cause:
        raise FormatError(f"'{name}': {cause.message}") from cause
    last = max(entry.super_block.reference for entry in entries)
    if last >= len(chain.references):
        raise FormatError(f"'{name}': block map refers to a backup that is not in the manifest")
    return entries


def super_block_path(chain: Chain, name: str, unit: SuperBlock) -> str:
    """The repository file that holds a super block of the file ``name``."""
    holder = chain.references[unit.reference]
    if unit.bundle_id:
        return layout.bundle_path(chain.stanza, holder, unit.bundle_id)
    return layout.block_path(chain.stanza, holder, name)
