# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing block maps: the exact inverse of reading them, for any chain and for the real tool's."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    backup_info,
    blockmap,
    blockmap_writer,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.blockmap import (
    MapEntry,
    SuperBlock,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.stored import stored
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    Framing,
    decode,
)
from ansible_collections.pgsftp.backup.tests.support.fixtures import FixtureRepositories

BLOCK = 8192


@st.composite
def chains(draw: st.DrawFn) -> list[MapEntry]:
    """The map of a file after some backups: each changes, adds or cuts off blocks."""
    entries: list[MapEntry] = []
    for reference in draw(st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True)):
        count = draw(st.integers(1, 30))
        capacity = draw(st.integers(1, 8))
        changed = [
            n for n in range(count) if n >= len(entries) or draw(st.integers(0, 3), label="c") == 0
        ]
        entries = entries[:count] + [t.cast(MapEntry, None)] * (count - len(entries))
        bundle_id = draw(st.integers(0, 300))
        offset = draw(st.integers(0, 10**6)) if bundle_id else 0
        short = draw(st.integers(1, BLOCK))
        for start in range(0, len(changed), capacity):
            blocks = changed[start : start + capacity]
            size = len(blocks) * BLOCK
            if blocks[-1] == count - 1:
                size += short - BLOCK
            unit = SuperBlock(reference, bundle_id, offset, draw(st.integers(1, 2 * size)), size)
            for number, block in enumerate(blocks):
                entries[block] = MapEntry(unit, number, draw(st.binary(min_size=6, max_size=6)))
            offset += unit.stored_size
    return entries


@given(chains())
def test_reading_gives_what_was_written(entries: list[MapEntry]) -> None:
    data = blockmap_writer.encode(entries, BLOCK)
    assert blockmap.parse(data, BLOCK, 6) == entries


@pytest.mark.parametrize("name", ["d", "g"])
def test_the_maps_of_the_real_tool_are_written_byte_for_byte(
    fixture_repositories: FixtureRepositories, name: str
) -> None:
    repository = fixture_repositories[name]
    storage = PosixStorage(str(repository.path))
    info = backup_info.load(storage, "demo", repository.cipher_pass)
    count = 0
    for label in info.backups:
        backup = manifest.load(storage, "demo", label, info.cipher_pass)
        for file in backup.files:
            if file.block is None:
                continue
            place = stored("demo", backup, file)
            assert place is not None
            reader = storage.reader(
                place.path,
                offset=place.offset + place.size - file.block.map_size,
                size=file.block.map_size,
            )
            encoding = Encoding(cipher_pass=backup.cipher_pass)
            data = decode(reader.read_all(), encoding, framing=Framing.RAW)
            entries = blockmap.parse(data, file.block.size, file.block.checksum_size)
            assert blockmap_writer.encode(entries, file.block.size) == data, file.name
            count += 1
    assert count > 20


def test_blocks_that_skip_some_of_their_super_block_need_no_other_backup_between_them() -> None:
    unit = SuperBlock(0, 1, 0, 100, 5 * BLOCK)
    entries = [MapEntry(unit, number, b"abcdef") for number in (0, 1, 4)]
    assert blockmap.parse(blockmap_writer.encode(entries, BLOCK), BLOCK, 6) == entries


def test_super_blocks_that_do_not_touch_need_no_other_backup_between_them() -> None:
    first, second = SuperBlock(0, 1, 0, 100, BLOCK), SuperBlock(0, 1, 150, 100, BLOCK)
    entries = [MapEntry(first, 0, b"abcdef"), MapEntry(second, 0, b"ghijkl")]
    assert blockmap.parse(blockmap_writer.encode(entries, BLOCK), BLOCK, 6) == entries


@pytest.mark.parametrize("numbers", [(1, 0), (0, 0)])
def test_a_backup_is_never_read_backwards(numbers: tuple[int, int]) -> None:
    unit = SuperBlock(0, 1, 0, 100, 2 * BLOCK)
    entries = [MapEntry(unit, number, b"abcdef") for number in numbers]
    with pytest.raises(FormatError, match="not in the order"):
        blockmap_writer.encode(entries, BLOCK)
    first, second = SuperBlock(0, 1, 0, 100, BLOCK), SuperBlock(0, 1, 100, 100, BLOCK)
    with pytest.raises(FormatError, match="not in the order"):
        blockmap_writer.encode(
            [MapEntry(second, 0, b"abcdef"), MapEntry(first, 0, b"abcdef")], BLOCK
        )
