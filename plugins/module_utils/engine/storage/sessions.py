# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session that is replaced when it is lost.

Distance, idle cuts and restarts end sessions; that is no reason to give up a backup. Whoever finds
the session lost asks for another one. It comes with pauses that grow and are not the same for
everybody, so that a server that comes back is not stormed.
"""

from __future__ import annotations

import random
import time
import typing as t

from .. import log
from ..errors import HostBusyError, HostConnectError, TransportLostError
from .base import Storage

if t.TYPE_CHECKING:
    from .open import Opener

# Seconds for which connecting is tried again before the loss is final.
PATIENCE = 300.0

# A server that was there, and no more in the next moment.
HUNG_UP = (HostBusyError, TransportLostError)

# Seconds for which a server that hangs up is asked again for the first session.
FIRST_PATIENCE = 30.0

# Seconds between two attempts, at first and at most.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0


class Sessions:
    """The current session of one process, opened when it is first needed."""

    def __init__(
        self,
        opener: Opener,
        *,
        patience: float = PATIENCE,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._opener = opener
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._storage: Storage | None = None
        self.generation = 0
        """How many sessions were lost."""

    @property
    def current(self) -> Storage:
        """The session; opens the first one, and raises at once what is wrong with that.

        Only a server that is busy, or has enough connections just now, is asked again for a while.
        """
        if self._storage is None:
            self._storage = self._open(min(FIRST_PATIENCE, self._patience), *HUNG_UP)
        return self._storage

    def patient(self) -> Storage:
        """``current``, but a server that does not let us in yet is asked again for a while."""
        if self._storage is None:
            self._storage = self._open(self._patience, HostConnectError)
        return self._storage

    def renew(self, lost: Storage, cause: TransportLostError) -> None:
        """Replace ``lost``; nothing happens when somebody has done that already.

        Raises the last failure when no new session was to be had for ``patience`` seconds.
        """
        if lost is not self._storage:
            return
        log.warn("%s: connecting again", cause.message)
        lost.close()
        self.generation += 1
        self._storage = self._open(self._patience, HostConnectError)
        log.detail("connected again to %s", self._storage.location)

    def _open(self, patience: float, *passing: type[HostConnectError]) -> Storage:
        deadline = self._clock() + patience
        pause = FIRST_PAUSE
        while True:
            try:
                return self._opener.open(self.generation)
            except passing as cause:
                # Somewhere between half of the pause and all of it.
                wait = pause * (1.0 - random.random() / 2)
                if self._clock() + wait > deadline:
                    raise
                log.detail("%s: next attempt in %.1f s", cause.message, wait)
                self._sleep(wait)
                pause = min(pause * 2, LONGEST_PAUSE)

    def close(self) -> None:
        """Let go of the session."""
        if self._storage is not None:
            self._storage.close()
            self._storage = None
