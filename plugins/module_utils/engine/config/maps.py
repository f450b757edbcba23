# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maps of numbers by which files are divided into blocks (repository reference, section 13.1).

pgBackRest takes blocks of any size, but its manifest counts them in units of 8 KiB, and its digests
have 16 bytes: what would not come out of a repository as it went in is refused here.
"""

from __future__ import annotations

import typing as t

from ..errors import OptionInvalidValueError
from . import values

BLOCK_UNIT = 8192
CHECKSUM_RANGE = range(6, 17)

Row = tuple[int, int]


def table(field: str, pairs: t.Iterable[tuple[str, str]], name: str) -> tuple[Row, ...]:
    """The rows of the map in ``field`` of the options, by descending first column.

    ``name`` is the option as the user wrote it. Raises OptionInvalidValueError.
    """
    read = _READERS[field]
    rows = []
    for key, value in pairs:
        row = read(key, value)
        if row is None:
            raise OptionInvalidValueError(
                f"'{key}={value}' is not valid for '{name}' option", hint=_HINTS[field]
            )
        rows.append(row)
    return tuple(sorted(rows, reverse=True))


def _sizes(key: str, value: str) -> Row | None:
    file, block = values.size(key), values.size(value)
    return (file, block) if file and block and not block % BLOCK_UNIT else None


def _ages(key: str, value: str) -> Row | None:
    return (int(key), int(value)) if key.isdecimal() and value.isdecimal() else None


def _checksums(key: str, value: str) -> Row | None:
    block = values.size(key)
    if not block or not value.isdecimal() or int(value) not in CHECKSUM_RANGE:
        return None
    return block, int(value)


_READERS: dict[str, t.Callable[[str, str], Row | None]] = {
    "block_size_map": _sizes,
    "block_age_map": _ages,
    "block_checksum_size_map": _checksums,
}
_HINTS = {
    "block_size_map": "a size of file and a block size, a multiple of 8KiB, such as 16MiB=64KiB.",
    "block_age_map": "days and a multiplier of the block size, 0 for no blocks, such as 7=2.",
    "block_checksum_size_map": "a block size and a number of bytes from 6 to 16, such as 32KiB=7.",
}

FIELDS = frozenset(_READERS)
