# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block maps: worked examples, and nothing but FormatError for what is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import blockmap
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.blockmap import (
    MapEntry,
    SuperBlock,
)

# pg_data/base/5/16390_fsm of the full backup of fixture d.
SMALL = bytes.fromhex("000702ea5bf30a062c6ed346e2f58abcbdaff18841a1ff09e467")


def test_the_worked_example() -> None:
    unit = SuperBlock(reference=0, bundle_id=2, offset=11754, stored_size=174, size=24576)
    assert blockmap.parse(SMALL, 8192, 6) == [
        MapEntry(unit, 0, bytes.fromhex("2c6ed346e2f5")),
        MapEntry(unit, 1, bytes.fromhex("8abcbdaff188")),
        MapEntry(unit, 2, bytes.fromhex("41a1ff09e467")),
    ]


def number(value: int) -> bytes:
    output = bytearray()
    while value > 127:
        output.append(value & 127 | 128)
        value >>= 7
    return bytes([*output, value])


def test_a_changed_block_in_the_middle() -> None:
    # Blocks 0 and 1 of a super block of 4 in backup 0, one of backup 2, blocks 3 and 4 of the
    # first.
    data = b"".join(
        [
            number(0),
            number(0 << 3 | 2 | 4) + number(1) + number(1000),
            number(500 << 3 | 4 | 2 | 1) + number(3 << 1 | 1) + number(4096),
            number(1 << 1) + b"aabb",
            number(2 << 3),
            # Smaller by 300: zigzag of a negative number; its size is one block.
            number((300 * 2 - 1) << 3 | 1) + b"cc",
            number(0 << 3 | 2 | 4 | 1),
            number(0 << 1 | 1) + number(1) + b"dd",
        ]
    )
    first = SuperBlock(0, 1, 1000, 500, 3 * 8192 + 4096)
    second = SuperBlock(2, 0, 0, 200, 8192)
    entries = blockmap.parse(data, 8192, 2)
    assert entries == [
        MapEntry(first, 0, b"aa"),
        MapEntry(first, 1, b"bb"),
        MapEntry(second, 0, b"cc"),
        MapEntry(first, 3, b"dd"),
    ]
    assert blockmap.super_blocks(entries) == [first, second]
    content = b"".join(bytes([n]) * 8192 for n in range(4))[: first.size]
    pieces = list(blockmap.assemble(entries, 8192, [content, b"x" * 8192]))
    assert pieces == [b"\0" * 8192, b"\1" * 8192, b"x" * 8192, b"\3" * 4096]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged"),
        (b"\1" + SMALL[1:], "version"),
        (SMALL[:-1], "damaged"),
        (SMALL + b"\0", "damaged"),
        (b"\0" + b"\xff" * 20, "damaged"),
    ],
)
def test_what_is_no_map(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        blockmap.parse(data, 8192, 6)


def one_super_block(stored_size: int, size: int, offset: int = 0, count: int = 1) -> bytes:
    """A map of a file whose super block has these sizes."""
    return b"".join(
        [
            number(0),
            number(1 | 2 | 4) + number(1) + number(offset),
            number(stored_size << 3 | 4 | 2 | 1) + number(size // 8192 << 1),
            number(count - 1 << 1),
            b"abcdef",
        ]
    )


def test_a_few_bytes_are_not_many_blocks() -> None:
    data = one_super_block(100, 8192 << 10, count=1 << 10)
    with pytest.raises(FormatError, match="more than the 3 blocks of the file"):
        blockmap.parse(data, 8192, 6, 3)


@pytest.mark.parametrize(
    ("stored_size", "size", "offset"),
    [
        (100, 1 << 40, 0),
        (1 << 40, 8192, 0),
        (100, 8192, 1 << 62),
        (100, 16 * 1024 * 1024 + 8192, 0),
    ],
)
def test_a_super_block_is_not_larger_than_anybody_writes(
    stored_size: int, size: int, offset: int
) -> None:
    assert blockmap.parse(one_super_block(100, 16 * 1024 * 1024), 8192, 6, 1)
    with pytest.raises(FormatError, match="too large"):
        blockmap.parse(one_super_block(stored_size, size, offset), 8192, 6, 1)


@given(st.binary(max_size=60))
@example(SMALL)
def test_any_bytes_are_a_map_or_refused(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        entries = blockmap.parse(data, 8192, 6, 5)
        assert len(entries) <= 5
        for entry in entries:
            assert entry.number * 8192 < entry.super_block.size
            assert entry.super_block.stored_size > 0


def test_a_super_block_of_another_size_is_refused() -> None:
    entries = blockmap.parse(SMALL, 8192, 6)
    for contents in ([], [b"short"]):
        with pytest.raises(FormatError, match="super block at 11754"):
            list(blockmap.assemble(entries, 8192, contents))
