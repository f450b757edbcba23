# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life of a process that has a session, which tell a slow one from one that hangs.

Its main thread waits for no server for longer than ``io-timeout``, and uses the processor whenever
a wait ends. One that has not done so for twice as long is stopped, in a deadlock, or sleeps on a
file system that does not answer.
"""

from __future__ import annotations

import threading
import time
import typing as t
from multiprocessing.connection import Connection

# Whatever io-timeout says: looking up a name takes its time, too. In seconds.
LEAST = 10.0

# Beats in the time after which a process without one hangs.
BEATS = 4


class Beat(t.NamedTuple):
    """The main thread has moved since the last one."""


def patience(io_timeout: float) -> float:
    """After how many seconds without a message a process hangs (pure)."""
    return max(LEAST, 2 * io_timeout)


class Voice:
    """What a process says to the service; its threads take turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Say it; raises BrokenPipeError or ConnectionResetError when nobody listens any more."""
        with self._lock:
            self._connection.send(message)

    def beat(self, io_timeout: float) -> None:
        """Tell from now on, from a thread of its own, that the main thread moves."""
        threading.Thread(
            target=self._beat, args=(patience(io_timeout) / BEATS,), daemon=True
        ).start()

    def _beat(self, interval: float) -> None:
        clock = time.pthread_getcpuclockid(t.cast(int, threading.main_thread().ident))
        before = 0.0
        while True:
            used = time.clock_gettime(clock)
            if used != before:
                before = used
                try:
                    self.send(Beat())
                except (BrokenPipeError, ConnectionResetError):
                    return
            time.sleep(interval)
