# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a full backup has so far, saved now and then, so that another run can go on with it.

It is the copy of the manifest that is to come (repository reference, section 11), with those files
only that are durable in the repository.
"""

from __future__ import annotations

import time
import typing as t

from ...repository import manifest
from ...repository.contents import Manifest
from ...storage.base import Storage

# Seconds between two saves at least, and how much longer than a save itself the time between two
# of them is: a large manifest must not take up the time of the copy.
INTERVAL = 10.0
RATIO = 20.0


class Checkpoint:
    """Decides when to save; ``make`` gives the manifest of what is done."""

    def __init__(
        self,
        storage: Storage,
        stanza: str,
        cipher_pass: str | None,
        make: t.Callable[[], Manifest],
        *,
        threshold: int,
        total: int,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._stanza = stanza
        self._cipher_pass = cipher_pass
        self._make = make
        # As the real tool: one percent, or the option where that is more.
        self._threshold = max(threshold, total // 100)
        self._clock = clock
        self._unsaved = 0
        self._wait = INTERVAL
        self._last = clock()

    def add(self, size: int) -> None:
        """So many more bytes of the cluster are durable in the repository."""
        self._unsaved += size
        if self._unsaved >= self._threshold or self._clock() >= self._last + self._wait:
            self.save()

    def save(self) -> None:
        """Save what is not saved yet."""
        if not self._unsaved:
            return
        begun = self._clock()
        manifest.save_checkpoint(self._storage, self._stanza, self._make(), self._cipher_pass)
        self._unsaved = 0
        self._last = self._clock()
        self._wait = max(INTERVAL, RATIO * (self._last - begun))
