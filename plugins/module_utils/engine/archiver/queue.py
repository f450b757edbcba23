# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one repository has yet to get, and in which order: rules only, no processes and no files.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

import os
import typing as t

from ..errors import EngineError
from ..postgres import wal

# A file that was refused is tried again after so many seconds, or when PostgreSQL asks for it.
REFUSAL_STANDS = 60.0

# The first pause of a repository that refuses; each is twice as long as the one before.
FIRST_HOLD = 1.0


class Identity(t.NamedTuple):
    """What tells a file from another one of the same name that came later."""

    inode: int
    size: int
    mtime_ns: int


def identity(path: str) -> Identity:
    """The identity of the file that is there now; raises OSError."""
    found = os.stat(path)
    return Identity(found.st_ino, found.st_size, found.st_mtime_ns)


class Refusal(t.NamedTuple):
    """What keeps a file from being stored although the repository was reached."""

    error: EngineError
    when: float


class Queue:
    """The files of one repository: waiting, on their way, stored, refused.

    A repository that refuses a file may refuse all of them, as one that is full does: until it
    takes one again, files are sent one at a time, with a pause after each, and those that
    PostgreSQL asks for.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._held = 0.0
        self._waiting: set[str] = set()
        self._asked: set[str] = set()
        self._sent: set[str] = set()
        self._stored: dict[str, Identity] = {}
        self._refused: dict[str, Refusal] = {}
        self._followed = False
        self._repeated: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many files wait for a worker and may be sent."""
        held = self._held_from()
        return sum(1 for name in self._waiting if self._may_go(name, held))

    @property
    def sent(self) -> frozenset[str]:
        """The files on their way."""
        return frozenset(self._sent)

    def follow(self, ready: t.Collection[str], now: float) -> None:
        """Take over what PostgreSQL has ready, and forget what it no longer has."""
        names = set(ready)
        if not self._followed:
            self._followed = True
            self._repeated |= names
        known = self._stored.keys() | self._refused.keys() | self._waiting | self._repeated
        gone = known - names
        for name in gone - self._asked - self._sent:
            self._forget(name)
        for name in names:
            refusal = self._refused.get(name)
            if refusal is not None and now - refusal.when >= REFUSAL_STANDS:
                del self._refused[name]
                refusal = None
            if refusal is None and name not in self._stored and name not in self._sent:
                self._waiting.add(name)

    def ask(self, name: str) -> None:
        """PostgreSQL waits for this one."""
        if not self._followed:
            self._repeated.add(name)
        self._asked.add(name)
        self._refused.pop(name, None)
        if name not in self._stored and name not in self._sent:
            self._waiting.add(name)

    def answered(self, name: str) -> None:
        """Nobody waits for it any more."""
        self._asked.discard(name)

    def next(self, now: float) -> str | None:
        """The next file to send, which is then on its way; None when there is none for now.

        History files first, and nothing else beside them: whoever reads the archive must know of a
        timeline before it finds WAL of it. Then what PostgreSQL waits for, then the oldest.
        """
        if not self._waiting:
            return None
        name = min(self._waiting, key=self._rank)
        if not self._may_go(name, self._held_from()):
            # No other that waits is on an older timeline.
            return None
        if not wal.is_history(name) and any(wal.is_history(sent) for sent in self._sent):
            return None
        if self._pause and name not in self._asked and (self._sent or now < self._held):
            return None
        self._waiting.remove(name)
        self._sent.add(name)
        return name

    def _held_from(self) -> int | None:
        """The first timeline whose history is refused. None of its WAL goes ahead, nor any of a
        later one: the repository may have another history of that name, and WAL that follows it,
        from another server that was promoted to the same timeline.
        """
        refused = (wal.timeline_of(name) for name in self._refused if wal.is_history(name))
        return min(refused, default=None)

    def _may_go(self, name: str, held: int | None) -> bool:
        if held is None or name in self._asked or wal.is_history(name):
            return True
        return wal.timeline_of(name) < held

    def _rank(self, name: str) -> tuple[bool, bool, str]:
        return (not wal.is_history(name), name not in self._asked, name)

    def store(self, name: str, found: Identity) -> None:
        """The file is durable in the repository."""
        self._sent.discard(name)
        self._stored[name] = found
        self._pause = 0.0

    def refuse(self, name: str, error: EngineError, now: float) -> None:
        """The repository was reached, and still the file cannot be stored."""
        self._sent.discard(name)
        self._refused[name] = Refusal(error, now)
        self._repeated.add(name)
        if not self._pause or now >= self._held:
            # Those that were on their way together are one answer.
            self._pause = min(REFUSAL_STANDS, 2 * self._pause or FIRST_HOLD)
            self._held = now + self._pause

    def lose(self, names: t.Iterable[str]) -> None:
        """What was on its way has to be sent again."""
        for name in names:
            self._sent.discard(name)
            self._waiting.add(name)
            self._repeated.add(name)

    def has(self, name: str, found: Identity) -> bool:
        """Whether exactly this file is stored; another one of that name is sent anew."""
        stored = self._stored.get(name)
        if stored is not None and stored != found:
            self._forget(name)
            self._waiting.add(name)
            self._repeated.add(name)
        return stored == found

    def may_repeat(self, name: str) -> bool:
        """Whether we, or who was there before us, may have sent it already: it was ready when we
        began, or was lost, refused or changed.
        """
        return name in self._repeated

    def refusal(self, name: str) -> EngineError | None:
        """Why the file cannot be stored, if that is known."""
        found = self._refused.get(name)
        return None if found is None else found.error

    def missing(self, ready: t.Iterable[str]) -> list[str]:
        """Those of the files that are not stored, oldest first."""
        return sorted((name for name in ready if name not in self._stored), key=self._age)

    @staticmethod
    def _age(name: str) -> tuple[bool, str]:
        return (not wal.is_history(name), name)

    def _forget(self, name: str) -> None:
        self._waiting.discard(name)
        self._stored.pop(name, None)
        self._refused.pop(name, None)
        self._repeated.discard(name)


def backoff(failures: int, chance: float) -> float:
    """Seconds until the next try after so many failures in a row; ``chance`` is from 0 to 1.

    At once when a session that worked is lost; then twice as long each time, up to half a minute,
    and never at the same moment as everybody else whom the server has thrown out.
    """
    if failures <= 1:
        return chance * 0.5
    return min(30.0, 0.5 * 2.0 ** min(failures, 10)) * (0.5 + 0.5 * chance)
