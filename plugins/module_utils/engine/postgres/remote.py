# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster on another host, asked through SSH.

The other side runs ``pgsftp remote`` (see `service`). Requests may be sent ahead of their answers,
which come in the same order: a small file costs one round trip, a large one is read in a window.
"""

from __future__ import annotations

import collections
import shlex
import typing as t

from .. import errors
from ..config.options import Options, PgOptions
from ..errors import (
    EngineError,
    HostConnectError,
    LockAcquireError,
    OptionInvalidValueError,
    ProtocolError,
    StopError,
)
from ..process import Process
from .entries import DataDirectory, FileEntry
from .frames import Line, Message
from .node import Node, NodeFile, relative
from .server import BackupStart, BackupStop, Database, ReplayStatus, Server, ServerFacts

HOST_COMMAND = "pgsftp"

# One read, and how many of them are under way for a file.
CHUNK = 256 * 1024
AHEAD = 8

# Seconds for TCP and the key exchange; after that SSH itself watches the connection.
CONNECT_TIMEOUT = 30
_SSH_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_TIMEOUT}",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "Compression=no",
    "LogLevel=ERROR",
)

_HINTS = (
    ("Permission denied", "may the key of this user log in to that host as that user?"),
    ("Host key verification failed", "is the host's key in known_hosts of this user?"),
    ("Could not resolve", "is the name of the host right?"),
    ("Connection refused", "does sshd run on that host, on that port?"),
    ("timed out", "is the host up, and may this one reach it?"),
    ("not found", "is the engine installed there? pg-host-cmd says where."),
    ("No such file", "is the engine installed there? pg-host-cmd says where."),
)


def ssh_command(pg: PgOptions, options: Options) -> list[str]:
    """The command that starts the serving side.

    A key may be limited to its own command on the other host (``restrict,command=...``), which then
    takes the place of the one here.
    """
    host = pg.host or ""
    for name, text in (("pg-host", host), ("pg-host-user", pg.host_user)):
        if not text or text.startswith("-") or any(sign.isspace() for sign in text):
            raise OptionInvalidValueError(
                f"'{text}' is not valid for '{name}' option",
                hint="it is one word, and no option of ssh.",
            )
    words = [options.cmd_ssh]
    for option in _SSH_OPTIONS:
        words += ["-o", option]
    if pg.host_port is not None:
        words += ["-p", str(pg.host_port)]
    command = [pg.host_cmd or HOST_COMMAND, f"--stanza={options.require_stanza()}", "remote"]
    if pg.host_config is not None:
        command.insert(1, f"--config={pg.host_config}")
    # sshd gives the command to a shell.
    return [*words, "-l", pg.host_user, "--", host, " ".join(map(shlex.quote, command))]


class Transport(t.Protocol):
    """What carries the line: SSH, or anything else with two descriptors."""

    @property
    def input(self) -> int:
        """Where requests are written."""

    @property
    def output(self) -> int:
        """Where answers are read."""

    def errors(self) -> str:
        """What was said beside the line."""

    def close(self) -> None:
        """End it."""


class Session:
    """Requests and their answers."""

    def __init__(self, transport: Transport, host: str, timeout: float) -> None:
        self._transport = transport
        self._host = host
        self._line = Line(transport.output, transport.input, timeout)
        self._waiting: collections.deque[_Request] = collections.deque()
        try:
            self._line.expect_greeting()
            self._line.greet()
        except EngineError as cause:
            raise self._lost(cause) from cause

    def ask(self, verb: str, **arguments: t.Any) -> t.Any:
        """Send a request and wait for its answer; raises the error that the other side raised."""
        return self.send(verb, **arguments).result()

    def send(self, verb: str, **arguments: t.Any) -> _Request:
        """Send a request; its answer is read when somebody asks for it."""
        request = _Request(self)
        try:
            self._line.send({"verb": verb, **arguments})
        except EngineError as cause:
            raise self._lost(cause) from cause
        self._waiting.append(request)
        return request

    def read_one(self) -> None:
        """Read one frame and give it to the request that it answers."""
        try:
            frame = self._line.receive()
            if frame is None:
                raise HostConnectError("the other side ended the connection")
        except EngineError as cause:
            raise self._lost(cause) from cause
        if not self._waiting:
            raise ProtocolError(f"unexpected answer from '{self._host}'")
        if self._waiting[0].take(frame):
            self._waiting.popleft()

    def close(self) -> None:
        """End the line."""
        self._transport.close()

    def _lost(self, cause: EngineError) -> EngineError:
        said = self._transport.errors()
        if isinstance(cause, ProtocolError):
            return ProtocolError(f"{cause.message} on '{self._host}'", hint=cause.hint)
        hint = next((hint for sign, hint in _HINTS if sign in said), None)
        message = f"lost the connection to '{self._host}': {cause.message}"
        if said:
            message = f"unable to use the connection to '{self._host}': {said}"
        return HostConnectError(message, hint=hint or "do SSH and the engine work on that host?")


class _Request:
    """One request and the frames of its answer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parts: list[t.Any] = []
        self._done = False
        self._result: t.Any = None
        self._error: BaseException | None = None

    def take(self, frame: Message | bytes) -> bool:
        """A frame of the answer; True when it was the last."""
        if isinstance(frame, bytes):
            self._result = frame
        elif "more" in frame:
            self._parts.append(frame["more"])
            return False
        elif "error" in frame:
            self._error = _error(frame)
        else:
            self._result = frame.get("result")
        self._done = True
        return True

    def result(self) -> t.Any:
        """Wait for the answer."""
        while not self._done:
            self._session.read_one()
        if self._error is not None:
            raise self._error
        return self._result

    def parts(self) -> list[t.Any]:
        """What came before the answer."""
        return self._parts


def _error(frame: Message) -> BaseException:
    if frame.get("missing"):
        return FileNotFoundError(str(frame.get("message")))
    kind = getattr(errors, str(frame["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, EngineError)):
        kind = ProtocolError
    hint = frame.get("hint")
    return kind(str(frame.get("message")), hint=None if hint is None else str(hint))


class RemoteNode(Node):
    """A cluster on another host; the connection is made by the first call that needs it.

    ``claim`` is what the command has locked here: that host takes the same locks for as long as the
    connection lasts, or it is LockAcquireError or, where commands were stopped, StopError.
    """

    def __init__(
        self, pg: PgOptions, options: Options, claim: t.Sequence[object] | None = None
    ) -> None:
        super().__init__(pg, options)
        self._claim = claim
        self._session: Session | None = None
        self._handle = 0

    @property
    def session(self) -> Session:
        """The line to the other host; HostConnectError or ProtocolError when it cannot be made."""
        if self._session is None:
            session = self._open()
            try:
                session.ask(
                    "hello",
                    stanza=self.options.require_stanza(),
                    path=self.pg.path,
                    claim=self._claim,
                )
            except (LockAcquireError, StopError) as cause:
                session.close()
                raise type(cause)(
                    f"{cause.message} on '{self.pg.host}'", hint=cause.hint
                ) from cause
            except BaseException:
                session.close()
                raise
            self._session = session
        return self._session

    def _open(self) -> Session:
        transport = Process(ssh_command(self.pg, self.options))
        try:
            return Session(transport, self.pg.host or "", self.options.protocol_timeout)
        except BaseException:
            transport.close()
            raise

    def control_bytes(self) -> bytes:
        return t.cast(bytes, self.session.ask("control"))

    def scan(
        self,
        *,
        online: bool,
        exclude: t.Collection[str] = (),
        tablespaces: t.Mapping[int, str] | None = None,
    ) -> DataDirectory:
        names = None if tablespaces is None else {str(oid): tablespaces[oid] for oid in tablespaces}
        request = self.session.send("scan", online=online, exclude=list(exclude), tablespaces=names)
        found = DataDirectory.from_json(request.result())
        found.files = [FileEntry(*row) for part in request.parts() for row in part]
        return found

    def open_file(self, path: str) -> NodeFile:
        self._handle += 1
        return RemoteFile(self.session, self._handle, relative(path))

    def close(self) -> None:
        super().close()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _connect(self) -> Server:
        return RemoteServer(self.session)


class RemoteFile(NodeFile):
    """A file of the other host. What comes next is asked for before it is wanted."""

    def __init__(self, session: Session, handle: int, path: str) -> None:
        self._session = session
        self._handle = handle
        self._next = 0  # where the next request reads
        self._buffer = b""
        self._end = False
        self._ahead: collections.deque[_Request] = collections.deque()
        opened = session.send("open", handle=handle, path=path)
        self._ask()
        try:
            opened.result()
        except BaseException:
            self._drop()
            raise

    def read(self, size: int) -> bytes:
        while not self._buffer and not self._end:
            data = self._ahead.popleft().result() if self._ahead else self._fetch()
            if len(data) < CHUNK:
                self._end = True
                self._drop()
            else:
                while len(self._ahead) < AHEAD:
                    self._ask()
            self._buffer = data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def pread(self, offset: int, size: int) -> bytes:
        return t.cast(
            bytes, self._session.ask("read", handle=self._handle, offset=offset, size=size)
        )

    def seek(self, offset: int) -> None:
        self._drop()
        self._buffer = b""
        self._end = False
        self._next = offset

    def close(self) -> None:
        self._drop()
        self._session.send("close", handle=self._handle)

    def _fetch(self) -> bytes:
        self._ask()
        return t.cast(bytes, self._ahead.popleft().result())

    def _ask(self) -> None:
        self._ahead.append(
            self._session.send("read", handle=self._handle, offset=self._next, size=CHUNK)
        )
        self._next += CHUNK

    def _drop(self) -> None:
        """Forget what was asked for; the answers are thrown away as they come."""
        self._ahead.clear()


class RemoteServer(Server):
    """The server of the other host."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._facts = ServerFacts(*session.ask("connect"))

    def _ask(self, call: str, **arguments: t.Any) -> t.Any:
        return self._session.ask("server", call=call, **arguments)

    def facts(self) -> ServerFacts:
        return self._facts

    def now(self) -> float:
        return float(self._ask("now"))

    def in_recovery(self) -> bool:
        return bool(self._ask("in_recovery"))

    def start_backup(self, label: str, fast: bool) -> BackupStart:
        return BackupStart(*self._ask("start_backup", label=label, fast=fast))

    def stop_backup(self) -> BackupStop:
        return BackupStop(*self._ask("stop_backup"))

    def databases(self) -> list[Database]:
        return [Database(*row) for row in self._ask("databases")]

    def tablespaces(self) -> dict[int, str]:
        return {int(oid): name for oid, name in self._ask("tablespaces")}

    def create_restore_point(self, name: str) -> str:
        return str(self._ask("create_restore_point", name=name))

    def switch_wal(self) -> str:
        return str(self._ask("switch_wal"))

    def current_wal_segment(self) -> str:
        return str(self._ask("current_wal_segment"))

    def archived_wal(self) -> str | None:
        name = self._ask("archived_wal")
        return None if name is None else str(name)

    def replay_status(self) -> ReplayStatus:
        return ReplayStatus(*self._ask("replay_status"))

    def checkpoint(self) -> None:
        self._ask("checkpoint")

    def close(self) -> None:
        """Nothing: the session with the server ends with the line."""
