# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fetcher of the archiver: a process that brings WAL files from the archive into the spool.

It keeps a session to each repository that it was ever sent to, and the listings that it has seen: a
segment of them costs no more than its bytes. What it does not find there it looks for anew, so that
"not in the archive" is always what the repositories say now.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
import typing as t
from multiprocessing.connection import Connection

from ..command import archive_get
from ..command.cipher import cipher_pass
from ..config.options import Options, RepoOptions
from ..errors import AssertError, EngineError, FileMissingError, HostConnectError
from ..postgres import control
from ..repository import archive_info
from ..repository.archive import Archive
from ..repository.archive_info import ArchiveInfo
from ..storage.base import Reader, Storage
from ..storage.open import Opener, prepare
from .prefetch import Failure

# Files that a fetcher may hold: the bytes of the next ones are on their way while one is written.
JOBS = 4

# For how many seconds an archive.info is believed.
BELIEVED = 30.0


class Got(t.NamedTuple):
    """The file is in the spool."""

    name: str
    repo: int
    size: int


class Absent(t.NamedTuple):
    """Every repository was reached, and has it not."""

    name: str


class Failed(t.NamedTuple):
    """It could not be fetched."""

    name: str
    failure: Failure


Message = t.Union[Got, Absent, Failed]


class _Started(t.NamedTuple):
    """A file whose bytes are on their way."""

    stored: archive_get.Stored
    reader: Reader


class _Source:
    """One repository, as long as its session lasts."""

    def __init__(self, options: Options, repo: RepoOptions, opener: Opener) -> None:
        self.repo = repo
        self._options = options
        self._opener = opener
        self._generation = 0
        self._storage: Storage | None = None
        self._archive: ArchiveInfo | None = None
        self._segments: Archive | None = None
        self._loaded = 0.0
        self._started: dict[str, _Started] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._storage is not None

    def start(self, name: str, cluster: control.ControlData) -> bool:
        """Have the bytes come; false when the repository does not have it, which it says now."""
        while True:
            fresh = self._storage is None
            try:
                return self._start(name, cluster)
            except HostConnectError:
                # One that was lost meanwhile says nothing about a new one.
                self.end()
                if fresh:
                    raise

    def _start(self, name: str, cluster: control.ControlData) -> bool:
        if name in self._started:
            return True
        stanza = self._options.require_stanza()
        if self._storage is None:
            self._storage = self._opener.open(self._generation)
        while True:
            archive, known = self._archive, True
            if archive is None or time.monotonic() - self._loaded > BELIEVED:
                begun = time.monotonic()
                archive = archive_info.load(self._storage, stanza, cipher_pass(self.repo))
                self._archive, self._loaded, known = archive, begun, False
                self._segments = Archive(self._storage, stanza)
            stored = archive_get.find(self._storage, stanza, archive, cluster, name, self._segments)
            if stored is not None:
                reader = archive_get.open_stored(self._storage, stored)
                self._started[name] = _Started(stored, reader)
                return True
            if not known:
                return False
            # What it was a while ago: everything is asked anew.
            self._archive = None

    def finish(self, name: str, destination: str, meanwhile: t.Callable[[], None]) -> None:
        """Write what has been started."""
        stored, reader = self._started.pop(name)

        def chunks() -> t.Iterator[bytes]:
            for data in reader:
                yield data
                meanwhile()

        with reader:
            archive_get.copy(chunks(), stored, destination)

    def end(self) -> None:
        """Give the session up."""
        self._started.clear()
        if self._storage is not None:
            with contextlib.suppress(EngineError):
                self._storage.close()
            self._storage = None
            self._archive = None
            self._generation += 1


def serve(connection: Connection, options: Options, spool: str) -> None:
    """The life of a fetcher: names come in, messages go out."""
    inbox: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _Fetcher(connection, inbox, options, spool).run()


def _receive(connection: Connection, inbox: queue.SimpleQueue[str]) -> None:
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            # The service is gone, or has no use for us: nobody looks at what we bring.
            os._exit(0)


class _Fetcher:
    def __init__(
        self,
        connection: Connection,
        inbox: queue.SimpleQueue[str],
        options: Options,
        spool: str,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._options = options
        self._spool = spool
        self._sources: list[_Source] = []
        self._wrong: list[tuple[RepoOptions, EngineError]] = []
        for repo in options.repos:
            try:
                opener = prepare(repo, io_timeout=options.io_timeout)
                self._sources.append(_Source(options, repo, opener))
            except EngineError as error:
                self._wrong.append((repo, error))
        self._begun: list[str] = []

    def run(self) -> t.NoReturn:
        """Work until the service ends."""
        while True:
            if not self._begun:
                self._begin(self._inbox.get())
            self._arrived()
            name = self._begun.pop(0)
            try:
                self._connection.send(self._fetch(name))
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # a mistake of ours; the service goes on
                wrong = AssertError(f"unexpected {type(error).__name__}: {error}")
                self._connection.send(Failed(name, Failure(wrong, False)))

    def _arrived(self) -> None:
        while not self._inbox.empty():
            self._begin(self._inbox.get())

    def _begin(self, name: str) -> None:
        """Have the bytes come of what the first repository has, if there is a session already.

        What goes wrong here will go wrong again, when its turn comes to be said.
        """
        self._begun.append(name)
        if self._sources and self._sources[0].is_open:
            with contextlib.suppress(EngineError):
                self._sources[0].start(name, control.load(self._options.pg.path))

    def _fetch(self, name: str) -> Message:
        failures = list(self._wrong)
        destination = os.path.join(self._spool, name)
        try:
            cluster = control.load(self._options.pg.path)
        except EngineError as error:
            return Failed(name, Failure(error, False))
        for source in self._sources:
            try:
                if self._from(source, name, cluster, destination):
                    return Got(name, source.repo.key, _size(destination))
            except EngineError as error:
                failures.append((source.repo, error))
        if failures:
            return Failed(name, Failure(*archive_get.combined(failures, len(self._options.repos))))
        return Absent(name)

    def _from(
        self, source: _Source, name: str, cluster: control.ControlData, destination: str
    ) -> bool:
        for attempt in range(2):
            if not source.start(name, cluster):
                return False
            try:
                source.finish(name, destination, self._arrived)
                return True
            except HostConnectError:
                source.end()
                if attempt:
                    raise
            except EngineError as error:
                if isinstance(error, FileMissingError):
                    source.end()
                raise
        return False


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
