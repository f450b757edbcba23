# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server of this session can do, and what all files of the session share.

Each extension is asked for once. Where the server lacks one, or refuses it, the way without it is
taken from then on.
"""

from __future__ import annotations

import time
import typing as t

from ...errors import EngineError, ProtocolError, TransportLostError
from . import failure, protocol
from .channel import Channel, Reply
from .handles import Handles
from .lanes import FAR, GENERATIONS, Lanes
from .protocol import Space, Status

# What every server must take, draft-ietf-secsh-filexfer-02 section 3.
SMALLEST_DATA = 32768

# OpenSSH's own largest; larger requests gain nothing.
LARGEST_DATA = 255 * 1024

# Bytes of files sent and not acknowledged, of all files of the session.
WRITE_AHEAD = 16 * 1024 * 1024

# Bytes asked for and not taken by the reader, of all files of the session: what fills a line of
# 300 MiB/s for a round trip, within these bounds. More only waits on the server, and slows OpenSSH
# down, which moves all of its buffer for each packet: a third of the rate nearby.
READ_RATE = 300 * 1024 * 1024
LEAST_READ_AHEAD = 4 * 1024 * 1024
MOST_READ_AHEAD = 32 * 1024 * 1024


# Seconds between two looks at the lanes, a fraction of a round trip from where there are any.
PAUSE = 0.002


class Server:
    """One session: its channel, handles, extensions and sizes.

    ``generation`` counts the sessions that were lost before it; ``lanes`` are for large files.
    """

    def __init__(
        self,
        channel: Channel,
        name: str,
        root: str,
        generation: int = 0,
        lanes: Lanes | None = None,
    ) -> None:
        self.channel = channel
        self.generation = generation
        self.name = name
        self.location = f"{name}:{root}"
        self.handles = Handles(channel)
        self.read_size = SMALLEST_DATA
        self.write_size = SMALLEST_DATA
        self.posix_rename = False
        self.posix_rename_works = False
        self.fsync = False
        self.statvfs = False
        self.extensions: dict[bytes, bytes] = {}
        self.read_ahead = Budget(LEAST_READ_AHEAD)
        self.unacknowledged = 0
        self.lanes = lanes if generation < GENERATIONS else None
        self.unfinished: set[str] = set()
        """Temporary files that may be there: see Storage."""
        self._removing = 0
        self._short: tuple[int, Space] | None = None
        self._root = protocol.encode(root.rstrip("/") or "/")

    def begin(self) -> None:
        """Exchange versions, and ask for the limits without waiting for them."""
        ahead = self.channel.ahead
        asked = time.monotonic() if ahead is None else ahead.asked
        version, self.extensions = self.channel.greet()
        self.read_ahead = Budget(read_ahead(time.monotonic() - asked))
        if version != protocol.VERSION:
            raise self.channel.give_up(
                ProtocolError(f"{self.name} speaks version {version} of SFTP, 3 is needed")
            )
        self.posix_rename = protocol.POSIX_RENAME in self.extensions
        self.fsync = protocol.FSYNC in self.extensions
        self.statvfs = protocol.STATVFS in self.extensions
        if protocol.LIMITS in self.extensions:
            # Who has limits to tell grants more than the few of an unknown server.
            self.handles.expect_many()
            sent = time.monotonic()

            def answered(reply: Reply) -> None:
                if ahead is not None:
                    # Logging in is not in it.
                    self.read_ahead.bound(read_ahead(time.monotonic() - sent))
                self._take_limits(reply)

            self.channel.extended(protocol.LIMITS, b"", answered)
        if self.lanes is not None:
            self._measure()

    def _measure(self) -> None:
        """Keep the lanes only where they pay: where an answer takes longer than ``FAR``.

        Who is far away does not wait for the answer, but for so long only.
        """
        answers: list[Reply] = []
        end = time.monotonic() + FAR
        self.channel.request(protocol.LSTAT, protocol.string(self._root), answers.append)
        while time.monotonic() < end:
            self.channel.step()
            if answers:
                self.lanes = None
                return
            time.sleep(PAUSE / 4)

    @property
    def replaces_at_once(self) -> bool:
        """Whether a file takes the place of another in one step, as has been seen."""
        return self.posix_rename and self.posix_rename_works

    def step(self) -> None:
        """Send and handle whatever is possible without waiting, in the lanes, too."""
        self.channel.step()
        if self.lanes is not None:
            try:
                self.lanes.step()
            except EngineError as error:
                # A part of a file is lost, so all of it must be sent again.
                raise self.channel.give_up(error) from error

    def wait_until(self, done: t.Callable[[], bool]) -> None:
        """``Channel.wait_until``, with answers that may come in a lane."""
        if self.lanes is not None and self.lanes.is_busy():
            self._watch(done)
        self.channel.wait_until(done)

    def _watch(self, done: t.Callable[[], bool]) -> None:
        """Look at all lanes in turns until it is done, or none of them has anything to wait for."""
        before = -1
        heard = time.monotonic()
        while not done():
            self.step()
            missing = self.unacknowledged + self.channel.outstanding
            if self.lanes is not None:
                # Making a file durable is no byte, and may take its time in each of them.
                missing += self.lanes.due
            now = time.monotonic()
            if missing != before:
                before, heard = missing, now
            elif now - heard > self.channel.timeout:
                raise self.channel.give_up(
                    TransportLostError(f"connection to {self.name} lost: no answer in time")
                )
            if self.lanes is None or not self.lanes.is_busy():
                return
            if not done():
                time.sleep(PAUSE)

    def _take_limits(self, reply: Reply) -> None:
        if reply.kind != protocol.EXTENDED_REPLY:
            return
        limits = protocol.parse_limits(reply.body)
        # Fields of a WRITE around its data take less than 1 KiB.
        packet = limits.packet - 1024 if limits.packet else LARGEST_DATA
        self.read_size = _within(limits.read, packet)
        self.write_size = _within(limits.write, packet)
        self.handles.set_limit(limits.handles)

    def path(self, path: str) -> bytes:
        """The name of a path on the server."""
        if not path:
            return self._root
        return self._root.rstrip(b"/") + b"/" + protocol.encode(path)

    def error(self, action: str, path: str, status: Status) -> EngineError:
        """The error for a refusal of ``action`` (``open``) on ``path``."""
        return failure.error(self.action(action, path), status)

    def action(self, action: str, path: str) -> str:
        """How a message about ``path`` begins."""
        return f"unable to {action} '{path}' on {self.location}"

    def explain(
        self,
        action: str,
        path: str,
        status: Status,
        then: t.Callable[[EngineError], None],
        *,
        takes_room: bool = True,
    ) -> None:
        """Give the error of a refused change to ``then``, after asking for the state of the file
        system if that may be the reason that the server does not give.
        """
        asked = self.channel.requests
        answered = asked - self.channel.outstanding

        def found(reply: Reply) -> None:
            space = None
            if reply.kind == protocol.EXTENDED_REPLY:
                space = self._tightest(protocol.parse_space(reply.body), asked, answered)
            subject = self.action(action, path)
            then(failure.error(subject, status, space, takes_room=takes_room))

        if self.statvfs and failure.is_vague(status):
            self.ask_space(found)
        else:
            then(self.error(action, path, status))

    def _tightest(self, space: Space, asked: int, answered: int) -> Space:
        """The state that explains a refusal: of several files that are refused at once the first
        makes room by its end, before the server is asked about the next ones. What was on its way
        when the first was refused (``asked`` requests) was refused for the same reason.
        """
        if failure.shortage(space) is not None:
            self._short = (asked, space)
        elif self._short is not None and answered <= self._short[0]:
            return self._short[1]
        return space

    def discard(self, path: str) -> None:
        """Remove what is of no use, without a word about whether that works."""
        self._removing += 1

        def discarded(_reply: Reply) -> None:
            self._removing -= 1
            self.unfinished.discard(path)

        self.channel.request(protocol.REMOVE, protocol.string(self.path(path)), discarded)

    def is_clean(self) -> bool:
        """Whether everything that was to be discarded is."""
        return not self._removing

    def ask_space(self, on_reply: t.Callable[[Reply], None]) -> None:
        """Send statvfs for the repository."""
        self.channel.extended(protocol.STATVFS, protocol.string(self._root), on_reply)


def read_ahead(round_trip: float) -> int:
    """Bytes to ask for ahead, where an answer takes so many seconds (pure)."""
    wanted = int(round_trip * READ_RATE)
    return min(max(wanted, LEAST_READ_AHEAD), MOST_READ_AHEAD)


def _within(limit: int, packet: int) -> int:
    wanted = min(limit or LARGEST_DATA, packet, LARGEST_DATA)
    return max(wanted, 4096)


class Budget:
    """Bytes that several may use; who finds none is called again when some are free."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._waiting: dict[object, t.Callable[[], None]] = {}

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self._size

    def bound(self, size: int) -> None:
        """Have no more than this; what is in use stays so."""
        self._size = min(self._size, size)

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._used

    def take(self, size: int, owner: object, again: t.Callable[[], None], *, force: bool) -> bool:
        """Take ``size`` bytes if there are any, or in any case when ``force`` is set."""
        if not force and self._used + size > self._size:
            self._waiting.setdefault(owner, again)
            return False
        self._used += size
        return True

    def give(self, size: int) -> None:
        """Give back; whoever waited longest goes first."""
        self._used -= size
        while self._waiting and self._used < self._size:
            before = self._used
            next(iter(self._waiting.values()))()
            if self._used == before:
                return

    def leave(self, owner: object) -> None:
        """Wait no longer."""
        self._waiting.pop(owner, None)
