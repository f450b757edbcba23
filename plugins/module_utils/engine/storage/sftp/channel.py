# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions and answers: many requests on their way at once, each with what to do about its answer.

Nothing here waits unless asked to: ``request`` puts a packet in the outbox, ``step`` sends what the
server's window takes and handles the answers that are there, ``wait_until`` does both until a
condition holds. What an answer sets in motion may send further requests, but never waits.

One thread uses a channel.
"""

from __future__ import annotations

import collections
import socket
import typing as t

from ...errors import (
    EngineError,
    HostBusyError,
    ProtocolError,
    StorageLimitError,
    TransportLostError,
)
from . import protocol
from .protocol import Fields, View

# What one SSH packet takes: OpenSSH's 32 KiB less what paramiko keeps back.
SEGMENT = 32768 - 64

# Everything that is there is taken at once: paramiko's buffer moves all that is left behind.
RECEIVE = 1 << 30

# With fewer requests on their way the line counts as free.
FEW = 8

# Requests without data on their way at most, for verbs that take many paths.
REQUESTS = 512


class Stream(t.Protocol):
    """The bytes below: a paramiko channel with a time-out, or a stand-in of a test."""

    def send(self, data: View) -> int:
        """Send some of the bytes; blocks while the window is closed. 0 when it is so for good."""

    def send_ready(self) -> bool:
        """Whether ``send`` takes at least one byte without blocking."""

    def recv(self, size: int) -> bytes:
        """What has arrived; blocks when that is nothing. Empty at the end."""

    def recv_ready(self) -> bool:
        """Whether ``recv`` does not block."""


class Reply(t.NamedTuple):
    """An answer."""

    kind: int
    body: memoryview

    def status(self) -> protocol.Status:
        """The status in it; ProtocolError when it is an answer of another kind."""
        if self.kind != protocol.STATUS:
            raise ProtocolError(f"the SFTP server answered with a packet of type {self.kind}")
        return Fields(self.body).status()

    def is_ok(self) -> bool:
        """Whether it is the status OK."""
        return self.kind == protocol.STATUS and Fields(self.body).u32() == protocol.OK

    def fields(self, kind: int) -> Fields:
        """The fields of an answer that must be of that kind."""
        if self.kind != kind:
            raise ProtocolError(f"the SFTP server answered with a packet of type {self.kind}")
        return Fields(self.body)


OnReply = t.Callable[[Reply], None]


class _Pending(t.NamedTuple):
    on_reply: OnReply
    round: int


class Ahead(t.Protocol):
    """Whoever has sent the greeting."""

    asked: float
    """When, by the monotonic clock."""

    def answered(self) -> None:
        """It got its answer."""

    def failed(self) -> None:
        """It never will."""


class Channel:
    """The requests of one SFTP session.

    ``name`` is the server's, for messages; ``end`` is called once when the channel is given up, and
    ``why`` tells what ended the stream, if anybody knows.

    ``round_trips`` counts how often somebody had to wait for the answer to a request that was sent
    after the last such wait: the number of times that distance was paid for.
    """

    def __init__(
        self,
        stream: Stream,
        name: str,
        end: t.Callable[[], None],
        why: t.Callable[[], str] = lambda: "",
    ) -> None:
        self._stream = stream
        self._name = name
        self._end = end
        self._why = why
        self._splitter = protocol.Splitter()
        self._pending: dict[int, _Pending] = {}
        self._next = 0
        self._outbox: collections.deque[View] = collections.deque()
        self._queued = 0
        self._greeting: memoryview | None = None
        self.lost: EngineError | None = None
        self.software = ""
        """What the SSH server calls itself, for whoever shows it."""
        self.cipher = ""
        self.timeout = 60.0
        """Seconds that the server may be silent, as the stream has it."""
        self.refusal: t.Callable[[], EngineError | None] = lambda: None
        """Says that the server refuses SFTP, once it has."""
        self.sibling: t.Callable[[], t.Any] | None = None
        """Opens a further SFTP channel of the same connection, where that is possible."""
        self.ahead: Ahead | None = None
        """Set where the greeting was sent before the channel was there."""
        self.round_trips = 0
        self.requests = 0

    @property
    def outstanding(self) -> int:
        """Requests without an answer yet."""
        return len(self._pending)

    @property
    def ended(self) -> bool:
        """Whether the other side is known to be gone; False when nobody knows."""
        if self.lost is not None:
            return True
        stream = self._stream
        return bool(getattr(stream, "eof_received", False) or getattr(stream, "closed", False))

    def greet(self) -> tuple[int, dict[bytes, bytes]]:
        """Open the protocol; waits for the server's version and extensions."""
        ahead = self.ahead
        if ahead is None:
            self._push(protocol.init())
        try:
            self.wait_until(lambda: self._greeting is not None)
        except EngineError:
            if ahead is not None:
                ahead.failed()
            raise
        if ahead is not None:
            ahead.answered()
        self.round_trips = 0
        return protocol.parse_version(self._greeting or memoryview(b""))

    def request(self, kind: int, fields: bytes, on_reply: OnReply, data: View = b"") -> None:
        """Send a request (soon), and have ``on_reply`` called with its answer."""
        if self.lost is not None:
            raise self.lost
        number = self._next
        self._next = (number + 1) & 0xFFFFFFFF
        idle = len(self._pending) < FEW
        self._pending[number] = _Pending(on_reply, self.round_trips)
        self.requests += 1
        self._push(protocol.head(kind, number, len(fields) + len(data)) + fields)
        if len(data):
            self._push(data)
        # Small requests of one moment share a packet; but nothing stays behind while the line is
        # free.
        if idle or self._queued >= SEGMENT:
            self._flush(whole_segments=not idle)

    def extended(self, name: bytes, fields: bytes, on_reply: OnReply) -> None:
        """``request`` for an extension."""
        self.request(protocol.EXTENDED, protocol.string(name) + fields, on_reply)

    def step(self) -> None:
        """Send and handle whatever is possible without waiting."""
        self._step(waited=False)

    def _step(self, *, waited: bool) -> None:
        if self.lost is not None:
            raise self.lost
        self._flush()
        while self._stream.recv_ready() or (self._pending and self.ended):
            self._receive(waited=waited)
        self._flush()

    def wait_until(self, done: t.Callable[[], bool]) -> None:
        """Send and handle until ``done()``; TransportLostError when nothing comes any more."""
        while not done():
            self._step(waited=True)
            if done():
                return
            if self._outbox:
                # The window is closed: it opens when the server has taken what is there.
                self._send_segment()
            elif self._pending or self._greeting is None:
                self._receive(waited=True)
            else:
                raise StorageLimitError(
                    f"more files must be open at once than {self._name} allows",
                    hint="fewer handles than the server grants its users are needed to go on.",
                )

    def give_up(self, error: EngineError) -> EngineError:
        """Nothing more can be asked; every later use raises this error."""
        if self.lost is None:
            self.lost = error
            self._outbox.clear()
            self._queued = 0
            self._pending.clear()
            self._end()
        return self.lost

    # How bytes go.

    def _push(self, data: View) -> None:
        self._outbox.append(data)
        self._queued += len(data)

    def _flush(self, *, whole_segments: bool = False) -> None:
        least = SEGMENT if whole_segments else 1
        while self._queued >= least and self._send_ready():
            self._send_segment()

    def _send_ready(self) -> bool:
        try:
            return self._stream.send_ready()
        except OSError as cause:
            raise self._broken(cause) from cause

    def _send_segment(self) -> None:
        first = self._outbox[0]
        if len(first) < SEGMENT and len(self._outbox) > 1:
            first = self._joined()
        try:
            sent = self._stream.send(memoryview(first)[:SEGMENT])
        except Exception as cause:  # paramiko raises its own, OSError, EOFError
            raise self._broken(cause) from cause
        if sent <= 0:
            raise self._broken(None)
        self._queued -= sent
        if sent == len(first):
            self._outbox.popleft()
        else:
            self._outbox[0] = memoryview(first)[sent:]

    def _joined(self) -> View:
        """Put small pieces together, and fill up with the beginning of a large one."""
        parts: list[View] = []
        size = 0
        while self._outbox and size < SEGMENT:
            part = self._outbox.popleft()
            room = SEGMENT - size
            if len(part) > room:
                self._outbox.appendleft(memoryview(part)[room:])
                part = memoryview(part)[:room]
            parts.append(part)
            size += len(part)
        joined = b"".join(parts)
        self._outbox.appendleft(joined)
        return joined

    # How answers come.

    def _receive(self, *, waited: bool) -> None:
        try:
            chunk = self._stream.recv(RECEIVE)
        except Exception as cause:  # socket.timeout, OSError, paramiko's own
            raise self._broken(cause) from cause
        if not chunk:
            raise self._broken(None)
        try:
            for kind, body in self._splitter.feed(chunk):
                self._handle(kind, body, waited)
        except ProtocolError as error:
            raise self.give_up(
                type(error)(f"{error.message} ({self._name})", hint=error.hint)
            ) from error
        except EngineError as error:
            # Whoever handled an answer found a lane lost; the answers after it are not handled.
            raise self.give_up(error) from error

    def _handle(self, kind: int, body: memoryview, waited: bool) -> None:
        if kind == protocol.VERSION_REPLY:
            self._greeting = body
            return
        number = Fields(body).u32()
        pending = self._pending.pop(number, None)
        if pending is None:
            raise ProtocolError(f"the SFTP server answered a request {number} that is not open")
        if waited and pending.round == self.round_trips:
            self.round_trips += 1
        pending.on_reply(Reply(kind, body[4:]))

    def _broken(self, cause: BaseException | None) -> EngineError:
        if isinstance(cause, socket.timeout):
            reason = "no answer in time"
        else:
            reason = (
                self._why() or (str(cause) if cause is not None else "") or "closed by the server"
            )
        if self._greeting is None:
            refusal = self.refusal()
            if refusal is not None:
                return self.give_up(refusal)
            rest = self._splitter.rest()
            if cause is None and self._why() and not rest:
                # Not the channel alone ended, but the whole connection: it was not asked for SFTP.
                return self.give_up(
                    HostBusyError(f"connection to {self._name} lost before SFTP began: {reason}")
                )
            if cause is None:
                return self.give_up(_no_protocol(self._name, reason, rest))
        error = TransportLostError(f"connection to {self._name} lost: {reason}")
        return self.give_up(error)


def _no_protocol(name: str, reason: str, rest: bytes) -> EngineError:
    if rest:
        return ProtocolError(f"{protocol.noise(rest)} ({name})")
    return ProtocolError(
        f"{name} ended the session before the SFTP protocol began: {reason}",
        hint="is the SFTP subsystem configured on the server, and may this user use it?",
    )


class Batch:
    """Many requests of one verb, a bounded number of them on their way."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: collections.deque[tuple[int, bytes, OnReply]] = collections.deque()
        self._open = 0

    def request(self, kind: int, fields: bytes, on_reply: OnReply) -> None:
        """``Channel.request``, when it is its turn."""
        self._waiting.append((kind, fields, on_reply))
        self._admit()

    def ended(self) -> bool:
        """Whether every request was answered."""
        return not self._open and not self._waiting

    def _admit(self) -> None:
        while self._waiting and self._open < REQUESTS:
            kind, fields, on_reply = self._waiting.popleft()
            self._send(kind, fields, on_reply)

    def _send(self, kind: int, fields: bytes, on_reply: OnReply) -> None:
        self._open += 1

        def answered(reply: Reply) -> None:
            self._open -= 1
            on_reply(reply)
            self._admit()

        self._channel.request(kind, fields, answered)
