# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a block-incremental file, out of several backups (repository reference, 13.5)."""

from __future__ import annotations

import collections
import typing as t

from ...repository import blockmap
from ...repository.blockmap import Chain, SuperBlock
from ...repository.contents import Block
from ...repository.stored import Stored
from ...storage.base import Reader, Storage
from ...transform.pipeline import decode

# Super blocks asked for ahead of the one that is used; each is about 1 MiB at most.
AHEAD = 16


def content(
    storage: Storage, chain: Chain, name: str, stored: Stored, block: Block, size: int
) -> t.Iterator[bytes]:
    """The file, block by block; it has ``size`` bytes.

    Raises FormatError and CryptoError for what is damaged.
    """
    offset = stored.offset + stored.size - block.map_size
    stored_map = storage.reader(stored.path, offset=offset, size=block.map_size).read_all()
    entries = blockmap.load_map(chain, name, block, stored_map, size)
    units = blockmap.super_blocks(entries)
    yield from blockmap.assemble(entries, block.size, _fetch(storage, chain, name, units))


def _fetch(
    storage: Storage, chain: Chain, name: str, units: t.Iterable[SuperBlock]
) -> t.Iterator[bytes]:
    """The super blocks in their order, decoded; the next ones are under way."""
    waiting = collections.deque(units)
    opened: collections.deque[tuple[SuperBlock, Reader]] = collections.deque()
    try:
        while waiting or opened:
            while waiting and len(opened) < AHEAD:
                unit = waiting.popleft()
                path = blockmap.super_block_path(chain, name, unit)
                reader = storage.reader(path, offset=unit.offset, size=unit.stored_size)
                opened.append((unit, reader))
            unit, reader = opened.popleft()
            data = reader.read_all()
            yield decode(data, chain.encoding, framing=blockmap.FRAMING, most=unit.size)
    finally:
        for _unit, reader in opened:
            reader.close()
