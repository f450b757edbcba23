# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many stored files with few requests: what lies together is fetched as one range, and what is not
too much is done together.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..errors import FileReadError
from ..repository.stored import Stored
from ..storage.base import Reader

# Parts of a bundle with at most this many unwanted bytes between them are fetched together: at
# usual rates the bytes cost less than another request.
JOIN_GAP = 64 * 1024

# Whoever reads a range may keep something open for each of its files.
FILES_PER_RANGE = 256


class HasStored(t.Protocol):
    """Anything that is stored somewhere."""

    @property
    def stored(self) -> Stored:
        """Where its bytes lie."""


FileT = t.TypeVar("FileT", bound=HasStored)


@dataclass(frozen=True)
class Range(t.Generic[FileT]):
    """A part of one repository file and the files in it, in the order of their offsets."""

    path: str
    offset: int
    size: int
    files: tuple[FileT, ...]


def ranges(files: t.Iterable[FileT]) -> list[Range[FileT]]:
    """Join what lies together (pure)."""
    joined: list[Range[FileT]] = []
    for file in sorted(files, key=lambda file: (file.stored.path, file.stored.offset)):
        path, offset, size, _dummy = file.stored
        last = joined[-1] if joined else None
        if last is not None and last.path == path and len(last.files) < FILES_PER_RANGE:
            end = last.offset + last.size
            if end <= offset <= end + JOIN_GAP:
                whole = offset + size - last.offset
                joined[-1] = Range(path, last.offset, whole, (*last.files, file))
                continue
        joined.append(Range(path, offset, size, (file,)))
    return joined


ItemT = t.TypeVar("ItemT")


def groups(
    items: t.Iterable[ItemT], weight: t.Callable[[ItemT], int], *, most: int, limit: int
) -> t.Iterator[list[ItemT]]:
    """Items in their order, up to ``most`` of them together, and up to ``limit`` of their weight in
    all, in whatever unit that is. What weighs more is alone.
    """
    group: list[ItemT] = []
    total = 0
    for item in items:
        one = weight(item)
        if group and (len(group) >= most or total + one > limit):
            yield group
            group, total = [], 0
        group.append(item)
        total += one
    if group:
        yield group


class RangeBytes:
    """The bytes of one range, cut into those of its files."""

    def __init__(self, part: Range[t.Any], reader: Reader) -> None:
        self._path = part.path
        self._position = part.offset
        self._chunks = iter(reader)
        self._rest = memoryview(b"")

    def take(self, stored: Stored) -> t.Iterator[memoryview]:
        """The stored bytes of one file; files come in the order of their offsets.

        What was not taken of an earlier one is passed over.
        """
        left = stored.offset - self._position
        while left > 0:
            left -= len(self._next(left))
        left = stored.size
        while left > 0:
            data = self._next(left)
            left -= len(data)
            yield data

    def at_end(self) -> bool:
        """Whether nothing follows what was taken."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        return not self._rest

    def _next(self, most: int) -> memoryview:
        if self.at_end():
            raise FileReadError(
                f"'{self._path}' in the repository ends at {self._position} bytes, too early"
            )
        data, self._rest = self._rest[:most], self._rest[most:]
        self._position += len(data)
        return data
