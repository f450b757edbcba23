# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage that outlives its sessions: what a lost session left undone is done again.

Every verb may be repeated: reading goes on where it was, listing and removing begin again, and a
file being written is sent anew. The bytes of such a file are kept until it has its name, so this is
for what a command writes about a backup; the data itself is read again by whoever copies it.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..errors import EngineError, TransportLostError
from .base import Bytes, Completion, Done, FileInfo, Listing, Publish, Reader, Storage, Writer
from .sessions import Effort, Sessions, repeated
from .survey import Survey

_T = t.TypeVar("_T")


class ResilientStorage(Storage):
    """The verbs, on whatever session there is."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        first = sessions.current
        self.location = first.location
        self.features = first.features  # type: ignore[misc]

    @property
    def sessions(self) -> Sessions:
        """Where the sessions come from."""
        return self._sessions

    def _again(self, verb: t.Callable[[Storage], _T]) -> _T:
        return repeated(self._sessions, verb)

    def reader(self, path: str, *, offset: int = 0, size: int | None = None) -> Reader:
        """See Storage."""
        return _Reader(self._sessions, path, offset, size)

    def writer(self, path: str, *, publish: Publish, most: int = 0) -> Writer:
        """See Storage."""
        return _Writer(self._sessions, path, publish, most)

    def list_many(self, paths: t.Iterable[str]) -> t.Sequence[list[FileInfo] | EngineError]:
        """See Storage."""
        wanted = list(paths)
        return self._again(lambda storage: storage.list_many(wanted))

    def begin_list_many(self, paths: t.Iterable[str]) -> t.Callable[[], t.Sequence[Listing]]:
        """See Storage."""
        wanted = list(paths)
        begun: t.Callable[[], t.Sequence[Listing]] | None = None
        with contextlib.suppress(TransportLostError):  # which the rest finds, and deals with
            begun = self._sessions.current.begin_list_many(wanted)

        def rest() -> t.Sequence[Listing]:
            if begun is not None:
                with contextlib.suppress(TransportLostError):
                    return begun()
            return self.list_many(wanted)

        return rest

    def info_many(self, paths: t.Iterable[str]) -> t.Sequence[FileInfo | None]:
        """See Storage."""
        wanted = list(paths)
        return self._again(lambda storage: storage.info_many(wanted))

    def remove_many(self, paths: t.Iterable[str]) -> int:
        """See Storage; what was removed before a session was lost does not count."""
        wanted = list(paths)
        return self._again(lambda storage: storage.remove_many(wanted))

    def remove_tree(self, path: str) -> None:
        """See Storage."""
        self._again(lambda storage: storage.remove_tree(path))

    def make_paths(self, paths: t.Iterable[str]) -> None:
        """See Storage."""
        wanted = list(paths)
        self._again(lambda storage: storage.make_paths(wanted))

    def expect_paths(self, paths: t.Iterable[str]) -> None:
        """See Storage."""
        wanted = list(paths)
        self._again(lambda storage: storage.expect_paths(wanted))

    @property
    def ended(self) -> bool:
        """See Storage. The next verb connects again."""
        return self._sessions.ended

    def at_once(self) -> t.ContextManager[None]:
        """See Storage."""
        return self._sessions.at_once()

    def rename(self, source: str, target: str) -> None:
        """See Storage. A rename whose answer was lost may have happened: then nothing is left."""

        def verb(storage: Storage) -> None:
            if storage is not first and storage.info(source) is None and storage.info(target):
                return
            storage.rename(source, target)

        first = self._sessions.current
        self._again(verb)

    def sync_path(self, path: str) -> None:
        """See Storage."""
        self._again(lambda storage: storage.sync_path(path))

    def link(self, target: str, path: str) -> None:
        """See Storage."""
        self._again(lambda storage: storage.link(target, path))

    def free_size(self) -> int | None:
        """See Storage."""
        return self._again(lambda storage: storage.free_size())

    def survey(self, scratch: str) -> Survey | None:
        """See Storage."""
        return self._again(lambda storage: storage.survey(scratch))

    def close(self) -> None:
        """See Storage."""
        self._sessions.close()


class _Reader(Reader):
    """Goes on where the last session ended."""

    def __init__(self, sessions: Sessions, path: str, offset: int, size: int | None) -> None:
        self._sessions = sessions
        self._path = path
        self._position = offset
        self._end = None if size is None else offset + size
        self._closed = False
        self._effort = Effort(sessions)
        self._storage, self._inner = self._open()

    def _open(self) -> tuple[Storage, Reader]:
        size = None if self._end is None else self._end - self._position
        while True:
            storage = self._sessions.current
            try:
                return storage, storage.reader(self._path, offset=self._position, size=size)
            except TransportLostError as cause:
                self._effort.lost(storage, cause)

    def take(self) -> bytes:
        """See Reader."""
        while not self._closed:
            try:
                data = self._inner.take()
            except TransportLostError as cause:
                self._effort.lost(self._storage, cause)
                self._storage, self._inner = self._open()
                continue
            self._effort.done()
            self._position += len(data)
            return data
        return b""

    def close(self) -> None:
        """See Reader."""
        self._closed = True
        self._inner.close()


class _Writer(Writer):
    """Keeps what was written until it has its name. It is its own completion."""

    def __init__(self, sessions: Sessions, path: str, publish: Publish, most: int) -> None:
        self._sessions = sessions
        self._effort = Effort(sessions)
        self._path = path
        self._publish = publish
        self._most = most
        self._chunks: list[bytes] = []
        self._called: str | None = None
        self._after: t.Sequence[Completion] = ()
        self._twin: Completion | None = None
        self._finished = False
        self._storage = sessions.current
        self._inner: Writer | None = None
        self._end: Completion | None = None
        try:
            self._begin()
        except TransportLostError as cause:
            self._recover(cause)

    def _recover(self, cause: TransportLostError) -> None:
        """Do on another session all that was done so far."""
        while True:
            self._effort.lost(self._storage, cause)
            try:
                self._repeat()
                return
            except TransportLostError as next_cause:
                cause = next_cause

    def _begin(self) -> None:
        self._storage = self._sessions.current
        self._inner = self._storage.writer(self._path, publish=self._publish, most=self._most)

    def _repeat(self) -> None:
        self._begin()
        for data in self._chunks:
            self._writer.write(data)
        if self._finished:
            self._finish()

    @property
    def _writer(self) -> Writer:
        return t.cast(Writer, self._inner)

    def write(self, data: Bytes) -> None:
        """See Writer."""
        kept = bytes(data)
        self._chunks.append(kept)
        try:
            self._writer.write(kept)
        except TransportLostError as cause:
            self._recover(cause)

    def finish(
        self,
        *,
        name: str | None = None,
        after: t.Sequence[Completion] = (),
        twin: Completion | None = None,
    ) -> Completion:
        """See Writer."""
        self._finished = True
        self._called, self._after, self._twin = name, after, twin
        try:
            self._finish()
        except TransportLostError as cause:
            self._recover(cause)
        return self

    def _finish(self) -> None:
        after = [self._here(other) for other in self._after]
        twin = None if self._twin is None else self._here(self._twin)
        self._end = self._writer.finish(name=self._called, after=after, twin=twin)

    def _here(self, other: Completion) -> Completion:
        """The completion on this session."""
        if not isinstance(other, _Writer):
            return other
        if other._storage is self._storage and other._end is not None:
            return other._end
        # It was sent on another session: nothing can be chained to it there.
        other.wait()
        return Done()

    def ready(self) -> bool:
        """See Completion."""
        return self._end is not None and self._end.ready()

    def wait(self) -> None:
        """See Completion."""
        while True:
            try:
                t.cast(Completion, self._end).wait()
            except TransportLostError as cause:
                # Sent again is not arrived: what was sent is waited for like the first time.
                self._recover(cause)
                continue
            self._effort.done()
            self._chunks = []
            return

    def abort(self) -> None:
        """See Writer."""
        self._writer.abort()
