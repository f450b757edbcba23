# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file being read: opened when it is made, read ahead as far as the session's budget reaches.

The file's size is asked for together with its first bytes, so that its end needs no question of its
own. Answers that are shorter than asked are completed by further requests.
"""

from __future__ import annotations

import contextlib

from ...errors import EngineError, FileReadError
from .. import base
from . import protocol
from .channel import Reply
from .server import Server

# Requests at first, when nobody knows how much there is; then, where the server does not say, twice
# as many with every answer.
FIRST_REQUESTS = 1

# Requests that whoever is being read may have on their way although the budget is used up.
ALWAYS = 4


class Reader(base.Reader):
    """A range of one file; see base.Reader."""

    def __init__(self, server: Server, path: str, offset: int, size: int | None) -> None:
        self._server = server
        self._path = path
        self._position = offset  # of the next byte to give
        self._wanted = offset  # of the next byte to ask for
        self._end = None if size is None else offset + size
        self._sizing = False
        self._handle: bytes | None = None
        self._pending = 0  # READs without an answer
        self._most = FIRST_REQUESTS
        self._arrived: dict[int, bytes] = {}
        self._eof: int | None = None
        self._error: EngineError | None = None
        self._complete = False  # nothing is left to arrive
        self._closed = False
        self._eager = False
        fields = protocol.open_file(server.path(path), protocol.READ_FLAG, None)
        server.handles.open(protocol.OPEN, fields, self._on_handle, self._on_refused)

    # What the caller does.

    def take(self) -> bytes:
        """See base.Reader."""
        if self._closed:
            return b""
        # Others, and our own next requests, go on while bytes are taken. That the transport is lost
        # matters when something is missing.
        with contextlib.suppress(EngineError):
            self._server.channel.step()
        if not self._has_next():
            self._eager = True
            self._fill()
            self._server.channel.wait_until(self._has_next)
            self._eager = False
        if self._error is not None:
            raise self._error
        data = self._arrived.pop(self._position, b"")
        if not data:
            self.close()
            if self._end is not None and self._position < self._end:
                raise self._short(self._end)
            return b""
        self._position += len(data)
        self._server.read_ahead.give(len(data))
        self._fill()
        return data

    def close(self) -> None:
        """See base.Reader."""
        if self._closed:
            return
        self._closed = True
        self._complete = True
        self._server.read_ahead.leave(self)
        for data in self._arrived.values():
            self._server.read_ahead.give(len(data))
        self._arrived.clear()
        # Where the transport is gone, the handle is gone with it.
        with contextlib.suppress(EngineError):
            self._release()

    # What answers do.

    def _on_handle(self, handle: bytes) -> None:
        self._handle = handle
        if self._closed:
            self._release()
            return
        if self._end is None:
            self._sizing = True
            self._server.channel.request(
                protocol.FSTAT, protocol.string(handle), self._on_attributes
            )
        self._fill()

    def _on_refused(self, reply: Reply) -> None:
        self._error = self._server.error("open", self._path, reply.status())

    def _on_attributes(self, reply: Reply) -> None:
        self._sizing = False
        if reply.kind == protocol.ATTRS:
            size = reply.fields(protocol.ATTRS).attributes().size
            # Some servers know no sizes and say 0; only reading tells then.
            if size:
                self._end = max(size, self._position)
        self._fill()

    def _on_data(self, offset: int, size: int, reply: Reply) -> None:
        self._pending -= 1
        data = b""
        if reply.kind == protocol.DATA:
            data = bytes(reply.fields(protocol.DATA).string()[:size])
        elif reply.status().code != protocol.EOF:
            self._error = self._error or self._server.error("read", self._path, reply.status())
        if not data:
            self._eof = offset if self._eof is None else min(offset, self._eof)
        if self._closed or self._error is not None:
            data = b""
        self._server.read_ahead.give(size - len(data))
        if data:
            self._arrived[offset] = data
            self._ask_rest(offset + len(data), offset + size)
            if not self._sizing:
                self._most *= 2
        self._fill()

    def _ask_rest(self, start: int, end: int) -> None:
        """Ask again for what a short answer left out, unless the file is known to end there."""
        if self._end is not None:
            end = min(end, self._end)
        if start < end and (self._eof is None or start < self._eof):
            self._ask(start, end - start, force=True)

    def _has_next(self) -> bool:
        return self._complete or self._position in self._arrived or self._error is not None

    def _all_asked(self) -> bool:
        if self._eof is not None:
            return True
        return self._end is not None and self._wanted >= self._end

    def _fill(self) -> None:
        """Ask for as much as may be on its way, and let go of the handle when all has arrived."""
        if self._closed:
            self._release()
            return
        if self._handle is None or self._server.channel.lost is not None:
            return
        while self._error is None and not self._all_asked():
            if self._end is None and self._pending >= self._most:
                return
            size = self._server.read_size
            if self._end is not None:
                size = min(size, self._end - self._wanted)
            if not self._ask(self._wanted, size, force=self._eager and self._pending < ALWAYS):
                return
            self._wanted += size
        if self._all_asked():
            self._server.read_ahead.leave(self)
        if not self._pending and not self._sizing:
            self._complete = True
            self._release()

    def _ask(self, offset: int, size: int, *, force: bool) -> bool:
        if not self._server.read_ahead.take(size, self, self._fill, force=force):
            return False
        self._pending += 1

        def answered(reply: Reply) -> None:
            self._on_data(offset, size, reply)

        self._server.channel.request(
            protocol.READ, protocol.read(self._handle or b"", offset, size), answered
        )
        return True

    def _release(self) -> None:
        if self._handle is not None and not self._pending:
            handle, self._handle = self._handle, None
            self._server.handles.close(handle)

    def _short(self, end: int) -> FileReadError:
        text = f"'{self._path}' on {self._server.location} ends at {self._position} bytes"
        return FileReadError(f"{text}, {end} were expected")
