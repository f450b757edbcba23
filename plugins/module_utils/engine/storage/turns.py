# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may connect to a server just now, among all the processes of one command.

As long as the server takes everybody, everybody connects at once. From the first refusal on they
go one after another, and while it goes on refusing with pauses that grow: a server sees fewer than
six attempts a minute, however many processes there are. Whoever lost a session comes before those
that have none yet, since nobody else can do what was begun there. And nobody gives up while others
get on with their work: the server is there, and they will leave it.

What they know of each other lies in a piece of memory without a name, which processes forked later
share. It is guarded by file locks, since those end with the process that holds them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import struct
import threading
import time
import typing as t
import weakref

from .. import log
from ..errors import HostBusyError, HostConnectError

_T = t.TypeVar("_T")

# Seconds between two attempts, at first and at most, and how they grow.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 20.0
GROWTH = 4.0

# A pause may last longer by this part of it, so that not all commands come back together.
JITTER = 0.25

# Seconds without a refusal after which everybody may come again.
CALM = 60.0

# Seconds between two looks at what the others do.
LOOK = 0.1

# Seconds after which it is worth saying again that one gets on.
NEWS = 1.0

# Bytes that are locked: while the state changes, and while somebody has the only turn.
_CHANGING, _TURN = 0, 1


def pause_after(times: int, growth: float = GROWTH) -> float:
    """Seconds to pause after so many failures in a row, of which some are drawn by lot."""
    least = min(FIRST_PAUSE * growth ** min(times - 1, 9), LONGEST_PAUSE) if times > 0 else 0.0
    return least * (1.0 + random.random() * JITTER)


class _State(t.NamedTuple):
    """Times are those of a clock that all processes of a host share; 0 is never."""

    refused_at: float = 0.0
    next_at: float = 0.0
    refusals: int = 0  # in a row
    hurried: int = 0  # waiting, with something that nobody else can do
    achieved_at: float = 0.0  # something was done to its end, by whomever


_LAYOUT = struct.Struct("=ddqqd")


class Turns:
    """The turns of one server. Made before processes are forked that connect to it, too."""

    def __init__(
        self,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._file = os.memfd_create("pgsftp-turns")
        weakref.finalize(self, os.close, self._file)
        self._changing = threading.Lock()
        self._turn = threading.Lock()
        self._said_at = 0.0
        os.pwrite(self._file, _LAYOUT.pack(*_State()), 0)

    @property
    def tight(self) -> bool:
        """Whether the server has refused somebody of late."""
        return self._is_tight(self._state())

    @property
    def achieved_at(self) -> float:
        """When a process has last achieved something, to a second; 0 for never."""
        return self._state().achieved_at

    def connect(
        self,
        attempt: t.Callable[[], _T],
        *,
        patience: float,
        passing: tuple[type[HostConnectError], ...] = (HostConnectError,),
        hurried: bool = True,
    ) -> _T:
        """What ``attempt`` gives, tried again after errors that pass, for ``patience`` seconds
        since a process has last achieved something.

        Raises the last of them then, or at once any other. Who is not ``hurried`` leaves the way to
        those who are.
        """
        began = self.clock()
        cause: HostConnectError = HostBusyError(
            f"no turn to connect for {patience:.0f} s: the server refuses others of this command"
        )
        with self._hurry() if hurried else contextlib.nullcontext():
            while True:
                with self._my_turn(began, patience, cause, hurried):
                    started = self.clock()
                    try:
                        made = attempt()
                    except passing as error:
                        cause = error
                        wait = self.refused(started)
                        log.detail("%s: next attempt in %.1f s", error.message, wait)
                    else:
                        self._granted()
                        return made

    def refused(self, started: float) -> float:
        """An attempt, begun when the clock said ``started``, was refused; gives how many seconds
        later somebody may make the next one.
        """
        with self._change() as state:
            now = self.clock()
            if started < state.refused_at:
                # One of many that came together: one lesson for all of them.
                self._write(state._replace(refused_at=now))
                return max(0.0, state.next_at - now)
            refusals = state.refusals + 1
            pause = pause_after(refusals)
            self._write(state._replace(refused_at=now, next_at=now + pause, refusals=refusals))
            return pause

    def achieved(self) -> None:
        """Something was done to its end."""
        now = self.clock()
        if now - self._said_at >= NEWS:
            self._said_at = now
            with self._change() as state:
                self._write(state._replace(achieved_at=now))

    def _granted(self) -> None:
        with self._change() as state:
            if state.refusals:
                self._write(state._replace(next_at=self.clock(), refusals=0))

    @contextlib.contextmanager
    def _my_turn(
        self, began: float, patience: float, cause: HostConnectError, hurried: bool
    ) -> t.Iterator[None]:
        """Wait for it; what is done within is done by nobody else, if the server is tight. Raises
        ``cause`` when patience ends.
        """
        while True:
            state = self._state()
            now = self.clock()
            if not self._is_tight(state):
                yield
                return
            wait = state.next_at - now
            if wait <= 0 and (hurried or not state.hurried) and self._take_turn():
                try:
                    # Whoever had it before may have been refused.
                    if self._state().next_at <= now:
                        yield
                        return
                finally:
                    self._give_turn()
                continue
            if now + max(wait, 0.0) > max(began, state.achieved_at) + patience:
                raise cause
            self.sleep(min(max(wait, LOOK), 10 * LOOK))

    def _is_tight(self, state: _State) -> bool:
        return state.refused_at > 0 and self.clock() - state.refused_at < CALM

    @contextlib.contextmanager
    def _hurry(self) -> t.Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._change() as state:
            self._write(state._replace(hurried=state.hurried + more))

    # The memory, and its locks.

    def _state(self) -> _State:
        return _State(*_LAYOUT.unpack(os.pread(self._file, _LAYOUT.size, 0)))

    def _write(self, state: _State) -> None:
        os.pwrite(self._file, _LAYOUT.pack(*state), 0)

    @contextlib.contextmanager
    def _change(self) -> t.Iterator[_State]:
        # The file's lock tells processes apart, and the other one their threads.
        with self._changing:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _CHANGING)
            try:
                yield self._state()
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _CHANGING)

    def _take_turn(self) -> bool:
        if not self._turn.acquire(blocking=False):
            return False
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _TURN)
        except OSError:
            self._turn.release()
            return False
        return True

    def _give_turn(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _TURN)
        self._turn.release()
