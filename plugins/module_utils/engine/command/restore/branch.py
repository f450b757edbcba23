# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A timeline that went on after the fork at which recovery leaves it.

A few segments are what a failover leaves behind. When they are newer than those of the timeline
that recovery follows, it is the other way round: a copy was promoted, archived into the stanza of
its origin, and the cluster itself never left its timeline. PostgreSQL follows the newest number.
"""

from __future__ import annotations

import typing as t

from ... import log
from ...errors import DbMismatchError
from ...postgres import timeline, wal
from ...repository.archive import StoredSegment
from ...repository.cluster_archive import ClusterArchive
from ...repository.selection import utc

Found = t.Mapping[str, tuple[ClusterArchive, StoredSegment]]


class Branch(t.NamedTuple):
    """What a timeline has beyond the end of its stretch of the path."""

    stretch: timeline.Stretch
    names: tuple[str, ...]
    """Segments, in their order."""


def left(path: timeline.Path, names: t.Iterable[str], size: int) -> list[Branch]:
    """The timelines of the path that went on, with their segments of ``size`` bytes (pure)."""
    branches = []
    known = sorted(names)
    for stretch in path:
        if stretch.end is None:
            continue
        last = stretch.end // size
        beyond = tuple(
            name
            for name in known
            if wal.timeline_of(name) == stretch.timeline and wal.segment_number(name, size) > last
        )
        if beyond:
            branches.append(Branch(stretch, beyond))
    return branches


def check(path: timeline.Path, found: Found, size: int, *, doubtful: bool) -> None:
    """Tell of timelines that went on.

    Raises DbMismatchError when one is newer than what recovery would follow and it is ``doubtful``
    whether that is meant: nobody has named a timeline or a target.
    """
    for branch in left(path, found, size):
        newest = _written(found, branch.names)
        ours = _written(found, [name for name in found if _is_of(name, path[-1], size)])
        what = (
            f"timeline {branch.stretch.timeline} went on after timeline {path[-1].timeline} had"
            f" forked from it at {wal.lsn_text(branch.stretch.end or 0)}: {len(branch.names)} WAL"
            f" {'segment' if len(branch.names) == 1 else 'segments'} up to {branch.names[-1]}"
        )
        if newest is not None:
            what += f", archived {utc(newest)}"
        hint = (
            f"--target-timeline={branch.stretch.timeline} recovers along that one,"
            f" --target-timeline={path[-1].timeline} along the other."
        )
        if doubtful and newest is not None and ours is not None and newest > ours:
            raise DbMismatchError(
                f"{what}, later than the last one of timeline {path[-1].timeline}",
                hint=f"was a copy promoted that archives into this stanza? {hint}",
            )
        log.warn("%s; recovery leaves it there\nHINT: %s", what, hint)


def _is_of(name: str, stretch: timeline.Stretch, size: int) -> bool:
    number = wal.segment_number(name, size)
    return wal.timeline_of(name) == stretch.timeline and number >= stretch.begin // size


def _written(found: Found, names: t.Sequence[str]) -> int | None:
    """When the last of them came into the archive; None when that is not known."""
    if not names:
        return None
    archive, segment = found[max(names)]
    return archive.written_at(segment)
