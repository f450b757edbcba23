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
import typing as t
from multiprocessing.connection import Connection

from ..command import archive_get
from ..config.options import Options, RepoOptions
from ..errors import AssertError, EngineError, FileWriteError, HostConnectError, ServiceError
from ..postgres import control
from ..storage.base import Storage
from ..storage.open import Opener, prepare
from ..storage.sftp.throttle import RateLimit
from .prefetch import Failure
from .pulse import Beat, Voice
from .source import Source

# Files that a fetcher may hold: the bytes of the next ones are on their way while one is written.
JOBS = 4

# Seconds after which one that waits for work shows that it could do some.
LOOK = 1.0

# Of each repository, by its key: what all fetchers share.
Limits = t.Mapping[int, t.Optional[RateLimit]]


class Wanted(t.NamedTuple):
    """To a fetcher: bring this file. Nobody waits for what is not ``needed``, but somebody may."""

    name: str
    needed: bool


class Needed(t.NamedTuple):
    """To a fetcher: somebody waits for this file by now, if you still have it to bring."""

    name: str


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


Message = t.Union[Beat, Got, Absent, Failed]


def serve(connection: Connection, options: Options, spool: str, limits: Limits) -> None:
    """The life of a fetcher: names come in, messages go out."""
    voice = Voice(connection)
    voice.beat(options.io_timeout)
    inbox: queue.SimpleQueue[Wanted | Needed] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _Fetcher(voice, inbox, options, spool, limits).run()


def _receive(connection: Connection, inbox: queue.SimpleQueue[Wanted | Needed]) -> None:
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            # The service is gone, or has no use for us: nobody looks at what we bring.
            os._exit(0)


class _Renewed(Opener):
    """Gets ready anew once what it was ready with is refused: a key or a password may be replaced,
    and known_hosts corrected, while the process lives.
    """

    def __init__(self, options: Options, repo: RepoOptions, limit: RateLimit | None) -> None:
        super().__init__()
        self._options = options
        self._repo = repo
        self._limit = limit
        self._opener: Opener | None = None
        # Before anybody waits; what is wrong is said to whoever does.
        with contextlib.suppress(EngineError):
            self._opener = self._prepare()

    def _prepare(self) -> Opener:
        return prepare(self._repo, io_timeout=self._options.io_timeout, limit=self._limit)

    def open(self, generation: int = 0) -> Storage:
        """See Opener; raises what ``prepare`` does, too."""
        if self._opener is None:
            self._opener = self._prepare()
        try:
            return self._opener.open(generation)
        except ServiceError:
            self._opener = None
            raise


class _Fetcher:
    def __init__(
        self,
        voice: Voice,
        inbox: queue.SimpleQueue[Wanted | Needed],
        options: Options,
        spool: str,
        limits: Limits,
    ) -> None:
        self._voice = voice
        self._inbox = inbox
        self._options = options
        self._spool = spool
        self._sources = [
            Source(options, repo, _Renewed(options, repo, limits[repo.key]))
            for repo in options.repos
        ]
        self._begun: list[str] = []
        self._needed: set[str] = set()

    def run(self) -> t.NoReturn:
        """Work until the service ends."""
        while True:
            if not self._begun:
                with contextlib.suppress(queue.Empty):
                    self._take(self._inbox.get(timeout=LOOK))
                continue
            self._arrived()
            name = self._begun.pop(0)
            try:
                self._voice.send(self._fetch(name))
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # a mistake of ours; the service goes on
                wrong = AssertError(f"unexpected {type(error).__name__}: {error}")
                self._voice.send(Failed(name, Failure(wrong, False)))

    def _arrived(self) -> None:
        while not self._inbox.empty():
            self._take(self._inbox.get())

    def _take(self, told: Wanted | Needed) -> None:
        if isinstance(told, Needed):
            if told.name in self._begun:
                self._begun.remove(told.name)
                self._begun.insert(0, told.name)
                self._needed.add(told.name)
            return
        if told.needed:
            self._needed.add(told.name)
        self._begin(told.name)

    def _begin(self, name: str) -> None:
        """Have the bytes come of what the first repository at hand has.

        What goes wrong here will go wrong again, when its turn comes to be said.
        """
        self._begun.append(name)
        source = next((row for row in self._sources if row.is_open), None)
        if source is not None:
            with contextlib.suppress(EngineError):
                source.start(name, control.load(self._options.pg.path))

    def _fetch(self, name: str) -> Message:
        """Ask those first that are at hand, and the others before it is said to be absent.

        Nobody waits for the others on account of a file that nobody needs yet: who needs one may
        have to wait behind it.
        """
        needed = name in self._needed
        self._needed.discard(name)
        failures: list[tuple[RepoOptions, EngineError]] = []
        destination = os.path.join(self._spool, name)
        try:
            cluster = control.load(self._options.pg.path)
        except EngineError as error:
            return Failed(name, Failure(error, False))
        waiting = sorted(self._sources, key=lambda row: not row.has_started(name))
        for patience in (archive_get.HEAD_START, None) if needed else (archive_get.HEAD_START,):
            asked, waiting = waiting, []
            for source in asked:
                try:
                    if not source.open(patience):
                        waiting.append(source)
                        continue
                except EngineError as error:
                    failures.append((source.repo, error))
                    continue
                try:
                    if source.start(name, cluster):
                        source.finish(name, destination, self._arrived)
                        return Got(name, source.repo.key, _size(destination))
                except FileWriteError as error:
                    # It is the spool, where what another repository has goes, too.
                    return Failed(name, Failure(error, False))
                except HostConnectError as error:
                    # One that was lost meanwhile says nothing about a new one.
                    if patience is None:
                        failures.append((source.repo, error))
                    else:
                        waiting.append(source)
                except EngineError as error:
                    failures.append((source.repo, error))
        failures += [(source.repo, source.lack) for source in waiting]
        if failures:
            return Failed(name, Failure(*archive_get.combined(failures, len(self._options.repos))))
        return Absent(name)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
