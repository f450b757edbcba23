# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL on a line of time: what follows what, what is missing, how far a backup leads."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.wal import (
    Fork,
    number_name,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.wal_gaps import (
    RETENTION,
    Need,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.wal_line import (
    Hole,
    Segment,
    Span,
    Window,
    holes,
    spans,
    window,
)

SIZE = 16 * 1024 * 1024


def name(number, timeline=1):
    return number_name(timeline, number, SIZE)


def segments(*numbers, timeline=1):
    """Each came ten seconds after the one before it by number."""
    return {
        name(number, timeline): Segment(name(number, timeline), number, 1000 + 10 * number)
        for number in numbers
    }


def test_stretches_carry_their_bytes_and_times():
    assert spans(segments(1, 2, 3, 7).values(), SIZE) == [
        Span(name(1), name(3), 3, 6, 1010, 1030),
        Span(name(7), name(7), 1, 7, 1070, 1070),
    ]


def test_a_late_segment_stretches_the_time():
    rows = [*segments(1, 2).values(), Segment(name(3), 1, 5)]
    (span,) = spans(rows, SIZE)
    assert (span.start, span.stop) == (5, 1020)


def test_a_hole_lies_between_its_neighbours():
    assert holes(segments(1, 2, 5).values(), SIZE, [], {}) == [
        Hole(name(3), name(4), 2, None, 1020, 1050)
    ]


def test_a_hole_that_retention_left_has_a_reason():
    needs = [Need("a", name(1), name(2)), Need("b", name(5), name(5))]
    (hole,) = holes(segments(1, 2, 5).values(), SIZE, needs, {})
    assert hole.reason == RETENTION


def test_a_hole_before_a_fork_ends_on_the_next_timeline():
    rows = {**segments(1, 2), **segments(5, 6, timeline=2)}
    forks = {2: [Fork(1, 5 * SIZE + 100, "")]}
    (hole,) = holes(rows.values(), SIZE, [], forks)
    assert hole == Hole(name(3), name(4), 2, None, 1020, 1050)


def test_a_window_ends_before_a_gap():
    found = segments(1, 2, 3, 5)
    assert window(Need("x", name(1), name(2)), 900, found, SIZE, {}) == Window(
        "x", 900, 1030, name(3)
    )


def test_a_window_goes_on_along_the_newest_timeline():
    found = {**segments(1, 2, 3, 4), **segments(3, 4, 5, timeline=2)}
    forks = {2: [Fork(1, 3 * SIZE + 8, "")]}
    assert window(Need("x", name(1), name(1)), 900, found, SIZE, forks).last == name(5, 2)


def test_a_backup_behind_the_fork_stays_on_its_own_timeline():
    found = {**segments(1, 2, 3, 4), **segments(3, 4, 5, timeline=2)}
    forks = {3: [Fork(2, 3 * SIZE + 8, "")], 2: [Fork(1, 3 * SIZE + 8, "")]}
    assert window(Need("x", name(4), name(4)), 900, found, SIZE, {}).last == name(4)
    assert window(Need("x", name(3, 2), name(3, 2)), 900, found, SIZE, forks).last is not None


def test_a_backup_without_all_of_its_wal_leads_nowhere():
    need = Need("x", name(2), name(4))
    assert window(need, 900, segments(2, 3, 5), SIZE, {}) == Window("x", 900, None, None)
    assert window(need, 900, {}, SIZE, {}) == Window("x", 900, None, None)


def test_a_window_never_ends_before_its_backup():
    assert window(Need("x", name(1), name(1)), 5000, segments(1), SIZE, {}).stop == 5000
