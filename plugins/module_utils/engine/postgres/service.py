# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The serving side of the line between two nodes: ``pgsftp remote``, started through SSH.

The other node may be in the wrong hands, so it can name no cluster, no file and no statement but
these: the clusters that this host's own configuration has for the stanza, what lies below their
data directories (following the links that lie there, as a backup does), and the verbs below.
Nothing is written but by the server itself, for starting and stopping a backup, and lock files.
"""

from __future__ import annotations

import typing as t

from ..config.options import Options, PgOptions
from ..errors import DbMismatchError, EngineError, FileMissingError, ProtocolError
from ..version import VERSION
from .frames import Line, Message
from .node import LocalNode, NodeFile

# Rows of a scan in one frame.
BATCH = 5000
READ_LIMIT = 4 * 1024 * 1024
HANDLE_LIMIT = 64
TEXT_LIMIT = 1024

Answer = t.Union[Message, bytes]


class Held(t.Protocol):
    """Locks that were taken."""

    def release(self) -> None:
        """Let go of them."""


Grant = t.Callable[[object], Held]
"""Takes the locks that the command on the other host claims."""


def serve(receive: int, send: int, options: Options, grant: Grant) -> None:
    """Answer on the two descriptors until the other side ends the line.

    When it ends, for whatever reason, the session with the server ends, too, and with it a backup
    that was not stopped; and the locks that ``grant`` took are let go of.
    """
    line = Line(receive, send, None)
    line.greet()
    line.expect_greeting()
    service = _Service(options, grant)
    try:
        while True:
            message = line.receive()
            if message is None:
                return
            if isinstance(message, bytes):
                raise ProtocolError("unexpected bytes instead of a request")
            _answer(line, service, message)
    finally:
        service.close()


def _answer(line: Line, service: _Service, message: Message) -> None:
    try:
        for part in service.run(message):
            if isinstance(part, bytes):
                line.send_bytes(part)
            else:
                line.send(part)
    except FileNotFoundError as cause:
        line.send(_failure(FileMissingError(str(cause)), missing=True))
    except EngineError as cause:
        line.send(_failure(cause))


def _failure(error: EngineError, *, missing: bool = False) -> Message:
    return {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "missing": missing,
    }


class _Service:
    def __init__(self, options: Options, grant: Grant) -> None:
        self._options = options
        self._grant = grant
        self._held: list[Held] = []
        self._node: LocalNode | None = None
        self._files: dict[int, NodeFile] = {}
        self._verbs: dict[str, t.Callable[[Message], t.Iterator[Answer]]] = {
            "hello": self._hello,
            "control": self._control,
            "scan": self._scan,
            "open": self._open,
            "read": self._read,
            "close": self._close,
            "connect": self._connect,
            "server": self._server,
        }

    def run(self, message: Message) -> t.Iterator[Answer]:
        """The frames of the answer to one request."""
        verb = self._verbs.get(str(message.get("verb")))
        if verb is None:
            raise ProtocolError(f"'{message.get('verb')}' is no verb")
        return verb(message)

    def close(self) -> None:
        """Give everything back."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._node is not None:
            self._node.close()
        while self._held:
            self._held.pop().release()

    @property
    def _cluster(self) -> LocalNode:
        if self._node is None:
            raise ProtocolError("hello comes first")
        return self._node

    def _hello(self, message: Message) -> t.Iterator[Answer]:
        stanza, path = message.get("stanza"), message.get("path")
        if stanza != self._options.stanza:
            raise DbMismatchError(
                f"this host serves stanza '{self._options.stanza}' but was asked for '{stanza}'",
                hint="do both hosts have the same stanza, and the key its command?",
            )
        local = self._local(path)
        claim = message.get("claim")
        if claim is not None:
            self._held.append(self._grant(claim))
        self._node = LocalNode(local, self._options)
        yield {"result": {"version": VERSION}}

    def _local(self, path: object) -> PgOptions:
        """The cluster of the configuration on this host, on this host, with that data directory."""
        local = [pg for pg in self._options.pgs if pg.host is None]
        for pg in local:
            if pg.path == path:
                return pg
        known = ", ".join(pg.path for pg in local) or "none"
        raise DbMismatchError(
            f"'{path}' is not a data directory of stanza '{self._options.stanza}' on this host; it"
            f" has {known}",
            hint="pg-path must be the same in the configuration of both hosts.",
        )

    def _control(self, _message: Message) -> t.Iterator[Answer]:
        yield self._cluster.control_bytes()

    def _scan(self, message: Message) -> t.Iterator[Answer]:
        names = message.get("tablespaces")
        found = self._cluster.scan(
            online=bool(message.get("online")),
            exclude=[str(path) for path in message.get("exclude") or []],
            tablespaces=None if names is None else {int(oid): str(names[oid]) for oid in names},
        )
        for first in range(0, len(found.files), BATCH):
            yield {"more": [list(row) for row in found.files[first : first + BATCH]]}
        found.files = []
        yield {"result": found.to_json()}

    def _open(self, message: Message) -> t.Iterator[Answer]:
        handle = _number(message, "handle")
        if handle in self._files or len(self._files) >= HANDLE_LIMIT:
            raise ProtocolError(f"unable to open one more file with handle {handle}")
        self._files[handle] = self._cluster.open_file(_text(message, "path"))
        yield {"result": None}

    def _read(self, message: Message) -> t.Iterator[Answer]:
        offset, size = _number(message, "offset"), min(_number(message, "size"), READ_LIMIT)
        file = self._files.get(_number(message, "handle"))
        # Reads are sent ahead of the answer to the opening, which may have failed.
        yield b"" if file is None else file.pread(offset, size)

    def _close(self, message: Message) -> t.Iterator[Answer]:
        file = self._files.pop(_number(message, "handle"), None)
        if file is not None:
            file.close()
        yield {"result": None}

    def _connect(self, _message: Message) -> t.Iterator[Answer]:
        self._cluster.connect()
        yield {"result": list(self._cluster.db.facts())}

    def _server(self, message: Message) -> t.Iterator[Answer]:
        db = self._cluster.db
        verbs: dict[str, t.Callable[[], t.Any]] = {
            "now": db.now,
            "in_recovery": db.in_recovery,
            "start_backup": lambda: db.start_backup(
                _text(message, "label"), bool(message.get("fast"))
            ),
            "stop_backup": db.stop_backup,
            "databases": db.databases,
            "tablespaces": lambda: list(db.tablespaces().items()),
            "create_restore_point": lambda: db.create_restore_point(_text(message, "name")),
            "switch_wal": db.switch_wal,
            "current_wal_segment": db.current_wal_segment,
            "archived_wal": db.archived_wal,
            "replay_status": db.replay_status,
            "checkpoint": db.checkpoint,
        }
        verb = verbs.get(str(message.get("call")))
        if verb is None:
            raise ProtocolError(f"'{message.get('call')}' is no verb of a server")
        yield {"result": verb()}


def _number(message: Message, key: str) -> int:
    value = message.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ProtocolError(f"'{key}' is no number")
    return value


def _text(message: Message, key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str) or not value or len(value) > 4 * TEXT_LIMIT or "\0" in value:
        raise ProtocolError(f"'{key}' is no text")
    return value
