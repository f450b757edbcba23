# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which WAL is fetched before a recovering server asks for it: rules only.

The server asks for one file after the other, and waits each time. What it will ask for next is
known: the next segments on the path of timelines that its history files tell. As many are fetched
ahead as ``archive-get-queue-max`` allows; what has been replayed gives its place to the next one.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

import typing as t

from ..errors import EngineError
from ..postgres import timeline, wal

# What was looked for ahead and not found is not looked for again so soon.
ABSENCE_STANDS = 5.0

# Nor is what cannot be fetched, a damaged file or one that the spool has no room for, which costs
# all of its bytes each time.
FAILURE_STANDS = 30.0


class Failure(t.NamedTuple):
    """Why a file that somebody asks for is not there."""

    error: EngineError
    may_pass: bool
    """Whether it may go right later: a repository could not be reached."""


class Prefetch:
    """The files of one recovery: asked for, wanted ahead, on their way, in the spool."""

    def __init__(self) -> None:
        self._asked: set[str] = set()
        self._ahead: list[str] = []
        self._flying: set[str] = set()
        self._stale: set[str] = set()
        self._ready: dict[str, int] = {}
        self._vain: dict[str, float] = {}
        """What was looked for ahead in vain, and until when it is not looked for ahead again."""
        self._answers: dict[str, Failure | None] = {}
        self._way: timeline.Path = ()

    @property
    def ready(self) -> frozenset[str]:
        """In the spool."""
        return frozenset(self._ready)

    def ask(self, name: str, size: int, room: int, now: float) -> None:
        """The server waits for ``name``; ``room`` files of ``size`` bytes may be held."""
        self._asked.add(name)
        self._answers.pop(name, None)
        if name in self._flying and name not in self._ready:
            # Looked for before the question: that it is not there is no answer to it.
            self._stale.add(name)
        if wal.is_segment(name):
            self._ahead = ahead(name, size, room, self._way)
        self._vain = {key: until for key, until in self._vain.items() if now < until}

    def answered(self, name: str) -> None:
        """Nobody waits for it any more."""
        self._asked.discard(name)
        self._answers.pop(name, None)

    def follow(self, name: str, text: str) -> None:
        """The server was given this history file; raises FormatError when it is none."""
        number = wal.timeline_of(name)
        if not self._way or number >= self._way[-1].timeline:
            self._way = timeline.path(number, wal.history(text))

    def next(self, room: int) -> str | None:
        """The next file to fetch, which is then on its way; None when there is none for now."""
        for name in sorted(self._asked - self._flying - self._ready.keys() - self._answers.keys()):
            self._flying.add(name)
            return name
        if len(self._flying | self._ready.keys()) >= room:
            return None
        for name in self._ahead:
            if name not in self._flying and name not in self._ready and name not in self._vain:
                self._flying.add(name)
                return name
        return None

    def is_missing(self) -> bool:
        """Whether somebody waits for what is neither there nor on its way, nor decided."""
        return bool(self._asked - self._flying - self._ready.keys() - self._answers.keys())

    def got(self, name: str, repo: int) -> None:
        """The file is in the spool, from that repository."""
        self._flying.discard(name)
        self._stale.discard(name)
        self._ready[name] = repo

    def absent(self, name: str, now: float) -> None:
        """Every repository was reached and does not have it."""
        self._flying.discard(name)
        if name in self._stale:
            self._stale.discard(name)
        elif name in self._asked:
            self._answers[name] = None
        else:
            self._vain[name] = now + ABSENCE_STANDS

    def failed(self, name: str, failure: Failure, now: float) -> None:
        """It is not known whether it is there, or it cannot be fetched."""
        self._flying.discard(name)
        self._stale.discard(name)
        if name in self._asked:
            self._answers[name] = failure
        elif not failure.may_pass:
            # After one that may pass there is a pause, whatever is wanted.
            self._vain[name] = now + FAILURE_STANDS

    def forget(self) -> None:
        """The spool is another one, or for another cluster: what was in vain may not be now."""
        self._vain.clear()

    def lose(self, names: t.Iterable[str]) -> None:
        """What was on its way has to be fetched again, if anybody wants it."""
        self._flying.difference_update(names)

    def is_asked(self, name: str) -> bool:
        """Whether somebody waits for it."""
        return name in self._asked

    def is_ready(self, name: str) -> bool:
        """Whether the file is in the spool."""
        return name in self._ready

    def is_decided(self, name: str) -> bool:
        """Whether it is known that the file will not be there, and why."""
        return name in self._answers

    def answer(self, name: str) -> Failure | None:
        """Why it is not there; None when the archive does not have it."""
        return self._answers[name]

    def again(self, name: str) -> None:
        """Look for it once more."""
        self._answers.pop(name, None)

    def take(self, name: str) -> None:
        """It leaves the spool, and whoever asked for it has it."""
        self._ready.pop(name, None)
        self._asked.discard(name)

    def wait(self, name: str) -> None:
        """Somebody still waits for it: who took it was another one."""
        self._asked.add(name)

    def useless(self) -> list[str]:
        """What is in the spool and will not be asked for: the server is elsewhere."""
        return sorted(self._ready.keys() - self._asked - set(self._ahead))


def ahead(name: str, size: int, room: int, way: timeline.Path) -> list[str]:
    """The files that a server asks for after ``name``, in its order, ``room - 1`` segments far.

    Off the path, or without one, it stays on its timeline.
    """
    number, line = wal.segment_number(name, size), wal.timeline_of(name)
    numbers = range(number + 1, number + room)
    if timeline.stretch_of(way, line) is None:
        return [wal.number_name(line, row, size) for row in numbers]
    return [found for row in numbers for found in timeline.holders(way, row, size)]
