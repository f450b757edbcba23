# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block-incremental files of a backup: which they are, and the maps that they build on."""

from __future__ import annotations

import collections
import typing as t

from ... import log
from ...errors import CryptoError, FileReadError, FormatError, StorageMissingError
from ...postgres.entries import FileEntry
from ...repository import block_size, blockmap
from ...repository.block_encoder import BlockEncoder, Place
from ...repository.block_size import Rules
from ...repository.blockmap import Chain, MapEntry
from ...repository.contents import Block, Manifest, ManifestFile
from ...repository.stored import stored
from ...storage.base import Reader, Storage
from ...transform.xxh3 import Digester

# What a map may be, in a repository that can be read: spoilt, cut off, gone.
_DAMAGE = (FormatError, CryptoError, FileReadError, StorageMissingError)

# Maps asked for ahead of the one that is used.
AHEAD = 16


class MapPlace(t.NamedTuple):
    """Where the map lies that the backup before has of a file, and in blocks of what size."""

    path: str
    offset: int
    block: Block
    blocks: int
    """How many blocks it tells of."""


class BlockRule(t.NamedTuple):
    """How to store a file block by block."""

    block: Block
    super_size: int
    prior: MapPlace | None = None
    """None stores all blocks."""


def block_rule(
    stanza: str,
    entry: FileEntry,
    started: int,
    prior: Manifest | None,
    old: ManifestFile | None,
    rules: Rules = block_size.DEFAULT,
) -> BlockRule | None:
    """The rule for one file; None stores it whole. ``old`` is its entry in the backup ``prior``."""
    before = old.block if old is not None else None
    block = block_size.block_for(entry.size, started - entry.mtime, before, rules)
    if block is None:
        return None
    super_size = block_size.super_size(block.size, full=prior is None, rules=rules)
    if prior is None or old is None or before is None:
        return BlockRule(block, super_size)
    place = stored(stanza, prior, old)
    if place is None or not block_size.continues(entry.size, before):
        return BlockRule(block, super_size)
    end = place.offset + place.size
    count = -(-old.size // before.size)
    return BlockRule(block, super_size, MapPlace(place.path, end - before.map_size, before, count))


class BlockEncoders:
    """Makes the encoders of a job's files, in their order; maps are fetched ahead."""

    def __init__(
        self, storage: Storage, chain: Chain, files: t.Iterable[tuple[str, BlockRule | None]]
    ) -> None:
        self._storage = storage
        self._chain = chain
        self._waiting = collections.deque(
            (name, rule.prior)
            for name, rule in files
            if rule is not None and rule.prior is not None
        )
        self._opened: dict[str, Reader] = {}
        self._digester: Digester | None = None
        self.damaged: set[str] = set()
        """Files that no backup can refer to any more, by name."""

    def encoder(self, name: str, rule: BlockRule, bundle_id: int, offset: int) -> BlockEncoder:
        """The encoder of a file whose stored bytes begin at ``offset`` of the bundle.

        A file of which the map that it would build on is damaged is stored whole, block by block.
        """
        if self._digester is None:
            self._digester = Digester.best()
        place = Place(len(self._chain.references) - 1, bundle_id, offset)
        entries: t.Sequence[MapEntry] = ()
        if rule.prior is not None:
            entries = self._map(name, rule.prior)
        return BlockEncoder(
            self._chain.encoding, rule.block, rule.super_size, place, entries, self._digester
        )

    def _map(self, name: str, place: MapPlace) -> t.Sequence[MapEntry]:
        try:
            stored_map = self._reader(name).read_all()
            size = place.blocks * place.block.size
            entries = blockmap.load_map(self._chain, name, place.block, stored_map, size)
            if len(entries) != place.blocks:
                raise FormatError(f"it tells of {len(entries)} blocks instead of {place.blocks}")
            return entries
        except _DAMAGE as cause:
            log.warn(
                "block map of '%s' in '%s' is damaged, all of the file is stored: %s\n"
                "HINT: backups that need it cannot be restored; verify names them.",
                name,
                place.path,
                cause.message,
            )
            self.damaged.add(name)
            return ()

    def _reader(self, name: str) -> Reader:
        while self._waiting and (name not in self._opened or len(self._opened) < AHEAD):
            ahead, place = self._waiting.popleft()
            self._opened[ahead] = self._storage.reader(
                place.path, offset=place.offset, size=place.block.map_size
            )
        return self._opened.pop(name)

    def close(self) -> None:
        """Give up maps that were asked for and not used, as those of files that vanished."""
        for reader in self._opened.values():
            reader.close()
        self._opened.clear()
