# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session that is replaced when it is lost.

Distance, idle cuts and restarts end sessions; that is no reason to give up a backup. Whoever finds
the session lost asks for another one. The first comes at once, further ones with pauses that grow
until something was achieved: a server that comes back is not stormed, and one that lets us in only
to hang up at the same request again is left in peace after a few times.
"""

from __future__ import annotations

import contextlib
import typing as t

from .. import log
from ..errors import EngineError, HostBusyError, TransportLostError
from .base import Storage
from .turns import Turns, pause_after

if t.TYPE_CHECKING:
    from .open import Opener

_T = t.TypeVar("_T")

# Seconds without a session, since something was last achieved, after which the loss is final.
PATIENCE = 300.0

# A server that was there, and no more in the next moment.
HUNG_UP = (HostBusyError, TransportLostError)

# Seconds for which a server that hangs up is asked again for the first session.
FIRST_PATIENCE = 30.0

# Sessions that one and the same thing to do may cost: then it is what ends them.
MOST_LOSSES = 8

# How the pauses grow after sessions in which nothing was achieved: the server did let us in.
GROWTH = 2.0


class Sessions:
    """The current session of one process, opened when it is first needed."""

    def __init__(self, opener: Opener, *, patience: float = PATIENCE) -> None:
        self._opener = opener
        self._turns: Turns = opener.turns
        self._patience = self._remaining = patience
        self._counted_at = 0.0
        self._is_patient = False
        self._storage: Storage | None = None
        self._left: set[str] = set()
        self._fruitless = 0
        self._final: TransportLostError | None = None
        self._gone: Storage | None = None
        self._attempts: int | None = None  # that may be made; None for any number
        self.generation = 0
        """How many sessions were lost."""

    @property
    def current(self) -> Storage:
        """The session; opens the first one, and raises at once what is wrong with that.

        Only a server that is busy, or has enough connections just now, is asked again for a while.
        """
        if self._storage is None:
            self._storage = self._first()
        return self._storage

    def patient(self) -> Storage:
        """``current``, but a server that does not let us in yet is asked again for a while, and
        those who lost a session are let go first.
        """
        self._is_patient = True
        if self._storage is None:
            self._storage = self._turns.connect(self._open, patience=self._patience, hurried=False)
        return self._storage

    @property
    def ended(self) -> bool:
        """Whether there was a session, and is none now."""
        return self._storage is not None and self._storage.ended

    def renew(self, lost: Storage, cause: TransportLostError) -> None:
        """Replace ``lost``; nothing happens when somebody has done that already.

        Raises ``cause`` when that is not to be had ``at_once``, where it has to be.
        Raises the last failure when no new session was to be had for ``patience`` seconds in all
        since something was achieved, by this process or another one of the command.
        """
        if self._final is not None:
            raise self._final
        if lost is not self._storage:
            return
        if lost is not self._gone:
            self._gone = lost
            log.warn("%s: connecting again", cause.message)
            self._left |= lost.unfinished
            lost.close()
            self.generation += 1
        self._storage = self._another(lost) if self._attempts is None else self._attempt(cause)
        self._gone = None
        if self._left:
            self._clear(self._storage)
        log.detail("connected again to %s", self._storage.location)

    @contextlib.contextmanager
    def at_once(self) -> t.Iterator[None]:
        """Within, one attempt is made at most to replace a session, and nobody is waited for."""
        self._attempts = 1
        try:
            yield
        finally:
            self._attempts = None

    def _attempt(self, cause: TransportLostError) -> Storage:
        if not self._attempts:
            raise cause
        self._attempts -= 1
        try:
            storage = self._turns.connect(self._open, patience=0.0, hurried=False)
        except EngineError as error:
            # Who can wait finds out whether it is one that passes.
            log.detail("no session at once: %s", error.message)
            raise cause from error
        self._fruitless += 1
        return storage

    def _another(self, lost: Storage) -> Storage:
        started = self._turns.clock()
        if self._turns.achieved_at >= self._counted_at:
            self._remaining = self._patience
        if self._fruitless:
            pause = pause_after(self._fruitless, GROWTH)
            log.detail("nothing was achieved since the last time: waiting for %.1f s", pause)
            self._turns.sleep(pause)
        self._fruitless += 1
        try:
            if lost.answered or self._is_patient:
                return self._turns.connect(self._open, patience=self._remaining)
            # It never was one: what is wrong with the server is wrong from the start.
            return self._first()
        finally:
            self._count(started)

    def _first(self) -> Storage:
        patience = min(FIRST_PATIENCE, self._remaining)
        return self._turns.connect(self._open, patience=patience, passing=HUNG_UP)

    def _count(self, started: float) -> None:
        """The time without a session counts, but for that in which others got on."""
        achieved_at = self._turns.achieved_at
        if achieved_at >= started:
            self._remaining = self._patience
        self._counted_at = self._turns.clock()
        self._remaining -= self._counted_at - max(started, achieved_at)

    def _clear(self, storage: Storage) -> None:
        """Remove what lost sessions left behind.

        The server may still be working through their requests. A rename among them must not come
        after that of the same file sent anew: with its file removed, it has nothing to rename.
        """
        try:
            storage.remove_many(sorted(self._left))
        except TransportLostError:
            return  # whoever uses the session next finds that out, and then comes here again
        except EngineError as cause:
            log.detail("%s", cause.message)
        self._left.clear()

    def achieved(self) -> None:
        """Something was done to its end: whatever goes wrong from now on is another matter."""
        self._fruitless = 0
        self._remaining = self._patience
        self._turns.achieved()

    def gets_on(self) -> None:
        """Others hear that this process is at work, although nothing is done to its end yet."""
        self._turns.achieved()

    def give_up(self, error: TransportLostError) -> TransportLostError:
        """No session is replaced any more; whoever finds one lost is told ``error``."""
        self._final = error
        return error

    def _open(self) -> Storage:
        return self._opener.open(self.generation)

    def close(self) -> None:
        """Let go of the session."""
        if self._storage is not None:
            self._storage.close()
            self._storage = None


class Effort:
    """One thing to do, on as many sessions as it takes, but not on any number of them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._losses = 0

    def lost(self, storage: Storage, cause: TransportLostError) -> None:
        """``storage`` was lost over it; returns when there is another session.

        Raises TransportLostError when it was so too often, and what ``Sessions.renew`` raises.
        """
        losses = self._losses + 1
        if losses >= MOST_LOSSES:
            raise self._sessions.give_up(
                TransportLostError(
                    f"{cause.message}, for the {losses}th time at the same work",
                    hint="the server lets us in and ends the session, or falls silent, at the same"
                    " request each time: its log may say why.",
                )
            )
        self._sessions.renew(storage, cause)
        self._losses = losses

    def done(self) -> None:
        """It is done, or a part of it for good."""
        self._losses = 0
        self._sessions.achieved()


def repeated(sessions: Sessions, verb: t.Callable[[Storage], _T]) -> _T:
    """What ``verb`` gives, which is done again on another session whenever its own is lost."""
    effort = Effort(sessions)
    while True:
        storage = sessions.current
        try:
            result = verb(storage)
        except TransportLostError as cause:
            effort.lost(storage, cause)
            continue
        effort.done()
        return result
