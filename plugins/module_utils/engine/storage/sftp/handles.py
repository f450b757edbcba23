# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files and directories, never more at once than the server grants.

A server that says its limit (``limits@openssh.com``) is believed. Another one may simply refuse one
handle too many: such a refusal is tried again with fewer open, and when that works the smaller
number is the limit from then on.
"""

from __future__ import annotations

import collections
import typing as t

from . import protocol
from .channel import Channel, OnReply, Reply

# Without a word from the server.
DEFAULT = 64

# More in flight at once gains nothing, even far away.
MOST = 256

# Kept free of files, so that directories can be listed while all of those are open.
RESERVED = 4


class _Opening(t.NamedTuple):
    kind: int
    fields: bytes
    on_handle: t.Callable[[bytes], None]
    on_refused: OnReply
    most: int | None  # after a refusal: handles that may be held, this one included


class Handles:
    """Opens and closes; what would exceed the limit waits for its turn."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._limit = DEFAULT
        self._known = False
        self._granted = 0
        self._held = 0  # open, or being opened or closed
        self._open = 0
        self._files: collections.deque[_Opening] = collections.deque()
        self._directories: collections.deque[_Opening] = collections.deque()

    @property
    def held(self) -> int:
        """Handles that the server has, may have got, or may still have."""
        return self._held

    @property
    def granted(self) -> int | None:
        """How many the server says that it grants; None when it does not say."""
        return self._granted or None

    def expect_many(self) -> None:
        """The server will say its limit; until then suppose that it is large."""
        self._limit = MOST

    def set_limit(self, granted: int) -> None:
        """What the server says that it grants; 0 when it does not say."""
        self._known = granted > 0
        self._granted = granted
        self._limit = min(granted or DEFAULT, MOST)
        self._admit()

    def open(
        self,
        kind: int,
        fields: bytes,
        on_handle: t.Callable[[bytes], None],
        on_refused: OnReply,
    ) -> None:
        """Send OPEN or OPENDIR as soon as a handle is free for it."""
        queue = self._files if kind == protocol.OPEN else self._directories
        queue.append(_Opening(kind, fields, on_handle, on_refused, None))
        self._admit()

    def close(self, handle: bytes, on_reply: OnReply = lambda reply: None) -> None:
        """Send CLOSE; the handle is free for another one when it is answered."""

        def closed(reply: Reply) -> None:
            self._held -= 1
            self._open -= 1
            on_reply(reply)
            self._admit()

        self._channel.request(protocol.CLOSE, protocol.string(handle), closed)

    def _admit(self) -> None:
        for_files = self._limit - (RESERVED if self._limit > 2 * RESERVED else 0)
        for queue, limit in ((self._directories, self._limit), (self._files, for_files)):
            while queue and self._held < min(limit, queue[0].most or limit):
                self._send(queue, queue.popleft())

    def _send(self, queue: collections.deque[_Opening], opening: _Opening) -> None:
        self._held += 1
        alone = self._held == 1
        known = self._known  # what is sent before the limit is known may be too much

        def answered(reply: Reply) -> None:
            if reply.kind == protocol.HANDLE:
                self._open += 1
                self._limit = min(self._limit, opening.most or self._limit)
                opening.on_handle(bytes(reply.fields(protocol.HANDLE).string()))
                return
            self._held -= 1
            if reply.status().code == protocol.FAILURE and not alone and not known:
                # One too many, perhaps.
                fewer = min(self._open, (opening.most or self._limit) - 1)
                queue.appendleft(opening._replace(most=max(1, fewer)))
            else:
                opening.on_refused(reply)
            self._admit()

        self._channel.request(opening.kind, opening.fields, answered)
