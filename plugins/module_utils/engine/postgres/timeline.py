# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which WAL leads to a timeline: a path of stretches, from the first timeline to the wanted one.

Pure. The rules are those of PostgreSQL's access/transam/timeline.c and xlogrecovery.c, since it is
the server that follows the path (repository reference, section 15 step 3).
"""

from __future__ import annotations

import re
import typing as t

from ..errors import OptionInvalidValueError
from .wal import Fork, number_name

LATEST = "latest"
CURRENT = "current"

_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|[1-9][0-9]{0,9}")


class Stretch(t.NamedTuple):
    """A part of the path: on ``timeline`` from position ``begin`` to ``end`` (None: open)."""

    timeline: int
    begin: int
    end: int | None


Path = tuple[Stretch, ...]


def wanted(text: str) -> int | None:
    """The number in a ``recovery_target_timeline``; None for ``latest`` and ``current``.

    Raises OptionInvalidValueError for what PostgreSQL would not take.
    """
    if text in (LATEST, CURRENT):
        return None
    if _NUMBER.fullmatch(text) is None:
        raise OptionInvalidValueError(
            f"'{text}' is not valid for 'target-timeline' option",
            hint="it is a number (decimal, or hexadecimal after 0x), 'latest' or 'current'.",
        )
    return int(text, 0)


def newest(start: int, known: t.Collection[int]) -> int:
    """What PostgreSQL takes for the latest timeline when it starts from ``start``.

    It asks for one history file after the other, and stops at the first that is not there.
    """
    found = start
    while found + 1 in known:
        found += 1
    return found


def path(timeline: int, forks: t.Sequence[Fork]) -> Path:
    """The stretches that lead to ``timeline``, given the forks of its history file."""
    stretches = []
    begin = 0
    for fork in forks:
        stretches.append(Stretch(fork.timeline, begin, fork.lsn))
        begin = fork.lsn
    return (*stretches, Stretch(timeline, begin, None))


def stretch_of(way: Path, timeline: int) -> Stretch | None:
    """The part of the path that lies on ``timeline``; None when it does not pass there."""
    return next((stretch for stretch in way if stretch.timeline == timeline), None)


def holders(way: Path, number: int, size: int) -> list[str]:
    """The names under which segment ``number`` may be on the path, in the order of preference.

    A segment in which a timeline begins repeats what the former one had up to there, so that the
    server asks for the newer one first.
    """
    return [
        number_name(stretch.timeline, number, size)
        for stretch in reversed(way)
        if stretch.begin // size <= number
        and (stretch.end is None or number <= stretch.end // size)
    ]
