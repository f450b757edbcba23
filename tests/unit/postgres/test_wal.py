# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions, names and headers of WAL."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import releases, wal

SIZES = st.sampled_from([1 << power for power in range(20, 31)])
LSNS = st.integers(0, 2**64 - 1)
TIMELINES = st.integers(1, 2**32 - 1)


@given(LSNS)
def test_a_position_as_text_and_back(lsn):
    assert wal.lsn_parse(wal.lsn_text(lsn)) == lsn


def test_positions_as_postgresql_writes_them():
    assert wal.lsn_text(0x3000028) == "0/3000028"
    assert wal.lsn_parse("1A/FF") == 0x1A000000FF
    assert wal.lsn_text(0x1A000000FF) == "1A/FF"
    for text in ("", "0", "0/", "/1", "0/G", "0/123456789", "0/1 ", "-1/0"):
        with pytest.raises(errors.FormatError):
            wal.lsn_parse(text)


@pytest.mark.parametrize(
    ("lsn", "size", "name"),
    [
        ("0/0", 16 << 20, "000000010000000000000000"),
        ("0/3000028", 16 << 20, "000000010000000000000003"),
        ("0/FF000000", 16 << 20, "0000000100000000000000FF"),
        ("1/0", 16 << 20, "000000010000000100000000"),
        ("0/3000028", 1 << 20, "000000010000000000000030"),
        ("0/FFFFFFFF", 1 << 20, "000000010000000000000FFF"),
        ("2/C0000000", 1 << 30, "000000010000000200000003"),
    ],
)
def test_the_segment_of_a_position(lsn, size, name):
    assert wal.segment_name(1, wal.lsn_parse(lsn), size) == name


@given(TIMELINES, LSNS, SIZES)
def test_a_name_gives_back_what_it_was_made_of(timeline, lsn, size):
    name = wal.segment_name(timeline, lsn, size)
    assert wal.is_segment(name)
    assert wal.timeline_of(name) == timeline
    assert wal.segment_number(name, size) == lsn // size
    assert wal.number_name(timeline, lsn // size, size) == name


@given(TIMELINES, st.integers(0, 2**63), st.integers(0, 100), SIZES)
def test_a_range_has_no_gap(timeline, start, count, size):
    names = wal.segments_between(timeline, start, start + count * size, size)
    assert len(names) == count + 1
    for before, after in zip(names, names[1:]):
        assert wal.next_segment(before, size) == after
        assert wal.previous_segment(after, size) == before
        assert before < after


KINDS = (wal.is_segment, wal.is_partial, wal.is_history, wal.is_backup_label)


@given(TIMELINES, LSNS, SIZES, st.integers(0, 2**32 - 1))
def test_each_name_is_of_one_kind(timeline, lsn, size, offset):
    segment = wal.segment_name(timeline, lsn, size)
    names = (
        segment,
        f"{segment}.partial",
        f"{timeline:08X}.history",
        f"{segment}.{offset:08X}.backup",
    )
    for number, name in enumerate(names):
        assert [kind(name) for kind in KINDS] == [number == other for other in range(len(KINDS))]
        assert wal.is_wal(name)
        assert not wal.is_wal(name + "x")
        assert not wal.is_wal(name[1:])


@given(TIMELINES, LSNS, SIZES)
def test_the_neighbours_of_a_segment(timeline, lsn, size):
    name = wal.segment_name(timeline, lsn, size)
    following = wal.next_segment(name, size)
    if lsn // size < (2**64 - 1) // size:
        assert wal.segment_number(following, size) == lsn // size + 1
        assert wal.previous_segment(following, size) == name


def test_names():
    segment = "000000010000000000000003"
    assert wal.is_segment(segment)
    assert wal.is_partial(segment + ".partial")
    assert wal.is_history("00000002.history")
    assert wal.is_backup_label(segment + ".00000028.backup")
    lower = segment.replace("3", "a")
    for name in (lower, segment[:-1], segment + "0", segment + ".partial", segment + "\n"):
        assert not wal.is_segment(name)
    assert not wal.is_partial(segment)
    assert not wal.is_history("2.history")
    assert not wal.is_backup_label(segment + ".backup")


def head(magic=0xD110, flags=2, **changes):
    values = {"timeline": 1, "address": 3 << 24, "system": 2**63 + 5, "size": 16 << 20, **changes}
    data = bytearray(512)
    struct.pack_into("<HHIQ", data, 0, magic, flags, values["timeline"], values["address"])
    struct.pack_into("<QII", data, 24, values["system"], values["size"], 8192)
    return bytes(data)


def test_a_header():
    assert wal.header(head()) == wal.WalHeader("15", 1, 3 << 24, 2**63 + 5, 16 << 20, 8192)
    for release in releases.RELEASES:
        assert wal.header(head(release.wal_magic)).version == release.version


def test_a_header_that_is_none():
    with pytest.raises(errors.FileReadError, match="only 511 bytes"):
        wal.header(head()[:511])
    with pytest.raises(errors.VersionNotSupportedError, match="0x0000"):
        wal.header(bytes(512))
    with pytest.raises(errors.FormatError, match="long format"):
        wal.header(head(flags=1))


HISTORY = """\
1\t0/3000000\tno recovery target specified

# a remark
2\t0/5000060\tbefore 2026-11-22 12:00:00+00
3\t1/0
"""


def test_a_history():
    forks = wal.history(HISTORY)
    assert [(fork.timeline, wal.lsn_text(fork.lsn)) for fork in forks] == [
        (1, "0/3000000"),
        (2, "0/5000060"),
        (3, "1/0"),
    ]
    assert forks[1].reason == "before 2026-11-22 12:00:00+00"
    assert wal.history("") == []


@pytest.mark.parametrize(
    "text", ["1", "x\t0/1", "²\t0/1", "1" * 5000 + "\t0/1", "1\tnowhere", "2\t0/1\tx\n1\t0/2\tx"]
)
def test_a_history_that_is_none(text):
    with pytest.raises(errors.FormatError):
        wal.history(text)
