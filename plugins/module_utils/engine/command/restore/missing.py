# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a range that are not there, however many: a target may be far beyond all WAL."""

from __future__ import annotations

import itertools
import typing as t


class Missing(t.Sequence[int]):
    """Counted by those that are there, and listed as far as somebody asks; both ends included."""

    def __init__(self, first: int, last: int, there: t.Collection[int]) -> None:
        self._range = range(first, last + 1)
        self._there = there

    def __len__(self) -> int:
        return len(self._range) - sum(number in self._range for number in self._there)

    def __iter__(self) -> t.Iterator[int]:
        return (number for number in self._range if number not in self._there)

    @t.overload
    def __getitem__(self, index: int) -> int: ...

    @t.overload
    def __getitem__(self, index: slice) -> list[int]: ...

    def __getitem__(self, index: int | slice) -> int | list[int]:
        """Counted from the front: IndexError for what is not there, ValueError from the end."""
        if isinstance(index, slice):
            return list(itertools.islice(self, index.start, index.stop, index.step))
        for number in itertools.islice(self, index, None):
            return number
        raise IndexError(index)
