# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making directories with all their parents, many at once."""

from __future__ import annotations

import stat
import typing as t

from ...errors import EngineError, StorageError
from ..base import PATH_MODE, parent
from . import protocol
from .channel import Reply
from .protocol import Status
from .server import Server

Then = t.Callable[[t.Optional[EngineError]], None]

# A MKDIR answered like this may mean that the directory is there, which only STAT tells.
PERHAPS_THERE = (protocol.FAILURE, protocol.FILE_ALREADY_EXISTS)


class Paths:
    """Makes directories, and remembers which are there."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made: set[str] = set()
        self._making: dict[str, list[Then]] = {}

    def forget(self, path: str) -> None:
        """``path`` and what is below it may be gone."""
        below = path + "/"
        self._made = {made for made in self._made if made != path and not made.startswith(below)}

    def make(self, path: str, then: Then) -> None:
        """Make ``path`` and call ``then`` with the error or None; does not trust its memory for
        ``path`` itself, since who asks may have found it missing.
        """
        waiting = self._making.setdefault(path, [])
        waiting.append(then)
        if len(waiting) == 1:
            # What is being made already was sent before.
            there = self._made.union(self._making).difference([path])
            missing = [name for name in _lineage(path) if name not in there]
            _Making(self._server, path, list(map(self._server.path, missing)), self._ended)

    def is_made(self, path: str) -> bool:
        """Whether this session has made or seen the directory."""
        return path in self._made

    def _ended(self, path: str, error: EngineError | None) -> None:
        if error is None:
            self._made.update(_lineage(path))
        for then in self._making.pop(path):
            then(error)


def _lineage(path: str) -> list[str]:
    """``path`` and its parents in the repository, from the top down."""
    names = []
    while path:
        names.append(path)
        path = parent(path)
    return names[::-1]


class _Making:
    """Sends MKDIR for each directory and STAT for the last, all at once. When that does not help,
    the repository's own directory is missing, or the server does not keep the order: then once more
    from the root of the file system, one after another.
    """

    def __init__(
        self,
        server: Server,
        path: str,
        names: list[bytes],
        then: t.Callable[[str, EngineError | None], None],
    ) -> None:
        self._server = server
        self._path = path
        self._then = then
        self._refusal: Status | None = None
        for name in names:
            server.channel.request(protocol.MKDIR, _fields(name), self._on_made)
        self._stat(self._on_found)

    def _on_made(self, reply: Reply) -> None:
        if reply.is_ok():
            return
        status = reply.status()
        # The first cause that is one: what follows a refusal is only its consequence.
        if self._refusal is None or self._refusal.code in PERHAPS_THERE:
            self._refusal = status

    def _stat(self, on_reply: t.Callable[[Reply], None]) -> None:
        name = protocol.string(self._server.path(self._path))
        self._server.channel.request(protocol.STAT, name, on_reply)

    def _on_found(self, reply: Reply) -> None:
        if reply.kind == protocol.ATTRS:
            self._end(reply)
            return
        self._refusal = None
        self._remaining = absolute_lineage(self._server.path(self._path))
        self._next()

    def _next(self) -> None:
        if not self._remaining:
            self._stat(self._end)
            return
        name = self._remaining.pop(0)

        def made(reply: Reply) -> None:
            self._on_made(reply)
            self._next()

        self._server.channel.request(protocol.MKDIR, _fields(name), made)

    def _end(self, reply: Reply) -> None:
        if reply.kind == protocol.ATTRS:
            mode = reply.fields(protocol.ATTRS).attributes().mode
            if mode is None or not stat.S_IFMT(mode) or stat.S_ISDIR(mode):
                self._then(self._path, None)
                return
            action = self._server.action("create path", self._path)
            self._then(self._path, StorageError(f"{action}: it is not a directory"))
            return
        refusal = self._refusal or reply.status()
        self._server.explain(
            "create path", self._path, refusal, lambda error: self._then(self._path, error)
        )


def _fields(name: bytes) -> bytes:
    return protocol.string(name) + protocol.permissions(PATH_MODE)


def absolute_lineage(name: bytes) -> list[bytes]:
    """A path of the server and its parents, from the root of the file system down."""
    parts = [part for part in name.split(b"/") if part]
    start = b"/" if name.startswith(b"/") else b""
    return [start + b"/".join(parts[:count]) for count in range(1, len(parts) + 1)]
