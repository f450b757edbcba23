# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of a cluster: its server, its pg_control and its files, here or behind SSH."""

from __future__ import annotations

import abc
import contextlib
import os
import typing as t
from types import TracebackType

from ..config.options import Options, PgOptions
from ..errors import AssertError, DbMismatchError, FileOpenError, FileReadError
from . import control, datadir
from .connection import connect
from .control import ControlData
from .entries import DataDirectory
from .server import Server


class NodeFile(contextlib.AbstractContextManager["NodeFile"], abc.ABC):
    """A file of the data directory, open for reading. Failing to read raises FileReadError."""

    @abc.abstractmethod
    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none at the end of the file."""

    @abc.abstractmethod
    def pread(self, offset: int, size: int) -> bytes:
        """Bytes at ``offset`` as they are just now; does not move the position."""

    @abc.abstractmethod
    def seek(self, offset: int) -> None:
        """Read on from there."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give the file back."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Node(abc.ABC):
    """One host. Nothing happens before the first call that needs it."""

    def __init__(self, pg: PgOptions, options: Options) -> None:
        self.pg = pg
        self.options = options
        self._server: Server | None = None

    @property
    def db(self) -> Server:
        """The server; ``connect`` comes first."""
        if self._server is None:
            raise AssertError(f"pg{self.pg.key} is not connected")
        return self._server

    def connect(self) -> None:
        """Open the session with the server; DbConnectError when that fails."""
        if self._server is None:
            self._server = self._connect()

    def control(self) -> ControlData:
        """What pg_control says now; see `control` for errors."""
        return control.read(self.control_bytes())

    def close(self) -> None:
        """End the session with the server, and whatever else is open."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def has_postmaster(self) -> bool:
        """Whether a server runs, or ended without cleaning up; see ``open_file`` for errors."""
        try:
            self.open_file("postmaster.pid").close()
        except FileNotFoundError:
            return False
        return True

    @abc.abstractmethod
    def control_bytes(self) -> bytes:
        """The meaningful bytes of pg_control, whole."""

    @abc.abstractmethod
    def scan(
        self,
        *,
        online: bool,
        exclude: t.Collection[str] = (),
        tablespaces: t.Mapping[int, str] | None = None,
    ) -> DataDirectory:
        """What lies in the data directory; see `datadir.scan`."""

    @abc.abstractmethod
    def open_file(self, path: str) -> NodeFile:
        """Open a file by its path relative to the data directory (``FileEntry.path``).

        Raises FileNotFoundError when it is not there (any more), FileOpenError when it cannot be
        opened.
        """

    @abc.abstractmethod
    def _connect(self) -> Server: ...


class LocalNode(Node):
    """The cluster on this host."""

    def control_bytes(self) -> bytes:
        return control.load_bytes(self.pg.path)

    def scan(
        self,
        *,
        online: bool,
        exclude: t.Collection[str] = (),
        tablespaces: t.Mapping[int, str] | None = None,
    ) -> DataDirectory:
        facts = self.control()
        return datadir.scan(
            self.pg.path,
            online=online,
            version=facts.version,
            catalog_version=facts.catalog_version,
            exclude=exclude,
            tablespaces=tablespaces,
        )

    def open_file(self, path: str) -> NodeFile:
        return LocalFile(os.path.join(self.pg.path, relative(path)))

    def _connect(self) -> Server:
        return connect(self.pg, self.options.db_timeout, command=self.options.command)


class LocalFile(NodeFile):
    """A file of this host."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._position = 0
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise
        except OSError as cause:
            raise FileOpenError(
                f"unable to open file '{path}' for read: {cause.strerror}",
                hint="run the command as the owner of the data directory.",
            ) from cause

    def read(self, size: int) -> bytes:
        data = self.pread(self._position, size)
        self._position += len(data)
        return data

    def pread(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as cause:
            raise FileReadError(f"unable to read '{self._path}': {cause.strerror}") from cause

    def seek(self, offset: int) -> None:
        self._position = offset

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def relative(path: str) -> str:
    """The path as given, when it stays below the data directory; DbMismatchError else."""
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise DbMismatchError(f"'{path}' is not a path below the data directory")
    return path
