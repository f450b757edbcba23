# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listing directories and removing trees, with as much as possible on its way at once."""

from __future__ import annotations

import typing as t

from ...errors import EngineError, StorageMissingError
from ..base import FileInfo, FileKind, join
from . import protocol
from .channel import Batch, Reply
from .look import look
from .protocol import Status
from .server import Server

# READDIRs that are sent together: OpenSSH answers each with up to 100 names, and a directory of WAL
# has 256. Those behind the end cost nothing. A large directory gets twice as many every time.
FIRST_READDIRS = 4
MOST_READDIRS = 64


class Listing:
    """One directory being listed; ``then`` gets its entries, sorted, or the error."""

    def __init__(
        self,
        server: Server,
        batch: Batch,
        path: str,
        then: t.Callable[[list[FileInfo] | EngineError], None],
    ) -> None:
        self._server = server
        self._batch = batch
        self._path = path
        self._then = then
        self._handle = b""
        self._pending = 0
        self._most = FIRST_READDIRS
        self._end = False
        self._error: EngineError | None = None
        self._entries: list[FileInfo] = []
        self._unknown: list[str] = []
        fields = protocol.string(server.path(path))
        server.handles.open(protocol.OPENDIR, fields, self._on_handle, self._on_refused)

    def _on_refused(self, reply: Reply) -> None:
        self._then(self._server.error("list path", self._path, reply.status()))

    def _on_handle(self, handle: bytes) -> None:
        self._handle = handle
        self._ask()

    def _ask(self) -> None:
        self._pending = self._most
        for _dummy in range(self._most):
            self._server.channel.request(
                protocol.READDIR, protocol.string(self._handle), self._on_names
            )

    def _on_names(self, reply: Reply) -> None:
        self._pending -= 1
        if reply.kind == protocol.NAME:
            self._add(protocol.parse_names(reply.body))
        else:
            status = reply.status()
            self._end = True
            if status.code != protocol.EOF:
                self._error = self._server.error("list path", self._path, status)
        if self._pending:
            return
        if not self._end:
            self._most = min(2 * self._most, MOST_READDIRS)
            self._ask()
        else:
            self._server.handles.close(self._handle)
            self._complete()

    def _add(self, names: list[tuple[str, protocol.Attributes]]) -> None:
        # No server has a reason to answer without a name, but one that did would be asked forever.
        self._end = self._end or not names
        for name, attributes in names:
            if name in (".", ".."):
                continue
            entry = protocol.parse_info(name, attributes)
            if entry is None:
                self._unknown.append(name)
            else:
                self._entries.append(entry)

    def _complete(self) -> None:
        """Ask about each entry that came without attributes, then hand over."""
        unknown, self._unknown = self._unknown, []
        self._pending = len(unknown)
        for name in unknown:
            self._look_at(name)
        if not unknown:
            self._hand_over()

    def _look_at(self, name: str) -> None:
        def found(entry: FileInfo | EngineError | None) -> None:
            self._pending -= 1
            if isinstance(entry, EngineError):
                self._error = entry
            elif entry is not None:
                self._entries.append(entry)
            if not self._pending:
                self._hand_over()

        look(self._server, self._batch, join(self._path, name), found)

    def _hand_over(self) -> None:
        if self._error is not None:
            self._then(self._error)
        else:
            self._then(sorted(self._entries, key=lambda entry: entry.name))


class Removal:
    """A directory being removed, each branch as fast as its answers come.

    Servers work through requests in order, so a directory's own removal follows those of its
    entries without waiting for their answers. Where that fails everything is tried once more, one
    floor after the other.
    """

    def __init__(self, server: Server, path: str) -> None:
        self._server = server
        self._batch = Batch(server.channel)
        self._path = path
        self._all_asked = False
        self._explaining = 0
        self.waits = False
        """Whether a directory goes only when all that was in it is gone."""
        self.error: EngineError | None = None
        _Branch(self, path, self._on_ended)

    def ended(self) -> bool:
        """Whether all that could be removed is."""
        if not self._all_asked or self._explaining or not self._batch.ended():
            return False
        if self.error is not None and not self.waits:
            self.waits, self.error, self._all_asked = True, None, False
            _Branch(self, self._path, self._on_ended)
            return False
        return True

    def _on_ended(self) -> None:
        self._all_asked = True

    def list(self, path: str, then: t.Callable[[list[FileInfo] | EngineError], None]) -> None:
        """List a branch."""
        Listing(self._server, self._batch, path, then)

    def remove(self, kind: int, path: str, then: t.Callable[[], None]) -> None:
        """REMOVE or RMDIR a path; then the next. Whatever is gone already is fine."""

        def removed(reply: Reply) -> None:
            if not reply.is_ok():
                self._refuse(path, reply.status())
            if waits:
                then()

        waits = self.waits
        self._batch.request(kind, protocol.string(self._server.path(path)), removed)
        if not waits:
            then()

    def _refuse(self, path: str, status: Status) -> None:
        # What is tried once more needs no explanation yet.
        if not self.waits or self.error is not None:
            self.note(self._server.error("remove", path, status))
            return
        self._explaining += 1

        def explained(error: EngineError) -> None:
            self._explaining -= 1
            self.note(error)

        self._server.explain("remove", path, status, explained, takes_room=False)

    def note(self, error: EngineError) -> None:
        """Keep the first error."""
        if not isinstance(error, StorageMissingError):
            self.error = self.error or error


class _Branch:
    """One directory: its files and branches go first, then itself."""

    def __init__(self, removal: Removal, path: str, then: t.Callable[[], None]) -> None:
        self._removal = removal
        self._path = path
        self._then = then
        self._remaining = 0
        removal.list(path, self._on_listed)

    def _on_listed(self, entries: list[FileInfo] | EngineError) -> None:
        if isinstance(entries, EngineError):
            self._removal.note(entries)
            self._then()
            return
        # One for this method itself, so that nothing is over before everything is asked.
        self._remaining = len(entries) + 1
        for entry in entries:
            path = join(self._path, entry.name)
            if entry.kind is FileKind.PATH:
                _Branch(self._removal, path, self._one_less)
            else:
                self._removal.remove(protocol.REMOVE, path, self._one_less)
        self._one_less()

    def _one_less(self) -> None:
        self._remaining -= 1
        if not self._remaining:
            self._removal.remove(protocol.RMDIR, self._path, self._then)
