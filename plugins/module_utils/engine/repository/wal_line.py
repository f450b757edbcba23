# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL of a cluster on a line of time: stretches, gaps, and how far each backup leads. Pure.

Times are those at which the repository got a segment: what a transaction committed before then is
in it or in an earlier one.
"""

from __future__ import annotations

import typing as t

from ..postgres import timeline, wal
from ..postgres.wal import Fork
from . import wal_gaps
from .wal_gaps import Need


class Segment(t.NamedTuple):
    """A whole segment in the archive: stored bytes, and when it came, in epoch seconds."""

    name: str
    size: int
    time: int


class Span(t.NamedTuple):
    """Segments that follow each other without a gap."""

    first: str
    last: str
    segments: int
    size: int
    """Stored bytes."""
    start: int
    """When the first one came."""
    stop: int
    """When the last one came."""


class Hole(t.NamedTuple):
    """Segments that are missing."""

    first: str
    last: str
    segments: int
    reason: str | None
    """Why nothing is wrong about it; None when nothing explains it."""
    start: int | None
    """When the last segment before it came."""
    stop: int | None
    """When the first segment after it came."""


class Window(t.NamedTuple):
    """How far one can recover from a backup."""

    label: str
    start: int
    """When the backup was complete: nothing earlier can be reached from it."""
    stop: int | None
    """When the last segment of its WAL came; None when the backup cannot be made consistent."""
    last: str | None
    """That segment."""


Histories = t.Mapping[int, t.Sequence[Fork]]


def spans(segments: t.Iterable[Segment], size: int) -> list[Span]:
    """The stretches; ``size`` in bytes is that of a segment before it is compressed."""
    by_name = {row.name: row for row in segments}
    found = []
    for part in wal_gaps.ranges(by_name, size):
        count = wal.segment_number(part.last, size) - wal.segment_number(part.first, size) + 1
        timeline_id = wal.timeline_of(part.first)
        first = wal.segment_number(part.first, size)
        rows = [
            by_name[wal.number_name(timeline_id, number, size)]
            for number in range(first, first + count)
        ]
        found.append(
            Span(
                part.first,
                part.last,
                count,
                sum(row.size for row in rows),
                min(row.time for row in rows),
                max(row.time for row in rows),
            )
        )
    return found


def holes(
    segments: t.Iterable[Segment], size: int, needs: t.Iterable[Need], histories: Histories
) -> list[Hole]:
    """What is missing between the segments, see ``wal_gaps.gaps``."""
    times = {row.name: row.time for row in segments}
    found = []
    for gap in wal_gaps.gaps(times, size, needs, histories):
        before, after = _neighbours(gap.first, gap.last, times, size, histories)
        found.append(Hole(*gap, start=before, stop=after))
    return found


def _neighbours(
    first: str, last: str, times: t.Mapping[str, int], size: int, histories: Histories
) -> tuple[int | None, int | None]:
    """When the segments on either side came; on the parent's or the child's timeline, too."""
    number = wal.segment_number(first, size) - 1
    after = wal.segment_number(last, size) + 1
    own = wal.timeline_of(first)
    parents = [fork.timeline for fork in histories.get(own, ())]
    children = [key for key, forks in histories.items() if own in (row.timeline for row in forks)]
    befores = [wal.number_name(key, number, size) for key in (own, *reversed(parents))]
    afters = [
        wal.number_name(key, position, size)
        for key in (own, *sorted(children))
        for position in (after, after - 1)
    ]
    return _first(befores, times), _first(afters, times)


def _first(names: t.Iterable[str], times: t.Mapping[str, int]) -> int | None:
    return next((times[name] for name in names if name in times), None)


def window(
    need: Need, complete: int, segments: t.Mapping[str, Segment], size: int, histories: Histories
) -> Window:
    """How far recovery gets from a backup along the latest timeline, as PostgreSQL would choose it.

    ``complete`` is the time at which the backup stopped.
    """
    own = wal.timeline_of(need.start)
    number = timeline.newest(own, histories.keys())
    path = timeline.path(number, histories.get(number, ()))
    if timeline.stretch_of(path, own) is None:
        path = timeline.path(own, histories.get(own, ()))
    last: Segment | None = None
    position = wal.segment_number(need.start, size)
    while True:
        names = timeline.holders(path, position, size)
        row = next((segments[name] for name in names if name in segments), None)
        if row is None:
            break
        last = row
        position += 1
    if last is None or position <= wal.segment_number(need.stop, size):
        return Window(need.label, complete, None, None)
    return Window(need.label, complete, max(complete, last.time), last.name)
