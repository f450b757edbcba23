# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaps in the WAL: which there are, and which are as they should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.timeline import path
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.wal import (
    Fork,
    number_name,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import wal_gaps
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive import (
    WalRange,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.wal_gaps import (
    RETENTION,
    Gap,
    Need,
    first_hole,
    gaps,
    missing,
    ranges,
)

SIZE = 16 * 1024 * 1024


def names(*numbers, timeline=1, size=SIZE):
    return [number_name(timeline, number, size) for number in numbers]


def name(number, timeline=1, size=SIZE):
    return number_name(timeline, number, size)


def test_neighbours_are_one_range_also_across_a_log_file():
    assert ranges(names(254, 255, 256, 300), SIZE) == [
        WalRange("0000000100000000000000FE", "000000010000000100000000"),
        WalRange("00000001000000010000002C", "00000001000000010000002C"),
    ]


def test_a_timeline_begins_a_range():
    assert len(ranges(names(1, 2) + names(3, timeline=2), SIZE)) == 2


def test_what_is_missing_is_named_as_a_range():
    assert gaps(names(1, 2, 6), SIZE) == [Gap(name(3), name(5), 3, None)]


def test_small_segments_have_gaps_across_a_log_file_too():
    size = 1024 * 1024
    found = gaps(names(4094, 4097, size=size), size)
    assert found == [Gap("000000010000000000000FFF", "000000010000000100000000", 2, None)]


def test_retention_leaves_gaps_between_backups():
    needs = [Need("a", name(1), name(2)), Need("b", name(6), name(6))]
    assert gaps(names(1, 2, 6, 7), SIZE, needs) == [Gap(name(3), name(5), 3, RETENTION)]


def test_a_gap_that_reaches_into_what_retention_keeps_is_none_of_its_doing():
    needs = [Need("a", name(1), name(2)), Need("b", name(5), name(6))]
    assert gaps(names(1, 2, 6, 7), SIZE, needs)[0].reason is None
    assert gaps(names(1, 5, 6, 7), SIZE, needs)[0].reason is None


FORK = {2: [Fork(1, 5 * SIZE + 100, "promoted")]}


def test_the_segment_of_the_fork_may_be_partial_on_the_old_timeline():
    assert gaps(names(3, 4) + names(5, 6, timeline=2), SIZE, (), FORK) == []
    assert gaps(names(3, 4, 5) + names(5, 6, timeline=2), SIZE, (), FORK) == []


def test_what_the_old_timeline_had_after_the_fork_does_not_count():
    assert gaps(names(4, 5, 6, 7) + names(5, timeline=2), SIZE, (), FORK) == []


def test_gaps_on_either_side_of_a_fork():
    found = gaps(names(2) + names(7, timeline=2), SIZE, (), FORK)
    assert found == [Gap(name(3), name(4), 2, None), Gap(name(5, 2), name(6, 2), 2, None)]


def test_retention_may_remove_everything_around_a_fork():
    needs = [Need("a", name(2), name(2)), Need("b", name(7, 2), name(7, 2))]
    found = gaps(names(2) + names(7, timeline=2), SIZE, needs, FORK)
    assert [gap.reason for gap in found] == [RETENTION, RETENTION]
    assert gaps(names(7, timeline=2), SIZE, needs[1:], FORK) == []


def test_what_a_backup_needs():
    need = Need("a", name(3), name(7))
    assert missing(names(3, 5, 6), need, SIZE) == [
        WalRange(name(4), name(4)),
        WalRange(name(7), name(7)),
    ]
    assert missing(names(*range(3, 8)), need, SIZE) == []


@pytest.mark.parametrize("there", [(), (3,), (5, 6), (1, 2, 4, 99), (3, 4, 5, 6, 7)])
def test_of_very_many_only_those_are_looked_at_that_are_there(monkeypatch, there):
    need = Need("a", name(3), name(7))
    everything = [*names(*there), *names(5, timeline=2)]
    expected = missing(everything, need, SIZE)
    monkeypatch.setattr(wal_gaps, "_EACH", 0)
    assert missing(everything, need, SIZE) == expected
    monkeypatch.undo()
    far = Need("a", name(0), f"{1:08X}{'F' * 8}{0xFF:08X}")
    assert missing(names(5), far, SIZE) == [
        WalRange(name(0), name(4)), WalRange(name(6), far.stop)
    ]  # fmt: skip


@given(st.sets(st.integers(min_value=0, max_value=600), min_size=1))
def test_ranges_and_gaps_together_are_everything_from_first_to_last(numbers):
    spans = ranges(names(*numbers), SIZE)
    holes = gaps(names(*numbers), SIZE)
    assert sum(gap.segments for gap in holes) == max(numbers) - min(numbers) + 1 - len(numbers)
    assert len(holes) == len(spans) - 1


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ((3, 4, 5, 6), None),
        ((), None),
        # What comes after the last one that is there may be on its way.
        ((4, 5), None),
        ((4, 6), (5, 5)),
        ((7,), (4, 6)),
        ((4, 7, 8), (5, 6)),
        # Before the backup nothing matters, nor does what is being written.
        ((1, 4, 5), None),
        ((4, 9), None),
    ],
)
def test_the_first_hole_since_a_backup(present, expected):
    found = first_hole(names(*present), name(3), name(9), SIZE)
    assert found == (None if expected is None else WalRange(*names(*expected)))


@pytest.mark.parametrize(
    ("present", "archived", "expected"),
    [
        # Nothing newer is there than the backup, but the server has it for archived.
        ((), 8, (4, 8)),
        ((), 6, (4, 6)),
        ((4, 5), 8, (6, 8)),
        ((4, 5), 5, None),
        ((4, 5), 4, None),
        ((5,), 5, (4, 4)),
        # Of before the backup; or, by the time that it was asked for, of what is being written.
        ((), 3, None),
        ((), 1, None),
        ((4, 5, 6, 7, 8), 9, None),
        ((4, 5, 6), 12, (7, 8)),
    ],
)
def test_what_the_server_has_for_archived_is_not_on_its_way(present, archived, expected):
    found = first_hole(names(*present), name(3), name(9), SIZE, name(archived))
    assert found == (None if expected is None else WalRange(*names(*expected)))


def test_what_was_archived_of_another_timeline_says_nothing():
    assert first_hole([], name(3), name(9), SIZE, name(8, timeline=2)) is None


def test_without_a_history_only_the_current_timeline_is_looked_at():
    stop, current = name(3), name(9, timeline=2)
    assert first_hole([], stop, current, SIZE, name(8, timeline=2)) is None
    found = first_hole(names(6, timeline=2), stop, current, SIZE, name(8, timeline=2))
    assert found == WalRange(*names(7, 8, timeline=2))
    assert first_hole(names(4, 5), stop, current, SIZE) is None
    found = first_hole(names(6, 8, timeline=2), stop, current, SIZE)
    assert found == WalRange(*names(7, 7, timeline=2))


def way(*forks, current):
    """The path to timeline ``current``; each fork is a timeline and the position of its end."""
    return path(current, [Fork(timeline, lsn, "") for timeline, lsn in forks])


# From 3 on timeline 1 to 9 on timeline 2, which began in 6.
IN_SIX = 6 * SIZE + 0x28


@pytest.mark.parametrize(
    ("old", "new", "archived", "expected"),
    [
        ((4, 5), (6, 7, 8), 8, None),
        # The segment of the fork may be on both.
        ((4, 5, 6), (6, 7, 8), 8, None),
        ((4, 5), (6, 7), None, None),
        ((4, 5), (), None, None),
        ((4, 5), (), 5, None),
        # What led to the fork.
        ((), (6, 7, 8), 8, (1, 4, 5)),
        ((5,), (6, 7, 8), 8, (1, 4, 4)),
        ((4,), (), None, (1, 5, 5)),
        # What came after it, whether the segment of the fork is on the old timeline or not.
        ((4, 5), (8,), None, (2, 6, 7)),
        ((4, 5, 6), (7, 8), 8, (2, 6, 6)),
        ((4, 5), (6, 8), 8, (2, 7, 7)),
        ((4, 5), (), 8, (2, 6, 8)),
        ((4, 5), (6,), 8, (2, 7, 8)),
        ((4, 5), (6, 7, 8), 9, None),
    ],
)
def test_a_hole_where_a_server_was_promoted_since_the_backup(old, new, archived, expected):
    found = first_hole(
        [*names(*old), *names(*new, timeline=2)],
        name(3),
        name(9, timeline=2),
        SIZE,
        None if archived is None else name(archived, timeline=2),
        way((1, IN_SIX), current=2),
    )
    if expected is not None:
        timeline, first, last = expected
        expected = WalRange(*names(first, last, timeline=timeline))
    assert found == expected


def test_a_backup_that_ended_in_the_segment_of_the_fork_or_the_one_before():
    for stop, lsn in ((6, IN_SIX), (6, 7 * SIZE), (5, IN_SIX)):
        begin = lsn // SIZE
        led = way((1, lsn), current=2)
        current = name(9, timeline=2)
        all_of_it = names(*range(begin, 9), timeline=2)
        assert first_hole(all_of_it, name(stop), current, SIZE, None, led) is None
        found = first_hole(all_of_it[1:], name(stop), current, SIZE, None, led)
        assert found == WalRange(*names(begin, begin, timeline=2))


def test_a_hole_on_a_timeline_between_that_of_the_backup_and_the_current_one():
    led = way((1, IN_SIX), (2, IN_SIX + 3 * SIZE), current=4)
    there = [*names(4, 5), *names(6, 7, 8, timeline=2), *names(9, 10, timeline=4)]
    current = name(11, timeline=4)
    assert first_hole(there, name(3), current, SIZE, None, led) is None
    for lost, timeline in ((4, 1), (6, 2), (7, 2), (8, 2), (9, 4)):
        gone = name(lost, timeline=timeline)
        found = first_hole(set(there) - {gone}, name(3), current, SIZE, None, led)
        assert found == WalRange(gone, gone)
    # From a backup on the second one nothing of the first matters.
    later = [row for row in there if not row.startswith("00000001")]
    assert first_hole(later, name(6, timeline=2), current, SIZE, None, led) is None


@pytest.mark.parametrize(
    "led",
    [
        # It left the backup's timeline before the backup was complete, or never was on it.
        way((1, 2 * SIZE + 1), current=3),
        way((2, IN_SIX), current=3),
    ],
)
def test_a_way_that_does_not_lead_past_the_backup_demands_nothing_from_it(led):
    current = name(9, timeline=3)
    assert first_hole(names(8, timeline=3), name(3), current, SIZE, None, led) is None
    found = first_hole(names(6, 8, timeline=3), name(3), current, SIZE, None, led)
    assert found == WalRange(*names(7, 7, timeline=3))


def test_a_history_that_tells_of_very_much_wal_is_not_walked_through():
    led = way((1, 0xFFFFFFFFFFFFFFFF), current=2)
    found = first_hole(names(4), name(3), name(9, timeline=2), SIZE, None, led)
    assert found.first == name(5)
