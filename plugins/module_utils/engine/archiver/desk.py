# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where archive-push and others ask the service: their connections, line by line.

What a question means is decided elsewhere; here it is read, answered, and hung up. Whoever waits is
shown that we are alive.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
import typing as t

from .. import log, resident
from ..errors import EngineError

_LINE = 65536


class Asker:
    """Somebody who waits, or who has not said yet what he wants."""

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.connection = connection
        self.line = b""
        self.since = now
        self.beat = now
        self.attend: t.Callable[[Asker, float], None] | None = None
        """Answers when there is an answer; none before the question."""
        self.leave: t.Callable[[Asker], None] | None = None
        """What is to be done when he is gone."""
        self.name = ""
        """The file that he asks for."""
        self.path = ""


class Desk:
    """All who ask. ``begin`` is told what somebody wants, as words."""

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        begin: t.Callable[[Asker, list[str]], None],
    ) -> None:
        self.askers: dict[socket.socket, Asker] = {}
        self._listener = listener
        self._selector = selector
        self._begin = begin

    def accept(self) -> None:
        """Somebody comes; a connection of another user is refused."""
        try:
            connection, _address = self._listener.accept()
        except OSError:
            return
        if resident.peer_uid(connection) not in (os.geteuid(), 0):
            log.warn("a connection of another user was refused")
            connection.close()
            return
        connection.setblocking(False)
        self.askers[connection] = Asker(connection, time.monotonic())
        self._selector.register(connection, selectors.EVENT_READ)

    def read(self, asker: Asker) -> None:
        """Take what he says; his question ends with a line's end."""
        try:
            data = asker.connection.recv(_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(asker.line) + len(data) > _LINE:
            self.hang_up(asker)
            return
        asker.line += data
        if asker.attend is None and asker.line.endswith(b"\n"):
            self._begin(asker, os.fsdecode(asker.line[:-1]).split("\t"))

    def attend(self, now: float) -> None:
        """Answer whom there is an answer for, and show the others that we are alive."""
        for asker in list(self.askers.values()):
            if asker.attend is not None:
                asker.attend(asker, now)
            elif now - asker.since > resident.SILENCE:
                self.hang_up(asker)

    def beat(self, asker: Asker, now: float) -> bool:
        """A dot a second for who waits; whether it was time for one."""
        if now - asker.beat < resident.BEAT:
            return False
        asker.beat = now
        self.say(asker, b".")
        return True

    def fail(self, asker: Asker, error: EngineError) -> None:
        """The answer is an error."""
        self.answer(asker, f"error {error.code} {resident.escape(str(error))}")

    def alone(self, asker: Asker, why: str) -> None:
        """He has to do the work himself."""
        self.answer(asker, f"alone {resident.escape(why)}")

    def answer(self, asker: Asker, line: str) -> None:
        """The last word."""
        self.say(asker, os.fsencode(line) + b"\n")
        self.hang_up(asker)

    def say(self, asker: Asker, data: bytes) -> None:
        """Some bytes; an answer is far smaller than the socket's buffer."""
        with contextlib.suppress(OSError):
            asker.connection.send(data)

    def hang_up(self, asker: Asker) -> None:
        """He is gone."""
        if self.release(asker):
            asker.connection.close()

    def release(self, asker: Asker) -> bool:
        """Let go of him without closing the connection; false when that was done before."""
        if self.askers.pop(asker.connection, None) is None:
            return False
        self._selector.unregister(asker.connection)
        if asker.leave is not None:
            asker.leave(asker)
        return True

    def waits_for(self, name: str) -> bool:
        """Whether anybody asks for that file."""
        return any(other.name == name for other in self.askers.values())
