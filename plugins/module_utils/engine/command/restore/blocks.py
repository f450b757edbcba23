# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of block-incremental files, out of several backups (repository reference, 13.5).

A file is known by its map, which lies behind its own super blocks. One at a time each would cost
four round trips, and a cluster has a thousand: so the maps of many are read together, those of
small files with all that lies before them, and then the super blocks of all.
"""

from __future__ import annotations

import collections
import typing as t

from ...errors import EngineError, FileReadError, StorageMissingError, TransportLostError
from ...repository import blockmap
from ...repository.blockmap import Chain, MapEntry, SuperBlock
from ...repository.contents import Block
from ...repository.stored import Stored
from ...storage.base import Reader, Storage
from ...transform.pipeline import decode
from ..ranges import Range, RangeBytes, groups, ranges

# Files whose maps are read together, and the bytes that are held for that. A map takes some thirty
# times the bytes that it has in the repository.
_FILES = 256
_HELD = 16 * 1024 * 1024
_MAP_WEIGHT = 32

# Of a file that takes no more in the repository everything is read with its map.
_SMALL = 1024 * 1024

# What is asked for ahead of what is used.
_READERS_AHEAD = 64
_BYTES_AHEAD = 16 * 1024 * 1024

# Super blocks that lie together are read together, up to about so many bytes.
_RUN = 1024 * 1024


class BlockFile(t.NamedTuple):
    """A block-incremental file; ``size`` is that of the original, in bytes."""

    name: str
    stored: Stored
    block: Block
    size: int


class _Head(t.NamedTuple):
    """What is read of a file to know its super blocks; its end is the file's."""

    number: int
    file: BlockFile
    stored: Stored

    @property
    def weight(self) -> int:
        """Bytes of memory."""
        return max(self.stored.size, _MAP_WEIGHT * self.file.block.map_size)

    @classmethod
    def of(cls, number: int, file: BlockFile) -> _Head:
        whole, rest = file.stored, file.block.map_size
        if whole.size <= _SMALL:
            return cls(number, file, whole)
        map_alone = whole._replace(offset=whole.offset + whole.size - rest, size=rest)
        return cls(number, file, map_alone)


class _Run(t.NamedTuple):
    """Super blocks that are needed one after another, and lie so."""

    path: str
    offset: int
    size: int
    units: tuple[SuperBlock, ...]
    held: memoryview | None
    """Their bytes, where they are known."""


class _Mapped(t.NamedTuple):
    """A file of which all is known but its content, or why not."""

    number: int
    file: BlockFile
    entries: t.Sequence[MapEntry] = ()
    runs: t.Sequence[_Run] = ()
    error: EngineError | None = None


def contents(
    storage: Storage, chain: Chain, files: t.Sequence[BlockFile]
) -> t.Iterator[tuple[int, t.Iterator[bytes]]]:
    """The number of each file and its content, block by block, in the order in which they lie.

    What is not taken of a content before the next one is asked for is given up. Taking it raises
    FormatError and CryptoError for what is damaged, and what the storage raises.
    """
    heads = sorted(
        (_Head.of(number, file) for number, file in enumerate(files)),
        key=lambda head: (head.stored.path, head.stored.offset),
    )
    for batch in groups(heads, lambda head: head.weight, most=_FILES, limit=_HELD):
        rows = list(_mapped(storage, chain, batch))
        supply = _Supply(storage, chain, rows)
        try:
            for order, row in enumerate(rows):
                yield row.number, supply.content(order, row)
        finally:
            supply.close()


def content(storage: Storage, chain: Chain, file: BlockFile) -> bytes:
    """All of a small file; raises as ``contents``."""
    return b"".join(
        piece for _number, pieces in contents(storage, chain, [file]) for piece in pieces
    )


def _mapped(storage: Storage, chain: Chain, heads: list[_Head]) -> t.Iterator[_Mapped]:
    waiting = collections.deque(ranges(heads))
    opened: collections.deque[tuple[Range[_Head], Reader]] = collections.deque()
    try:
        while waiting or opened:
            while waiting and len(opened) < _READERS_AHEAD:
                part = waiting.popleft()
                reader = storage.reader(part.path, offset=part.offset, size=part.size)
                opened.append((part, reader))
            part, reader = opened.popleft()
            with reader:
                yield from _map_part(storage, chain, part, reader)
    finally:
        for _part, reader in opened:
            reader.close()


def _map_part(
    storage: Storage, chain: Chain, part: Range[_Head], reader: Reader
) -> t.Iterator[_Mapped]:
    cut = RangeBytes(part, reader)
    for number, head in enumerate(part.files):
        try:
            data = memoryview(b"".join(cut.take(head.stored)))
        except TransportLostError:
            raise
        except (StorageMissingError, FileReadError) as error:
            # It is not there, or ends too early: so it does for all that lies behind.
            for other in part.files[number:]:
                yield _Mapped(other.number, other.file, error=error)
            return
        except EngineError as error:
            yield _Mapped(head.number, head.file, error=error)
            for other in part.files[number + 1 :]:
                yield from _mapped(storage, chain, [other])
            return
        yield _map(chain, head, data)


def _map(chain: Chain, head: _Head, data: memoryview) -> _Mapped:
    """Of a file of which these stored bytes are known, its end with the map included."""
    file = head.file
    stored_map = bytes(data[len(data) - file.block.map_size :])
    try:
        entries = blockmap.load_map(chain, file.name, file.block, stored_map, file.size)
    except EngineError as error:
        return _Mapped(head.number, file, error=error)
    return _Mapped(head.number, file, entries, list(_runs(chain, head, data, entries)))


def _runs(
    chain: Chain, head: _Head, data: memoryview, entries: t.Sequence[MapEntry]
) -> t.Iterator[_Run]:
    """The super blocks of a file in their order; ``data`` is what is held of its stored bytes."""
    run: _Run | None = None
    for unit in blockmap.super_blocks(entries):
        path = blockmap.super_block_path(chain, head.file.name, unit)
        start = unit.offset - head.stored.offset
        end = start + unit.stored_size
        held = (
            data[start:end] if path == head.stored.path and 0 <= start < end <= len(data) else None
        )
        if (
            run is not None
            and run.held is None
            and held is None
            and (path, unit.offset) == (run.path, run.offset + run.size)
            and run.size + unit.stored_size <= _RUN
        ):
            run = run._replace(size=run.size + unit.stored_size, units=(*run.units, unit))
            continue
        if run is not None:
            yield run
        run = _Run(path, unit.offset, unit.stored_size, (unit,), held)
    if run is not None:
        yield run


class _Opened(t.NamedTuple):
    """A run that was asked for; ``order`` is that of its file."""

    order: int
    run: _Run
    reader: Reader | None
    """None where its bytes are held."""

    def read(self) -> memoryview:
        """Its stored bytes."""
        if self.run.held is not None:
            return self.run.held
        return memoryview(b"" if self.reader is None else self.reader.read_all())

    def close(self) -> None:
        """Give them up."""
        if self.reader is not None:
            self.reader.close()


class _Supply:
    """The super blocks of some files, in their order; the next ones are under way."""

    def __init__(self, storage: Storage, chain: Chain, rows: t.Sequence[_Mapped]) -> None:
        self._storage = storage
        self._chain = chain
        self._waiting = collections.deque(
            (order, run) for order, row in enumerate(rows) for run in row.runs
        )
        self._opened: collections.deque[_Opened] = collections.deque()
        self._readers = 0
        self._bytes = 0

    def content(self, order: int, row: _Mapped) -> t.Iterator[bytes]:
        """One file, block by block."""
        if row.error is not None:
            raise row.error
        yield from blockmap.assemble(row.entries, row.file.block.size, self._units(order))

    def close(self) -> None:
        """Give up what nobody has taken."""
        while self._opened:
            self._take().close()

    def _units(self, order: int) -> t.Iterator[bytes]:
        """Those of one file, decoded. What is left of files before it is given up."""
        while self._opened and self._opened[0].order < order:
            self._take().close()
        while self._waiting and self._waiting[0][0] < order:
            self._waiting.popleft()
        while True:
            self._ask()
            if not self._opened or self._opened[0].order != order:
                return
            run = self._opened[0].run
            stored = self._take().read()
            for unit in run.units:
                start = unit.offset - run.offset
                part = stored[start : start + unit.stored_size]
                yield decode(part, self._chain.encoding, framing=blockmap.FRAMING, most=unit.size)

    def _ask(self) -> None:
        while self._waiting and self._readers < _READERS_AHEAD and self._bytes < _BYTES_AHEAD:
            order, run = self._waiting.popleft()
            reader = None
            if run.held is None:
                reader = self._storage.reader(run.path, offset=run.offset, size=run.size)
                self._readers += 1
                self._bytes += run.size
            self._opened.append(_Opened(order, run, reader))

    def _take(self) -> _Opened:
        taken = self._opened.popleft()
        if taken.reader is not None:
            self._readers -= 1
            self._bytes -= taken.run.size
        return taken
