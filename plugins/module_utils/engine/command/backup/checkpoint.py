# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup has so far, saved now and then.

It is the copy of the manifest that is to come (repository reference, section 11). Every backup
begins with one, without files: it shows that the backup is being made (see `alive`). Of a full one
it has later those files that are durable in the repository, so that another run can go on with it.
"""

from __future__ import annotations

import time
import typing as t

from ... import log
from ...errors import TransportLostError
from ...repository import manifest
from ...repository.contents import Manifest
from ...storage.base import Storage
from ..alive import PULSE

# Seconds between two saves at least, and how much longer than a save itself the time between two
# of them is: a large manifest must not take up the time of the copy.
INTERVAL = 10.0
RATIO = 20.0

# Seconds until a session is asked for again that was not to be had at once: an attempt at a server
# that does not answer takes half of that.
AGAIN = 60.0


class Checkpoint:
    """Decides when to save; ``first`` is the manifest to begin with, which is sent at once.

    It shows others that the backup is made. Nobody waits for that: it is seen to while the workers
    have jobs, and the manifest at the end goes ``after`` it.

    While workers copy, nothing here waits for a session: meanwhile nobody would have new work, and
    what the server grants may be what idle workers hold. Another time does, or the end, when they
    have gone.
    """

    def __init__(
        self,
        storage: Storage,
        stanza: str,
        cipher_pass: str | None,
        first: Manifest,
        *,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._stanza = stanza
        self._cipher_pass = cipher_pass
        self._make: t.Callable[[], Manifest] = lambda: first
        self._threshold: int | None = None
        self._clock = clock
        self._unsaved = 0
        self._wait = INTERVAL
        self.announcement = manifest.begin_checkpoint(storage, stanza, first, cipher_pass)
        self._last = self._tried = clock()
        self._shown = False

    def collect(self, make: t.Callable[[], Manifest], *, threshold: int, total: int) -> None:
        """From now on save what is done, which ``make`` gives; ``total`` bytes are to be done."""
        self._make = make
        # As the real tool: one percent, or the option where that is more.
        self._threshold = max(threshold, total // 100)

    def add(self, size: int) -> None:
        """So many more bytes of the cluster are durable in the repository."""
        if self._threshold is None:
            return
        self._unsaved += size
        due = self._unsaved >= self._threshold or self._clock() >= self._last + self._wait
        if due and not self._storage.ended:
            self._at_once(self.save)

    def show(self) -> bool:
        """Whether others see that the backup is made, or it was found that they cannot yet."""
        if not self.announcement.ready():
            return False
        self._at_once(self._show)
        return True

    def beat(self) -> None:
        """To be called now and then: show that the backup goes on.

        It may be all that others see of it, where workers read for long what needs no copy: so this
        asks the server for another session where ours is lost.
        """
        due = self._last + max(self._wait, PULSE) if self._shown else self._last
        if self._clock() >= max(due, self._tried + AGAIN):
            self._at_once(self._save)

    def save(self) -> None:
        """Save what is not saved yet."""
        if self._unsaved:
            self._save()

    def _at_once(self, work: t.Callable[[], None]) -> None:
        self._tried = self._clock()
        try:
            with self._storage.at_once():
                work()
        except TransportLostError as cause:
            log.detail("what the backup has so far is saved later: %s", cause.message)

    def _show(self) -> None:
        self.announcement.wait()
        self._shown = True

    def _save(self) -> None:
        begun = self._clock()
        self._show()
        manifest.save_checkpoint(self._storage, self._stanza, self._make(), self._cipher_pass)
        self._unsaved = 0
        self._last = self._clock()
        self._wait = max(INTERVAL, RATIO * (self._last - begun))
