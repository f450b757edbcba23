# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further connections of one session, for the parts of a large file.

OpenSSH acknowledges an upload 2 MiB a channel and round trip, whatever the client does: at 95 ms
that is 22 MB/s. Several connections that write parts of the same file, each at its offset, carry
as many times more. They are made in the background when the first large file asks for them, and
whatever goes wrong with that is no fault: then there are fewer.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import typing as t

from ... import log
from ...errors import EngineError, TransportLostError
from . import protocol
from .channel import Channel, OnReply, Reply
from .protocol import View

# Besides the session itself. More gain little: one process encrypts for all of them.
LANES = 3

# Of all processes of a command together.
LANES_OF_ALL = 8

# Seconds of a round trip from which the window, and not the processor, is what limits an upload.
FAR = 0.015

# Bytes of a file after which it counts as large; a bundle or a segment of WAL does not.
LARGE = 24 * 1024 * 1024

# Bytes that are expected, before compression, of a file that counts as large from the beginning.
EXPECTED_LARGE = 4 * LARGE

# Sessions lost after which a line is too bad for several connections.
GENERATIONS = 3


def share(processes: int) -> int:
    """How many lanes each of so many processes may have."""
    return min(LANES, LANES_OF_ALL // processes)


class Lane:
    """One connection."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.unacknowledged = 0
        self.due = 0
        """Answers that somebody needs."""
        self.users = 0
        """Files that have parts here and are not closed."""

    def ask(self, kind: int, fields: bytes, on_reply: OnReply, data: View = b"") -> None:
        """Send a request whose answer is needed."""
        self.due += 1

        def answered(reply: Reply) -> None:
            self.due -= 1
            on_reply(reply)

        self.channel.request(kind, fields, answered, data)


class Lanes:
    """All of one session; ``connect`` makes one and waits until it speaks SFTP.

    While the server is ``tight`` with connections none is made, and those that no file needs are
    given back: somebody may be waiting for them who cannot work without.
    """

    def __init__(
        self,
        connect: t.Callable[[], Channel],
        most: int = LANES,
        tight: t.Callable[[], bool] = lambda: False,
    ) -> None:
        self._connect = connect
        self._most = most
        self._tight = tight
        self._begun = False
        self._closed = False
        self._lock = threading.Lock()
        self._arrived: queue.SimpleQueue[Channel] = queue.SimpleQueue()
        self._lanes: list[Lane] = []

    @property
    def unacknowledged(self) -> int:
        """Bytes on their way in all of them."""
        return sum(lane.unacknowledged for lane in self._lanes)

    @property
    def due(self) -> int:
        """Answers that somebody needs, in all of them."""
        return sum(lane.due for lane in self._lanes)

    def current(self) -> list[Lane]:
        """Those that are there; the first call while there is room has them made."""
        if not self._begun and not self._tight():
            self._begun = True
            self._make_all()
        while not self._arrived.empty():
            self._lanes.append(Lane(self._arrived.get()))
            log.debug("%d connections share large files", 1 + len(self._lanes))
        for lane in [lane for lane in self._lanes if lane.channel.ended]:
            self._drop(lane)
        self._shrink()
        return self._lanes

    def _make_all(self) -> None:
        try:
            for _dummy in range(self._most):
                threading.Thread(target=self._make, daemon=True).start()
        except RuntimeError as cause:  # no thread to be had
            log.detail("large files get connections less: %s", cause)

    def _shrink(self) -> None:
        if self._lanes and self._tight():
            for lane in [lane for lane in self._lanes if not (lane.due or lane.users)]:
                log.debug("a connection for large files is given back")
                self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        """One that is lost; that matters when a file needs it."""
        lane.channel.give_up(TransportLostError("connection is closed"))
        if lane.due or lane.users:
            raise TransportLostError(
                "a connection that carries a part of a large file is lost: closed by the server"
            )
        self._lanes.remove(lane)

    def _make(self) -> None:
        try:
            channel = self._connect()
        except EngineError as cause:
            log.detail("large files get a connection less: %s", cause.message)
            return
        with self._lock:
            if not self._closed:
                self._arrived.put(channel)
                return
        _give_up(channel)

    def step(self) -> None:
        """Send and handle what is possible; raises when one of them is lost."""
        self._shrink()
        for lane in list(self._lanes):
            if lane.channel.ended:
                self._drop(lane)
            elif lane.due or lane.users:
                lane.channel.step()
            else:
                with contextlib.suppress(EngineError):
                    lane.channel.step()

    def is_busy(self) -> bool:
        """Whether an answer is missing that somebody needs."""
        return self.due > 0

    def close(self) -> None:
        """Let go of them; never raises."""
        with self._lock:
            self._closed = True
        while not self._arrived.empty():
            _give_up(self._arrived.get())
        for lane in self._lanes:
            _give_up(lane.channel)
        self._lanes = []


def _give_up(channel: Channel) -> None:
    channel.give_up(TransportLostError("connection is closed"))


class Stripes:
    """One file's handles in all lanes."""

    def __init__(self, lanes: Lanes, name: bytes) -> None:
        self._lanes = lanes
        self._name = name
        self._stripes: dict[Lane, Stripe] = {}

    def choose(self, backlog: int) -> Stripe | None:
        """The one that has least to do; None when the session itself, with ``backlog`` bytes on
        their way, has no more.
        """
        for lane in self._lanes.current():
            if lane not in self._stripes:
                with contextlib.suppress(EngineError):  # a lane that is lost just now
                    self._stripes[lane] = Stripe(lane, self._name)
        ready = [stripe for stripe in self._stripes.values() if stripe.ready and stripe.lives]
        if not ready:
            return None
        least = min(ready, key=lambda stripe: stripe.lane.unacknowledged)
        return least if least.lane.unacknowledged < backlog else None

    def take(self) -> list[Stripe]:
        """All of them, to be closed; there are none afterwards."""
        stripes, self._stripes = list(self._stripes.values()), {}
        return stripes


class Stripe:
    """One file's handle in one lane. The file is there already."""

    def __init__(self, lane: Lane, name: bytes) -> None:
        self.lane = lane
        self.used = False
        self._handle = b""
        self._closed = False
        fields = protocol.open_file(name, protocol.WRITE_FLAG, None)
        lane.channel.request(protocol.OPEN, fields, self._on_opened)

    @property
    def ready(self) -> bool:
        """Whether it can take bytes; a lane that refuses the file never can."""
        return bool(self._handle)

    @property
    def lives(self) -> bool:
        """Whether its lane is there; one that no file needed may be gone."""
        return not self.lane.channel.ended

    def _on_opened(self, reply: Reply) -> None:
        if reply.kind != protocol.HANDLE:
            return
        self._handle = bytes(reply.fields(protocol.HANDLE).string())
        if self._closed:
            self._release(lambda reply: None)

    def write(self, offset: int, data: View, on_reply: OnReply) -> None:
        """Send WRITE."""
        size = len(data)
        if not self.used:
            self.used = True
            self.lane.users += 1
        self.lane.unacknowledged += size

        def answered(reply: Reply) -> None:
            self.lane.unacknowledged -= size
            on_reply(reply)

        head = protocol.write_head(self._handle, offset, size)
        self.lane.ask(protocol.WRITE, head, answered, data)

    def sync(self, on_reply: OnReply) -> None:
        """Send fsync."""
        fields = protocol.string(protocol.FSYNC) + protocol.string(self._handle)
        self.lane.ask(protocol.EXTENDED, fields, on_reply)

    def close(self, on_reply: OnReply = lambda reply: None) -> None:
        """Send CLOSE, or see to it when the handle comes."""
        self._closed = True
        if self.used:
            self.lane.users -= 1
        if self._handle and (self.used or self.lives):
            self._release(on_reply)

    def _release(self, on_reply: OnReply) -> None:
        handle, self._handle = self._handle, b""
        self.lane.ask(protocol.CLOSE, protocol.string(handle), on_reply)
