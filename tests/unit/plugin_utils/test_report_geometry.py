# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things stand in the drawings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.plugin_utils.report_geometry import (
    Interval,
    Scale,
    extent,
    merged,
    size_text,
    size_ticks,
    spaced,
    span_text,
    time_text,
    time_ticks,
)

T = 1795376115  # 2026-11-22 19:35:15, a Sunday
moments = st.integers(0, 4 * 10**9)


def test_a_scale_is_a_straight_line_that_sticks_to_its_ends():
    scale = Scale(100, 200, 10, 20)
    assert [scale.at(value) for value in (100, 150, 200, 0, 999)] == [10, 15, 20, 10, 20]
    upside_down = Scale(0, 10, 100, 0)
    assert [upside_down.at(value) for value in (0, 5, 10)] == [100, 50, 0]
    assert Scale(5, 5, 0, 10).at(5) == 5


@given(moments, moments, moments, moments)
def test_a_bar_stays_within_the_drawing_and_can_be_seen(low, high, start, stop):
    low, high = sorted((low, high))
    start, stop = sorted((start, stop))
    left, width = Scale(low, high, 120, 936).span(start, stop, 3)
    assert width >= 3
    assert left >= 120
    assert left + width <= 936.02


def test_a_narrow_bar_grows_to_both_sides():
    assert Scale(0, 100, 0, 100).span(50, 50, 4) == (48, 4)
    assert Scale(0, 100, 0, 100).span(0, 0, 4) == (0, 4)
    assert Scale(0, 100, 0, 100).span(20, 60) == (20, 40)


def test_intervals_that_touch_are_one():
    rows = [Interval(5, 9), Interval(1, 3), Interval(3, 4), Interval(6, 7)]
    assert merged(rows) == [Interval(1, 4), Interval(5, 9)]


@given(st.lists(st.tuples(moments, moments).map(sorted).map(lambda row: Interval(*row))))
def test_merged_intervals_cover_the_same_and_do_not_touch(rows):
    joined = merged(rows)
    assert all(a.stop < b.start for a, b in zip(joined, joined[1:]))
    for row in rows:
        assert any(one.start <= row.start and row.stop <= one.stop for one in joined)


def test_the_extent_has_air_and_is_never_nothing():
    assert extent([]) == Interval(0, 60)
    assert extent([T]) == Interval(T - 30, T + 30)
    assert extent([0, 100_000]) == Interval(-2000, 102_000)


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (20, ["19:35:15", "19:35:20", "19:35:25", "19:35:30", "19:35:35"]),
        (3600, ["19:45", "20:00", "20:15", "20:30"]),
        (2 * 86400, ["23 Nov", "06:00", "12:00", "18:00", "24 Nov", "06:00", "12:00", "18:00"]),
        (20 * 86400, ["23 Nov", "25 Nov", "27 Nov", "29 Nov", "1 Dec", "3 Dec", "5 Dec", "7 Dec",
                      "9 Dec", "11 Dec"]),
        (60 * 86400, ["23 Nov", "30 Nov", "7 Dec", "14 Dec", "21 Dec", "28 Dec", "4 Jan",
                      "11 Jan", "18 Jan"]),
        (300 * 86400, ["Dec 2026", "Jan 2027", "Feb 2027", "Mar 2027", "Apr 2027", "May 2027",
                       "Jun 2027", "Jul 2027", "Aug 2027", "Sep 2027"]),
    ],
)  # fmt: skip
def test_times_are_marked_where_people_expect_it(span, labels):
    assert [tick.label for tick in time_ticks(T, T + span)] == labels


@given(moments, st.integers(1, 10**9), st.integers(2, 12))
def test_there_are_never_too_many_marks_and_all_lie_within(start, span, most):
    ticks = time_ticks(start, start + span, most)
    assert len(ticks) <= most
    assert all(start <= tick.value <= start + span for tick in ticks)
    assert [tick.value for tick in ticks] == sorted({tick.value for tick in ticks})


def test_marks_of_sizes_are_round():
    assert [tick.label for tick in size_ticks(0)] == ["0 B", "1 B"]
    assert [tick.label for tick in size_ticks(23_000_000)] == [
        "0 B", "10 MiB", "20 MiB", "30 MiB",
    ]  # fmt: skip
    assert [tick.label for tick in size_ticks(57 * 1024**3)] == [
        "0 B", "20 GiB", "40 GiB", "60 GiB",
    ]  # fmt: skip


@given(st.floats(0, 1e18), st.integers(2, 6))
def test_the_highest_mark_is_not_below_the_largest_value(largest, most):
    ticks = size_ticks(largest, most)
    assert ticks[-1].value >= largest * (1 - 1e-9)
    assert 2 <= len(ticks) <= most + 1


@given(st.lists(st.floats(0, 1000), min_size=1).map(sorted), st.floats(1, 100))
def test_labels_keep_their_distance_and_the_newest_has_one(positions, least):
    kept = [x for x, shown in zip(positions, spaced(positions, least)) if shown]
    assert kept[-1] == positions[-1]
    assert all(b - a >= least - 1e-9 for a, b in zip(kept, kept[1:]))


def test_numbers_for_people():
    assert [size_text(n) for n in (0, 1023, 1024, 2_981_034, 150 * 2**30, 2**60)] == [
        "0 B", "1023 B", "1 KiB", "2.8 MiB", "150 GiB", "1024 PiB",
    ]  # fmt: skip
    assert [span_text(s) for s in (0, 59, 60, 3725, 90000, 86400 * 40 + 5)] == [
        "0 s", "59 s", "1 min", "1 h 2 min", "1 d 1 h", "40 d",
    ]  # fmt: skip
    assert (time_text(T), time_text(None)) == ("2026-11-22 19:35:15", "never")
