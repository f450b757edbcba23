# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing in a WAL archive, and what that means (repository reference, section 6). Pure."""

from __future__ import annotations

import typing as t

from ..postgres.timeline import Path, stretch_of
from ..postgres.wal import Fork, number_name, segment_number, timeline_of
from .archive import WalRange

# Of as many segments that a backup needs each is looked for: more than any has needed so far.
_EACH = 1 << 20

RETENTION = "retention keeps only what the backups on either side need"


class Need(t.NamedTuple):
    """The segments without which a backup cannot be restored."""

    label: str
    start: str
    stop: str


class Gap(t.NamedTuple):
    """Segments that are not there although others before and after them are."""

    first: str
    last: str
    segments: int
    reason: str | None
    """Why nothing is wrong about it; None when nothing explains it."""


def ranges(names: t.Iterable[str], size: int) -> list[WalRange]:
    """The segments that are there, joined; ``size`` in bytes is that of a segment."""
    joined: list[WalRange] = []
    for name in sorted(set(names)):
        if joined and _follows(joined[-1].last, name, size):
            joined[-1] = WalRange(joined[-1].first, name)
        else:
            joined.append(WalRange(name, name))
    return joined


def gaps(
    names: t.Iterable[str],
    size: int,
    needs: t.Iterable[Need] = (),
    histories: t.Mapping[int, t.Sequence[Fork]] | None = None,
) -> list[Gap]:
    """What is missing between the segments that are there, by name.

    ``histories`` tells by timeline how it was reached; without one nothing is known of what lies
    between two timelines. A gap from the last segment that a backup needs to the first one of
    another backup is what retention leaves.
    """
    by_timeline: dict[int, list[int]] = {}
    for name in sorted(set(names)):
        by_timeline.setdefault(timeline_of(name), []).append(segment_number(name, size))
    wanted = list(needs)
    starts = {need.start for need in wanted}
    stops = {need.stop for need in wanted}
    found: list[Gap] = []
    for timeline, numbers in by_timeline.items():
        fork = (histories or {}).get(timeline)
        if fork:
            found += _around(by_timeline, timeline, fork[-1], size, starts, stops)
        for before, after in zip(numbers, numbers[1:]):
            if after > before + 1:
                kept = (
                    number_name(timeline, before, size) in stops
                    and number_name(timeline, after, size) in starts
                )
                found.append(_gap(timeline, before + 1, after - 1, size, kept))
    return sorted(found)


def _around(
    by_timeline: t.Mapping[int, t.Sequence[int]],
    timeline: int,
    fork: Fork,
    size: int,
    starts: t.Container[str],
    stops: t.Container[str],
) -> t.Iterator[Gap]:
    """Gaps on either side of the point where ``timeline`` left its parent.

    The segment in which that happened exists on both; on the parent it may be only a partial one.
    """
    switch = fork.lsn // size
    first = by_timeline[timeline][0]
    before = [number for number in by_timeline.get(fork.timeline, ()) if number <= switch]
    if not before:
        return
    kept = (
        number_name(fork.timeline, before[-1], size) in stops
        and number_name(timeline, first, size) in starts
    )
    if before[-1] < switch - 1:
        yield _gap(fork.timeline, before[-1] + 1, switch - 1, size, kept)
    if first > switch:
        yield _gap(timeline, switch, first - 1, size, kept)


def missing(names: t.Collection[str], need: Need, size: int) -> list[WalRange]:
    """Which of the segments that a backup needs are not there."""
    timeline = timeline_of(need.start)
    if timeline != timeline_of(need.stop):
        return [WalRange(name, name) for name in (need.start, need.stop) if name not in names]
    numbers = range(segment_number(need.start, size), segment_number(need.stop, size) + 1)
    if numbers.stop - numbers.start > _EACH:
        return _between(names, timeline, numbers, size)
    wanted = (number_name(timeline, number, size) for number in numbers)
    return ranges((name for name in wanted if name not in names), size)


def _between(names: t.Iterable[str], timeline: int, numbers: range, size: int) -> list[WalRange]:
    """``missing`` of very many segments: what is there is looked at instead of what is not."""
    there = (segment_number(name, size) for name in names if timeline_of(name) == timeline)
    edges = sorted({numbers.start - 1, numbers.stop, *(row for row in there if row in numbers)})
    return [
        WalRange(number_name(timeline, before + 1, size), number_name(timeline, after - 1, size))
        for before, after in zip(edges, edges[1:])
        if after > before + 1
    ]


def first_hole(
    names: t.Iterable[str],
    stop: str,
    current: str,
    size: int,
    archived: str | None = None,
    way: Path = (),
) -> WalRange | None:
    """The first segments that are missing between a backup and what came after it.

    ``stop`` is the last segment of the backup, ``current`` the one that is being written. What
    comes after the last one that is there may be on its way, but not up to ``archived``, which the
    server has for archived. Where the timeline is another one by now, ``way`` is how it was
    reached; when that is not known, or did not lead past the backup, only what lies between
    segments of the current timeline is found.
    """
    there = set(names)
    timeline = timeline_of(current)
    done = None
    if timeline_of(stop) == timeline:
        done = segment_number(stop, size)
    else:
        for number, wanted in _before_the_fork(way, stop, size):
            holes = _between(there, number, wanted, size)
            if holes:
                return holes[0]
            done = wanted.stop - 1
    numbers = sorted(
        segment_number(name, size)
        for name in there
        if timeline_of(name) == timeline and name < current
    )
    if done is not None:
        numbers = [done, *(number for number in numbers if number > done)]
    if numbers and archived is not None and timeline_of(archived) == timeline:
        # All of them up to this one would be there.
        end = min(segment_number(archived, size) + 1, segment_number(current, size))
        if end > numbers[-1]:
            numbers.append(end)
    for before, after in zip(numbers, numbers[1:]):
        if after > before + 1:
            return WalRange(
                number_name(timeline, before + 1, size), number_name(timeline, after - 1, size)
            )
    return None


def _before_the_fork(way: Path, stop: str, size: int) -> list[tuple[int, range]]:
    """By timeline the numbers of the segments that lead from a backup to the current timeline.

    The segment of a fork is on the timeline after it. Nothing when the way leaves the backup's
    timeline before the backup was complete, or never comes there.
    """
    own = stretch_of(way, timeline_of(stop))
    first = segment_number(stop, size) + 1
    if own is None or own.end is None or own.end // size < first - 1:
        return []
    stretches = way[way.index(own) : -1]
    return [
        (row.timeline, range(first if row is own else row.begin // size, (row.end or 0) // size))
        for row in stretches
    ]


def _follows(before: str, after: str, size: int) -> bool:
    return before[:8] == after[:8] and segment_number(after, size) == (
        segment_number(before, size) + 1
    )


def _gap(timeline: int, first: int, last: int, size: int, kept: bool) -> Gap:
    return Gap(
        number_name(timeline, first, size),
        number_name(timeline, last, size),
        last - first + 1,
        RETENTION if kept else None,
    )
