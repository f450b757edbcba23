# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file being written: OPEN, WRITEs, fsync, CLOSE, rename, each sent as early as is safe.

Writes, fsync and CLOSE follow one another without waiting, since a server works through the
requests on one handle in order. The rename cannot be called back once it is sent: it goes out when
every earlier answer of the file was OK. A refusal anywhere ends the file: nothing gets its name,
and what was written is removed, as far as that is possible.
"""

from __future__ import annotations

import contextlib
import enum
import typing as t

from ... import log
from ...errors import EngineError, StorageError
from .. import base
from ..base import Completion, Publish, temporary_name
from . import failure, protocol
from .channel import Reply
from .lanes import EXPECTED_LARGE, LARGE, Stripe, Stripes
from .paths import Paths
from .protocol import View
from .rename import rename
from .server import WRITE_AHEAD, Server


class _Phase(enum.Enum):
    OPENING = enum.auto()
    WRITING = enum.auto()
    CLOSING = enum.auto()  # everything up to CLOSE is sent
    RENAMING = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()  # and the error may still be looked into


class Writer(base.Writer):
    """One file; see base.Writer. It is its own completion."""

    def __init__(
        self, server: Server, paths: Paths, path: str, publish: Publish, most: int = 0
    ) -> None:
        self._server = server
        self._paths = paths
        self._path = path
        self._publish = publish
        self._name = path
        if publish is Publish.RENAME:
            self._name = temporary_name(path)
            server.unfinished.add(self._name)
        self._phase = _Phase.OPENING
        self._handle: bytes | None = None
        self._opening = True  # no answer to OPEN yet, or another OPEN to come
        self._opened = False
        self._queue: list[View] = []  # requests' worth of bytes, until the handle is there
        self._tail: list[bytes] = []  # less than a request
        self._tail_size = 0
        self._offset = 0
        self._unanswered = 0
        self._stripes: Stripes | None = None
        self._large = LARGE if most < EXPECTED_LARGE else 0
        self._finished = False
        self._path_made = False
        self._error: EngineError | None = None
        self._after: list[Writer] = []  # whose names must come first
        self._twin: Writer | None = None  # whose name must come first, too, in two steps
        self._followers: list[Writer] = []
        self._open()
        if server.lanes is not None and not self._large:
            server.lanes.current()

    # What the caller does.

    def write(self, data: base.Bytes) -> None:
        """See base.Writer."""
        if self._phase is _Phase.FAILED:
            self.wait()
        if self._finished:
            raise StorageError(f"unable to write '{self._path}': it is finished")
        # The caller may use its buffer again, unless it cannot change.
        keep = _as_it_is if isinstance(data, bytes) else bytes
        view = memoryview(data)
        room = self._server.write_size - self._tail_size
        if len(view) < room:
            self._tail.append(bytes(view))
            self._tail_size += len(view)
            return
        if self._tail_size:
            self._send_tail(view[:room])
            view = view[room:]
        size = self._server.write_size
        while len(view) >= size:
            self._send(keep(view[:size]))
            view = view[size:]
        if len(view):
            self._tail.append(bytes(view))
            self._tail_size = len(view)
        self._server.step()
        if self._server.unacknowledged > WRITE_AHEAD:
            self._server.wait_until(self._may_go_on)

    def finish(
        self,
        *,
        name: str | None = None,
        after: t.Sequence[Completion] = (),
        twin: Completion | None = None,
    ) -> Completion:
        """See base.Writer."""
        if not self._finished:
            self._finished = True
            if name is not None:
                self._path = base.join(base.parent(self._path), name)
            self._after = [other for other in map(self._follow, after) if other is not None]
            self._twin = None if twin is None else self._follow(twin)
            if self._tail_size and self._phase is not _Phase.FAILED:
                self._send_tail(memoryview(b""))
            for other in self._after:
                if other._error is not None:
                    self._fail(other._error)
            self._advance()
            self._server.step()
        return self

    def abort(self) -> None:
        """See base.Writer."""
        if self._phase not in (_Phase.OPENING, _Phase.WRITING):
            return
        # Where the transport is gone, a temporary file is left behind.
        with contextlib.suppress(EngineError):
            self._fail(StorageError(f"unable to write '{self._path}': it was given up"))
            self._server.wait_until(self._is_gone)

    def ready(self) -> bool:
        """See base.Completion."""
        try:
            self._server.step()
        except EngineError:
            return True
        return self._ended()

    def wait(self) -> None:
        """See base.Completion."""
        self._server.wait_until(self._ended)
        if self._error is not None:
            raise self._error

    def _follow(self, other: Completion) -> Writer | None:
        """Hear of it when ``other`` ends; None when that has been waited for."""
        if not isinstance(other, Writer):
            other.wait()
            return None
        other._followers.append(self)
        return other

    def _may_be_named(self) -> bool:
        first = list(self._after)
        if self._twin is not None and not self._server.replaces_at_once:
            first.append(self._twin)
        return all(other._phase is _Phase.DONE for other in first)

    def _is_gone(self) -> bool:
        return not self._opening and self._server.is_clean()

    def _ended(self) -> bool:
        return self._phase is _Phase.DONE or self._error is not None

    def _may_go_on(self) -> bool:
        return self._phase is _Phase.FAILED or self._server.unacknowledged <= WRITE_AHEAD

    # What is sent.

    def _open(self) -> None:
        renamed = self._publish is Publish.RENAME
        once = protocol.EXCLUSIVE if renamed else protocol.TRUNCATE
        flags = protocol.WRITE_FLAG | protocol.CREATE | once
        fields = protocol.open_file(self._server.path(self._name), flags, base.FILE_MODE)
        self._server.handles.open(protocol.OPEN, fields, self._on_handle, self._on_refused)

    def _send_tail(self, more: memoryview) -> None:
        parts: list[base.Bytes] = [*self._tail, more]
        self._tail, self._tail_size = [], 0
        self._send(b"".join(parts))

    def _send(self, data: View) -> None:
        self._server.unacknowledged += len(data)
        if self._handle is None:
            self._queue.append(data)
        else:
            self._send_write(data)

    def _send_write(self, data: View) -> None:
        size = len(data)
        offset = self._offset
        self._offset += size
        self._unanswered += 1

        def answered(reply: Reply) -> None:
            self._server.unacknowledged -= size
            self._on_answer("write", reply)

        stripe = self._stripe()
        if stripe is not None:
            stripe.write(offset, data, answered)
            return
        # The length of the data is the last field of the head.
        head = protocol.write_head(self._handle or b"", offset, size)
        self._server.channel.request(protocol.WRITE, head, answered, data)

    def _stripe(self) -> Stripe | None:
        """Where the next bytes of a large file go; None: through the session itself."""
        lanes = self._server.lanes
        if lanes is None or self._offset < self._large or self._publish is Publish.DIRECT:
            return None
        if self._stripes is None:
            self._stripes = Stripes(lanes, self._server.path(self._name))
        return self._stripes.choose(self._server.unacknowledged - lanes.unacknowledged)

    def _advance(self) -> None:
        """Send whatever may be sent now."""
        if self._phase is _Phase.WRITING:
            queue, self._queue = self._queue, []
            for data in queue:
                self._send_write(data)
            if self._finished and not self._tail_size:
                self._close()
        if self._phase is _Phase.CLOSING and not self._unanswered:
            if self._publish is Publish.DIRECT:
                self._end()
            elif self._may_be_named():
                self._phase = _Phase.RENAMING
                rename(self._server, self._name, self._path, self._on_renamed)

    def _close(self) -> None:
        handle = self._handle or b""
        self._handle = None
        self._phase = _Phase.CLOSING
        if self._server.fsync:
            self._unanswered += 1
            self._server.channel.extended(protocol.FSYNC, protocol.string(handle), self._on_synced)
        self._unanswered += 1
        self._server.handles.close(handle, lambda reply: self._on_answer("close", reply))
        for stripe in self._stripes.take() if self._stripes is not None else ():
            if not stripe.used:
                stripe.close()
                continue
            if self._server.fsync:
                self._unanswered += 1
                stripe.sync(self._on_synced)
            self._unanswered += 1
            stripe.close(lambda reply: self._on_answer("close", reply))

    # What answers do.

    def _on_handle(self, handle: bytes) -> None:
        self._opening = False
        self._handle = handle
        self._opened = True
        if self._phase is _Phase.FAILED:
            self._clean_up()
            return
        self._phase = _Phase.WRITING
        self._advance()

    def _on_refused(self, reply: Reply) -> None:
        status = reply.status()
        if self._phase is _Phase.FAILED:
            self._opening = False
            self._clean_up()
            return
        missing = status.code in (protocol.NO_SUCH_FILE, protocol.NO_SUCH_PATH)
        if missing and not self._path_made:
            self._path_made = True
            self._paths.make(base.parent(self._name), self._on_path)
            return
        self._opening = False
        self._refuse("open", reply)

    def _on_path(self, error: EngineError | None) -> None:
        if error is not None or self._phase is _Phase.FAILED:
            self._opening = False
            self._fail(error or StorageError(f"unable to write '{self._path}': it was given up"))
            self._clean_up()
        else:
            self._open()

    def _on_answer(self, action: str, reply: Reply) -> None:
        self._unanswered -= 1
        if not reply.is_ok():
            self._refuse(action, reply)
        else:
            self._advance()

    def _on_synced(self, reply: Reply) -> None:
        self._unanswered -= 1
        if not reply.is_ok():
            if not failure.unsupported(reply.status()):
                self._refuse("sync", reply)
                return
            if self._server.fsync:
                log.detail("%s refuses fsync: it decides when files are durable", self._server.name)
            self._server.fsync = False
        self._advance()

    def _on_renamed(self, error: EngineError | None, target_gone: bool) -> None:
        if error is not None:
            # Without an atomic rename the target may be gone already: then this is all there is.
            self._opened = not target_gone
            self._fail(error)
        else:
            self._end()

    def _end(self) -> None:
        self._phase = _Phase.DONE
        self._server.unfinished.discard(self._name)
        for follower in self._followers:
            follower._advance()

    # When it goes wrong.

    def _refuse(self, action: str, reply: Reply) -> None:
        """Fail for an answer that was not OK."""
        if self._phase is _Phase.FAILED:
            return
        self._phase = _Phase.FAILED
        self._server.explain(action, self._path, reply.status(), self._fail)
        self._clean_up()

    def _fail(self, error: EngineError) -> None:
        first = self._phase is not _Phase.FAILED
        self._phase = _Phase.FAILED
        self._error = self._error or error
        if first:
            self._clean_up()
        for follower in self._followers:
            if follower._phase is not _Phase.DONE:
                follower._fail(error)

    def _clean_up(self) -> None:
        self._server.unacknowledged -= sum(map(len, self._queue))
        self._queue, self._tail, self._tail_size = [], [], 0
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._server.handles.close(handle)
        for stripe in self._stripes.take() if self._stripes is not None else ():
            stripe.close()
        if self._opened:
            self._opened = False
            self._server.discard(self._name)
        elif not self._opening:
            # It was never made, or it has to stay.
            self._server.unfinished.discard(self._name)


def _as_it_is(view: memoryview) -> memoryview:
    return view
