# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bound on the bytes per second that go through all connections of a command together.

What counts is what goes over the line, in both directions: SSH's own bytes, too. A connection that
is ahead waits before it takes more of what has arrived, or after it has sent something; the server
is slowed down by TCP.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
import time
import typing as t
import weakref

# Seconds' worth of bytes that may be made up for when a process was late.
BURST = 0.1

_STATE = struct.Struct("d")


class RateLimit:
    """So many bytes per second, shared by the threads and processes that a command forks.

    The state is the moment at which the line is free again. It lies in memory that a fork shares;
    its lock is one that the kernel takes back when its holder is killed.
    """

    def __init__(
        self,
        rate: int,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._threads = threading.Lock()  # locks of the kernel are a process's
        self._state = os.memfd_create("pgsftp-rate-limit")
        weakref.finalize(self, os.close, self._state)
        os.pwrite(self._state, _STATE.pack(clock()), 0)

    def take(self, size: int) -> None:
        """Count bytes, and wait as long as the line was not free for them."""
        wait = self._reserve(size)
        if wait > 0:
            self._sleep(wait)

    def _reserve(self, size: int) -> float:
        with self._threads:
            fcntl.lockf(self._state, fcntl.LOCK_EX)
            try:
                now = self._clock()
                (free,) = _STATE.unpack(os.pread(self._state, _STATE.size, 0))
                begin = float(max(free, now - BURST))
                os.pwrite(self._state, _STATE.pack(begin + size / self.rate), 0)
            finally:
                fcntl.lockf(self._state, fcntl.LOCK_UN)
        return begin - now

    def on(self, sock: socket.socket) -> socket.socket:
        """A socket whose bytes count."""
        return t.cast(socket.socket, _Socket(sock, self))


def of(rate: int | None) -> RateLimit | None:
    """The limit for an option's value; 0, like none, is no limit."""
    return RateLimit(rate) if rate else None


class _Socket:
    """Counts what it sends and receives; everything else is the socket's own."""

    def __init__(self, sock: socket.socket, limit: RateLimit) -> None:
        self._socket = sock
        self._limit = limit

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._socket, name)

    def send(self, data: bytes) -> int:
        """Send some of the bytes."""
        sent = self._socket.send(data)
        self._limit.take(sent)
        return sent

    def recv(self, size: int) -> bytes:
        """What has arrived."""
        data = self._socket.recv(size)
        self._limit.take(len(data))
        return data
