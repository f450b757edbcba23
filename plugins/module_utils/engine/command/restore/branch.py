# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A timeline that went on after the fork at which recovery leaves it.

A few segments are what a failover leaves behind. When they are newer than those of the timeline
that recovery follows, it is the other way round: a copy was promoted, archived into the stanza of
its origin, and the cluster itself never left its timeline. PostgreSQL follows the newest number.

It does so for a time as well, which may lie in what was left: the first transaction that the newest
timeline has after it is one of after the fork, and recovery ends there with the fork's state.
"""

from __future__ import annotations

import typing as t

from ... import log
from ...errors import DbMismatchError
from ...postgres import timeline, wal
from ...repository.selection import utc

if t.TYPE_CHECKING:
    from ...postgres.goal import Goal


class View(t.NamedTuple):
    """What the archives show of the way of a recovery."""

    path: timeline.Path
    """From the timeline of the backup on: it was made after the way had left the former ones."""
    written: t.Mapping[str, int | None]
    """When each segment came into the archive, in epoch seconds of the repository's clock."""
    began: t.Callable[[int], int | None]
    """When the history of a timeline came there, which is when it began."""
    trusted: bool
    """Whether these times can be what they seem; see ``times.trusted``."""
    size: int
    """Of a segment, in bytes."""


class Branch(t.NamedTuple):
    """What a timeline has beyond the end of its stretch of the path."""

    stretch: timeline.Stretch
    names: tuple[str, ...]
    """Segments, in their order."""
    child: timeline.Stretch
    """Where the path goes on."""


def left(path: timeline.Path, names: t.Iterable[str], size: int) -> list[Branch]:
    """The timelines of the path that went on, with their segments of ``size`` bytes (pure)."""
    branches = []
    known = sorted(names)
    for stretch, child in zip(path, path[1:]):
        last = (stretch.end or 0) // size
        beyond = tuple(
            name
            for name in known
            if wal.timeline_of(name) == stretch.timeline and wal.segment_number(name, size) > last
        )
        if beyond:
            branches.append(Branch(stretch, beyond, child))
    return branches


def check(view: View, goal: Goal, *, named: bool) -> None:
    """Tell of timelines that went on.

    Raises DbMismatchError when it is doubtful whether recovery should leave one, and nobody has
    ``named`` the timeline to follow: without a target when that one is newer than what recovery
    would follow, with a time when it is one at which that one was in use.
    """
    end = view.path[-1]
    for branch in left(view.path, view.written, view.size):
        newest = view.written[branch.names[-1]]
        what = (
            f"timeline {branch.stretch.timeline} went on after timeline {branch.child.timeline} had"
            f" forked from it at {wal.lsn_text(branch.stretch.end or 0)}: {len(branch.names)} WAL"
            f" {'segment' if len(branch.names) == 1 else 'segments'} up to {branch.names[-1]}"
        )
        if newest is not None and view.trusted:
            what += f", archived {utc(newest)}"
        hint = (
            f"--target-timeline={branch.stretch.timeline} recovers along that one,"
            f" --target-timeline={end.timeline} along the other."
        )
        if view.trusted and not named:
            if goal.kind == "default" and _is_newer(view, newest):
                raise DbMismatchError(
                    f"{what}, later than the last one of timeline {end.timeline}",
                    hint=f"was a copy promoted that archives into this stanza? {hint}",
                )
            if goal.time is not None and _was_in_use(view, branch, goal.time):
                raise DbMismatchError(
                    f"target '{goal.text}' lies before the history of timeline"
                    f" {branch.child.timeline} was archived, and after what it has of timeline"
                    f" {branch.stretch.timeline}: {what}",
                    hint=f"which of the two is meant? {hint}",
                )
        log.warn("%s; recovery leaves it there\nHINT: %s", what, hint)


def _is_newer(view: View, newest: int | None) -> bool:
    """Whether that is later than all that recovery would follow in the end."""
    names = [name for name in view.written if _is_of(name, view.path[-1], view.size)]
    ours = view.written[max(names)] if names else None
    return newest is not None and ours is not None and newest > ours


def _was_in_use(view: View, branch: Branch, moment: int) -> bool:
    """Whether the timeline went on, and the one that is followed was not known at that time.

    A history that came late, since the repository was away, looks the same: then one has to say it.
    All that happened after the segment of the fork had come into the archive is in later ones.
    """
    fork = wal.number_name(
        branch.stretch.timeline, (branch.stretch.end or 0) // view.size, view.size
    )
    since = view.written.get(fork) or view.written[branch.names[0]]
    until = view.began(branch.child.timeline)
    return since is not None and until is not None and since < moment < until


def _is_of(name: str, stretch: timeline.Stretch, size: int) -> bool:
    number = wal.segment_number(name, size)
    return wal.timeline_of(name) == stretch.timeline and number >= stretch.begin // size
