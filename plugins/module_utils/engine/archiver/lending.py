# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lending: a channel of a worker's connection for somebody at the archiver's socket.

One channel is kept ready, on which the protocol has begun, so that who comes pays for no round trip
before his first question. It is opened beside the worker's own work, and never instead of it.
"""

from __future__ import annotations

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

# After so many seconds a server that had no further session may have one. Until then it is not
# bothered by every command.
REFUSAL_STANDS = 30.0

# A server's first packet is far smaller.
_LARGEST = 1 << 18


class Line(t.Protocol):
    """A channel, as paramiko has it."""

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


class Lender:
    """Lends channels of one connection."""

    def __init__(self, sibling: Sibling, *, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._sibling = sibling
        self._clock = clock
        self._spare: tuple[Line, bytes] | None = None
        self._lock = threading.Lock()
        self._refused = ""
        self._refused_until = 0.0
        threading.Thread(target=self._prepare, daemon=True).start()

    def lend(self, borrower: socket.socket) -> None:
        """Serve who waits at this socket, in threads of his own."""
        threading.Thread(target=self._serve, args=(borrower,), daemon=True).start()

    def _prepare(self) -> None:
        with self._lock:
            if self._spare is None and self._clock() >= self._refused_until:
                try:
                    self._spare = self._begin()
                except (
                    Exception
                ) as cause:  # paramiko's, OSError, EngineError: there is none to lend
                    self._refused = str(cause) or type(cause).__name__
                    self._refused_until = self._clock() + REFUSAL_STANDS

    def _begin(self) -> tuple[Line, bytes]:
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
        return line, greeting

    def _serve(self, borrower: socket.socket) -> None:
        with borrower:
            self._prepare()
            with self._lock:
                spare, self._spare = self._spare, None
            if spare is None:
                with contextlib.suppress(OSError):
                    borrower.sendall(b"alone no session to lend: " + self._refused.encode() + b"\n")
                return
            threading.Thread(target=self._prepare, daemon=True).start()
            line, greeting = spare
            about = {"software": self._sibling.software, "cipher": self._sibling.cipher}
            try:
                borrower.setblocking(True)
                borrower.sendall(f"{LENT} {json.dumps(about)}\n".encode())
                if _exactly(borrower, _GREETING):
                    borrower.sendall(greeting)
                    threading.Thread(target=_carry_back, args=(line, borrower), daemon=True).start()
                    _carry(borrower, line)
            except (OSError, EOFError, EngineError):
                pass
            finally:
                with contextlib.suppress(Exception):
                    line.close()
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
