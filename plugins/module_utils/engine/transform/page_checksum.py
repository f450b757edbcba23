# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's page checksums, over whole batches of pages (repository reference, section 14).

The algorithm is that of PostgreSQL's ``storage/checksum_impl.h``: 32 running sums over the words of
a page. numpy runs it over all pages of a batch at once; batches under a hundred pages are several
times slower.
"""

from __future__ import annotations

import struct
import typing as t

from .. import dependency

if t.TYPE_CHECKING:
    from .compression import Buffer

BATCH_PAGES = 128

# Block numbers have 32 bits (PostgreSQL's storage/block.h).
_BLOCK_NUMBERS = 1 << 32

# More bytes of WAL than are written while a backup is made.
_WAL_OF_A_BACKUP = 1 << 40

_LANES = 32
_PRIME = 16777619

# fmt: off
_SEED = (
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
)
# fmt: on


class PageReport(t.NamedTuple):
    """What the check of a file found."""

    valid: bool
    errors: tuple[int | tuple[int, int], ...]
    """Block numbers of bad pages, ascending; a run of them as first and last. They count from the
    first segment of the relation. Empty for a misaligned file."""
    misaligned: bool
    """Whether the file ends inside a page."""
    by_position: bool = False
    """Whether a page with a wrong checksum counts as good for its position alone: true of this
    backup, whose WAL has an image of it, and of no later one."""


def first_block(file_name: str, segment_pages: int) -> int:
    """The number of a relation file's first block: ``16384.2`` is the third segment.

    A segment has ``segment_pages`` pages: 1 GiB, unless the server was built otherwise. Of a file
    that only looks like a segment the number is as far off as its name.
    """
    _stem, dot, number = file_name.rpartition(".")
    segment = int(number) if dot and number.isascii() and number.isdigit() else 0
    return segment * segment_pages % _BLOCK_NUMBERS


class PageCheck:
    """Checks the pages of one relation file as its bytes pass by.

    ``reread(offset, size)`` reads the live file again: a page that has changed since is being
    written, and WAL replay will put it right, so it counts as good. None never reads again.

    ``replayed_from`` is where the WAL of the backup begins, if it has any: a page whose own
    position is not before that has been written since, and the WAL has an image of it. A position
    that no backup gets to is damage like any other.
    """

    def __init__(
        self,
        page_size: int,
        first_block: int = 0,
        reread: t.Callable[[int, int], bytes] | None = None,
        *,
        replayed_from: int | None = None,
    ) -> None:
        self._page_size = page_size
        self._replayed_from = replayed_from
        self._first_block = first_block
        self._reread = reread
        self._batch = BATCH_PAGES * page_size
        self._pending = bytearray()
        self._offset = 0
        self._runs: list[list[int]] = []
        self._by_position = False
        self._sums = _Sums(page_size)

    def update(self, data: Buffer) -> None:
        """Take the next bytes of the file."""
        view = memoryview(data)
        if self._pending:
            missing = self._batch - len(self._pending)
            self._pending += view[:missing]
            view = view[missing:]
            if len(self._pending) < self._batch:
                return
            self._check(bytes(self._pending))
            self._pending.clear()
        while len(view) >= self._batch:
            self._check(view[: self._batch])
            view = view[self._batch :]
        self._pending += view

    def finish(self) -> PageReport:
        """The result; call once."""
        rest = len(self._pending) % self._page_size
        whole = bytes(self._pending[: len(self._pending) - rest])
        if whole:
            self._check(whole)
        if rest:
            return PageReport(False, (), misaligned=True, by_position=self._by_position)
        errors = tuple(first if first == last else (first, last) for first, last in self._runs)
        return PageReport(not errors, errors, misaligned=False, by_position=self._by_position)

    def _check(self, pages: Buffer) -> None:
        block = self._first_block + self._offset // self._page_size
        for index in self._sums.mismatches(pages, block):
            start = index * self._page_size
            page = bytes(pages[start : start + self._page_size])
            if self._is_bad(page, self._offset + start):
                self._add(block + index)
        self._offset += len(pages)

    def _is_bad(self, page: bytes, offset: int) -> bool:
        if not page.strip(b"\0"):
            # Allocated and never written.
            return False
        if self._reread is not None and self._reread(offset, len(page)) != page:
            return False
        start = self._replayed_from
        if start is None or not start <= _position(page) < start + _WAL_OF_A_BACKUP:
            return True
        self._by_position = True
        return False

    def _add(self, block: int) -> None:
        if self._runs and self._runs[-1][1] == block - 1:
            self._runs[-1][1] = block
        else:
            self._runs.append([block, block])


def _position(page: bytes) -> int:
    """Where the WAL was that changed the page last; two numbers, the higher one first."""
    high, low = struct.unpack_from("<II", page)
    return int(high) << 32 | int(low)


class _Sums:
    """The arithmetic, with the constants that a batch needs."""

    def __init__(self, page_size: int) -> None:
        np = self._np = dependency.numpy()
        self._rows = page_size // 4 // _LANES
        self._seed = np.array(_SEED, dtype=np.uint32)
        self._prime = np.uint32(_PRIME)
        self._shift = np.uint32(17)

    def mismatches(self, pages: Buffer, block: int) -> list[int]:
        """Indexes of the pages whose stored checksum is not the computed one."""
        np = self._np
        words = np.frombuffer(pages, dtype="<u4").reshape(-1, self._rows, _LANES)
        count = words.shape[0]
        # One contiguous slab of all pages for each row of words.
        rows = words.transpose(1, 0, 2).astype(np.uint32)
        header = rows[0, :, 2].copy()
        # The checksum's own field, the lower half of the third word, counts as zero.
        rows[0, :, 2] = header & np.uint32(0xFFFF0000)
        sums = np.broadcast_to(self._seed, (count, _LANES)).copy()
        shifted = np.empty_like(sums)
        for row in rows:
            np.bitwise_xor(sums, row, out=sums)
            self._mix(sums, shifted)
        for _round in range(2):
            self._mix(sums, shifted)
        result = np.bitwise_xor.reduce(sums, axis=1)
        result ^= np.arange(block, block + count, dtype=np.uint64).astype(np.uint32)
        computed = result % np.uint32(65535) + np.uint32(1)
        stored = header & np.uint32(0xFFFF)
        return t.cast("list[int]", np.nonzero(computed != stored)[0].tolist())

    def _mix(self, sums: t.Any, shifted: t.Any) -> None:
        np = self._np
        np.right_shift(sums, self._shift, out=shifted)
        np.multiply(sums, self._prime, out=sums)
        np.bitwise_xor(sums, shifted, out=sums)
