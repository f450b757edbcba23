# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lending: a channel of a worker's connection for somebody at the archiver's socket.

Two channels are kept ready, on which the protocol has begun, so that who comes pays for no round
trip before his first question; a backup comes with workers that want one, too. They are opened
beside the worker's own work, and never instead of it.
"""

from __future__ import annotations

import collections
import contextlib
import json
import socket
import struct
import threading
import time
import typing as t

from ..errors import EngineError
from ..storage.sftp import protocol
from ..storage.sftp.borrow import LENT

# What somebody says first: a packet of this size opens the protocol.
_GREETING = len(protocol.init())
_LENGTH = struct.Struct(">I")

# Channels kept ready.
SPARES = 2

# After so many seconds a server that had no further session may have one. Until then it is not
# bothered by every command.
REFUSAL_STANDS = 30.0

# A server's first packet is far smaller.
_LARGEST = 1 << 18


class Line(t.Protocol):
    """A channel, as paramiko has it."""

    closed: bool
    """Whether it has come to its end, on whichever side."""

    def sendall(self, data: bytes) -> None:
        """Send everything."""

    def recv(self, size: int) -> bytes:
        """What comes; empty at the end."""

    def close(self) -> None:
        """No more."""

    def settimeout(self, timeout: float | None) -> None:
        """How long ``recv`` waits."""


class Sibling(t.NamedTuple):
    """How a connection gives further channels, and what is known of it."""

    open: t.Callable[[], Line]
    software: str
    cipher: str


class Spare(t.NamedTuple):
    """A channel on which the protocol has begun, and the server's answer to that."""

    line: Line
    greeting: bytes


class Lender:
    """Lends channels of one connection."""

    def __init__(self, sibling: Sibling, *, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._sibling = sibling
        self._clock = clock
        self._spares: collections.deque[Spare] = collections.deque()
        self._opening = 0
        self._changed = threading.Condition()
        self._refused = ""
        self._refused_until = 0.0
        with self._changed:
            self._refill()

    def lend(self, borrower: socket.socket) -> None:
        """Serve who waits at this socket, in threads of his own."""
        try:
            threading.Thread(target=self._serve, args=(borrower,), daemon=True).start()
        except RuntimeError:  # no thread to be had: he connects himself
            borrower.close()

    def _refill(self) -> None:
        while len(self._spares) + self._opening < SPARES and self._clock() >= self._refused_until:
            self._opening += 1
            try:
                threading.Thread(target=self._open, daemon=True).start()
            except RuntimeError as cause:  # no thread to be had
                self._refuse(cause)

    def _open(self) -> None:
        try:
            spare = self._begin()
        except Exception as cause:  # paramiko's, OSError, EngineError: there is none to lend
            with self._changed:
                self._refuse(cause)
            return
        with self._changed:
            self._spares.append(spare)
            self._opening -= 1
            self._changed.notify_all()

    def _refuse(self, cause: Exception) -> None:
        """Nobody may wait for the one that was to be opened."""
        self._refused = str(cause) or type(cause).__name__
        self._refused_until = self._clock() + REFUSAL_STANDS
        self._opening -= 1
        self._changed.notify_all()

    def _take(self) -> Spare | None:
        """A channel that is ready, or will be in a moment; None when there is none to be had."""
        with self._changed:
            # A server may end what nobody uses (ChannelTimeout of OpenSSH).
            alive = [spare for spare in self._spares if not spare.line.closed]
            self._spares = collections.deque(alive)
            self._refill()
            while not self._spares and self._opening:
                self._changed.wait()
                self._refill()
            spare = self._spares.popleft() if self._spares else None
            self._refill()
            return spare

    def _begin(self) -> Spare:
        line = self._sibling.open()
        line.settimeout(30.0)
        line.sendall(protocol.init())
        greeting = b""
        while len(greeting) < 4 or len(greeting) < 4 + _LENGTH.unpack_from(greeting)[0]:
            data = line.recv(_LARGEST)
            if not data or len(greeting) > _LARGEST:
                raise EOFError("the server has no further session")
            greeting += data
        line.settimeout(None)
        return Spare(line, greeting)

    def _serve(self, borrower: socket.socket) -> None:
        with borrower:
            spare = self._take()
            if spare is None:
                with contextlib.suppress(OSError):
                    borrower.sendall(b"alone no session to lend: " + self._refused.encode() + b"\n")
                return
            about = {"software": self._sibling.software, "cipher": self._sibling.cipher}
            try:
                borrower.setblocking(True)
                borrower.sendall(f"{LENT} {json.dumps(about)}\n".encode())
                if _exactly(borrower, _GREETING):
                    borrower.sendall(spare.greeting)
                    threading.Thread(
                        target=_carry_back, args=(spare.line, borrower), daemon=True
                    ).start()
                    _carry(borrower, spare.line)
            except (OSError, EOFError, EngineError, RuntimeError):  # the last: no thread to be had
                pass
            finally:
                with contextlib.suppress(Exception):
                    spare.line.close()
                with contextlib.suppress(OSError):
                    borrower.shutdown(socket.SHUT_RDWR)


def _exactly(source: socket.socket, size: int) -> bool:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            return False
        data += more
    return True


def _carry(source: socket.socket, target: Line) -> None:
    while data := source.recv(1 << 18):
        target.sendall(data)


def _carry_back(source: Line, target: socket.socket) -> None:
    with contextlib.suppress(Exception):
        while data := source.recv(1 << 18):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
