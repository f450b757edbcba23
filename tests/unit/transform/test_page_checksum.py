# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page checksums: real pages, damaged ones, torn ones, and files that are not whole pages."""

from __future__ import annotations

import random
import re
import struct
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.page_checksum import (
    BATCH_PAGES,
    PageCheck,
    PageReport,
    first_block,
)
from ansible_collections.pgsftp.backup.tests.support.fixtures import (  # pylint: disable=unused-import
    FixtureRepositories,
    fixture_repositories,  # noqa: F401
)

PAGE = 8192
SEGMENT = 131072
GOOD = PageReport(True, (), False)
BY_POSITION = PageReport(True, (), False, by_position=True)

# fmt: off
SEED = (
    0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c,
    0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb,
    0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4,
    0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
)
# fmt: on


def slow_checksum(page: bytes, block: int) -> int:
    """The algorithm as PostgreSQL's header describes it, one page at a time."""
    words = list(struct.unpack(f"<{len(page) // 4}I", page))
    words[2] &= 0xFFFF0000
    sums = list(SEED)
    rows = [words[start : start + 32] for start in range(0, len(words), 32)]
    for row in [*rows, [0] * 32, [0] * 32]:
        for lane, word in enumerate(row):
            mixed = sums[lane] ^ word
            sums[lane] = (mixed * 16777619 & 0xFFFFFFFF) ^ (mixed >> 17)
    result = block
    for value in sums:
        result ^= value
    return result % 65535 + 1


def make_page(seed: int, block: int, page_size: int = PAGE) -> bytes:
    page = bytearray(random.Random(seed).randbytes(page_size))
    page[8:10] = struct.pack("<H", slow_checksum(bytes(page), block))
    return bytes(page)


def check(
    data: bytes,
    block: int = 0,
    reread: t.Callable[[int, int], bytes] | None = None,
    step: int = 1 << 20,
    page_size: int = PAGE,
    replayed_from: int | None = None,
) -> PageReport:
    pages = PageCheck(page_size, block, reread, replayed_from=replayed_from)
    for start in range(0, len(data), step):
        pages.update(memoryview(data)[start : start + step])
    return pages.finish()


@pytest.fixture(scope="module")
def relations(fixture_repositories: FixtureRepositories) -> list[Path]:  # noqa: F811
    root = fixture_repositories["a"].path / "backup/demo"
    name = re.compile(r"[0-9]+(_(fsm|vm|init))?")
    return [
        path
        for path in sorted(root.glob("*/pg_data/base/*/*"))
        if name.fullmatch(path.name) and path.stat().st_size
    ]


def test_every_page_of_a_real_cluster_is_good(relations: list[Path]) -> None:
    assert len(relations) > 500
    for path in relations:
        assert check(path.read_bytes()) == GOOD, path


def test_the_slow_way_agrees(relations: list[Path]) -> None:
    data = max(relations, key=lambda path: path.stat().st_size).read_bytes()
    for block in range(0, len(data) // PAGE, 7):
        page = data[block * PAGE : (block + 1) * PAGE]
        assert slow_checksum(page, block) == struct.unpack_from("<H", page, 8)[0]


@pytest.mark.parametrize("page_size", [1024, 4096, 8192, 32768])
@pytest.mark.parametrize("block", [0, 131072, 4_000_000_000])
def test_other_page_sizes_and_segments(page_size: int, block: int) -> None:
    data = b"".join(make_page(seed, block + seed, page_size) for seed in range(3))
    assert check(data, block, page_size=page_size) == GOOD
    assert not check(data, block + 1, page_size=page_size).valid


@pytest.mark.parametrize("step", [777, PAGE, 100 * PAGE, 1 << 20])
@pytest.mark.parametrize("count", [1, BATCH_PAGES - 1, BATCH_PAGES, BATCH_PAGES + 1, 300])
def test_bytes_may_come_in_any_portions(step: int, count: int) -> None:
    pages = [make_page(1, block) for block in range(count)]
    assert check(b"".join(pages), step=step) == GOOD
    pages[-1] = pages[-1][:-1] + bytes([pages[-1][-1] ^ 1])
    assert check(b"".join(pages), step=step) == PageReport(False, (count - 1,), False)


def damaged(count: int, bad: t.Collection[int], block: int = 0) -> bytes:
    pages = []
    for index in range(count):
        page = bytearray(make_page(index, block + index))
        if index in bad:
            page[5000] ^= 0x10
        pages.append(bytes(page))
    return b"".join(pages)


def test_bad_pages_are_listed_as_runs() -> None:
    data = damaged(20, {2, 3, 4, 10, 12, 13})
    assert check(data) == PageReport(False, ((2, 4), 10, (12, 13)), False)


def test_a_run_may_span_batches() -> None:
    bad = range(BATCH_PAGES - 2, BATCH_PAGES + 3)
    data = damaged(BATCH_PAGES + 5, bad)
    assert check(data).errors == ((BATCH_PAGES - 2, BATCH_PAGES + 2),)


def test_numbers_count_from_the_first_segment() -> None:
    block = first_block("pg_data/base/5/16384.2", SEGMENT)
    assert block == 2 * 131072
    assert check(damaged(3, {1}, block), block).errors == (block + 1,)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("pg_data/base/5/16384", 0),
        ("pg_data/base/5/16384_fsm", 0),
        ("pg_data/base/5/16384.1", 131072),
        ("pg_data/base/5/16384_vm.12", 12 * 131072),
        ("pg_tblspc/1/PG_15_202209061/5/16384.x", 0),
        ("pg_data/base/5/16384.²", 0),
        # What somebody laid aside is no segment, and its pages have some number, too.
        ("pg_data/base/5/16384.20261105", 20261105 * 131072 % 2**32),
    ],
)
def test_first_blocks(name: str, number: int) -> None:
    assert first_block(name, SEGMENT) == number


def test_a_server_may_have_been_built_with_other_segments() -> None:
    assert first_block("pg_data/base/5/16384.2", 2 * SEGMENT) == 4 * SEGMENT


def test_block_numbers_have_32_bits() -> None:
    last = 2**32 - 1
    assert check(make_page(1, last) + make_page(1, 0), last) == GOOD


def test_zero_pages_are_good() -> None:
    data = bytes(PAGE) + make_page(1, 1) + bytes(3 * PAGE)
    assert check(data) == GOOD
    almost = bytearray(data)
    almost[PAGE - 1] = 1
    assert check(bytes(almost)).errors == (0,)


def test_a_page_that_changed_meanwhile_is_good() -> None:
    data = damaged(5, {1, 3})
    asked: list[tuple[int, int]] = []

    def reread(offset: int, size: int) -> bytes:
        asked.append((offset, size))
        page = data[offset : offset + size]
        # Page 1 has been written since; page 3 is as bad as before.
        return b"x" * size if offset == PAGE else page

    assert check(data, reread=reread).errors == (3,)
    assert asked == [(PAGE, PAGE), (3 * PAGE, PAGE)]


def test_a_page_that_is_gone_meanwhile_is_good() -> None:
    assert check(damaged(3, {2}), reread=lambda _offset, _size: b"") == GOOD


START = 0x2_FFFFFF28


def at(position: int) -> bytes:
    """A damaged page that the WAL at this position changed last."""
    return struct.pack("<II", position >> 32, position & 0xFFFFFFFF) + bytes(8) + b"x" * (PAGE - 16)


@pytest.mark.parametrize(
    ("position", "bad"),
    [
        (START, False),
        (START + 1, False),
        (0x3_00000000, False),
        (START + (1 << 40) - 1, False),
        (START - 1, True),
        (0x1_FFFFFFFF, True),
        # Halves the wrong way round, and bytes that are no position at all.
        (0xFFFFFF28_00000002, True),
        (START + (1 << 40), True),
        (0xFFFFFFFF_FFFFFFFF, True),
        (0, True),
    ],
)
def test_a_page_written_since_the_start_is_replayed(position: int, bad: bool) -> None:
    page = at(position)
    assert check(page).errors == (0,)
    expected = PageReport(False, (0,), False) if bad else BY_POSITION
    assert check(page, replayed_from=START) == expected


def test_pages_that_are_replayed_are_told_from_damaged_ones_in_any_batch() -> None:
    pages = [make_page(index, index) for index in range(3 * BATCH_PAGES)]
    for index in (1, BATCH_PAGES - 1, BATCH_PAGES, 2 * BATCH_PAGES + 5):
        pages[index] = at(START + index)
    for index in (2, BATCH_PAGES + 1, 3 * BATCH_PAGES - 1):
        pages[index] = at(START - index)
    for step in (PAGE, 100 * PAGE, 1 << 20):
        report = check(b"".join(pages), replayed_from=START, step=step)
        assert report.errors == (2, BATCH_PAGES + 1, 3 * BATCH_PAGES - 1)
        assert report.by_position


def test_a_page_is_read_again_before_its_position_counts() -> None:
    asked: list[int] = []

    def reread(offset: int, size: int) -> bytes:
        asked.append(offset)
        return at(START - 1)

    data = at(START - 1) + at(START) + make_page(1, 2)
    assert check(data, reread=reread, replayed_from=START).errors == (0,)
    assert asked == [0, PAGE]


def test_a_page_that_changed_meanwhile_does_not_count_by_its_position() -> None:
    data = at(START) + make_page(1, 1)
    assert check(data, reread=lambda _offset, _size: at(START + 1), replayed_from=START) == GOOD
    assert check(data, reread=lambda _offset, _size: at(START), replayed_from=START) == BY_POSITION


def test_a_good_page_does_not_count_by_its_position() -> None:
    page = bytearray(make_page(1, 0))
    page[:8] = at(START)[:8]
    page[8:10] = struct.pack("<H", slow_checksum(bytes(page), 0))
    assert check(bytes(page), replayed_from=START) == GOOD


@pytest.mark.parametrize("rest", [1, 511, 512, 1000, PAGE - 1])
@pytest.mark.parametrize("bad", [(), (1,)])
def test_a_file_that_ends_inside_a_page(rest: int, bad: tuple[int, ...]) -> None:
    data = damaged(3, bad) + b"x" * rest
    assert check(data) == PageReport(False, (), True)


def test_an_empty_file_is_good() -> None:
    assert check(b"") == GOOD
