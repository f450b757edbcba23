# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fetchers, as the service sees them: WAL that a recovering server needs, ahead of it.

They are there while a server asks. What they bring lies in the spool until archive-get takes it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import typing as t
from multiprocessing.connection import Connection

from .. import log
from ..config.options import Options
from ..errors import EngineError, ExecuteError, FormatError
from ..postgres import control, wal
from ..storage.open import rate_limit
from . import fetcher
from .fetcher import Limits
from .forked import Process, fork
from .prefetch import Failure, Prefetch
from .pulse import Beat, patience
from .queue import backoff
from .status import FetchStatus

# After so many seconds without a question nobody recovers any more.
IDLE = 60.0

# Seconds between two looks whether a repository is there again.
LONGEST_PAUSE = 2.0

SPOOL = "fetched"


class _Fetcher:
    """One process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.names: set[str] = set()


class Fetchers:
    """Brings WAL into the spool with at most ``process-max`` processes."""

    def __init__(self, options: Options, in_child: t.Callable[[], None]) -> None:
        self.rules = Prefetch()
        self.fetched_files = 0
        self.fetched_bytes = 0
        self.spool = os.path.join(options.spool_path, "archive", options.require_stanza(), SPOOL)
        self._options = options
        # Before anybody is forked, who then shares them.
        self._limits: Limits = {repo.key: rate_limit(repo) for repo in options.repos}
        self._in_child = in_child
        self._fetchers: list[_Fetcher] = []
        self._cluster: tuple[str, int] | None = None
        self._room = 1
        self._asked = 0.0
        self._failures = 0
        self._said: tuple[str, int] | None = None
        """What was last said to be wrong: a file, or none in particular, and a code."""
        self._next_try = 0.0

    @property
    def processes(self) -> int:
        """How many there are."""
        return len(self._fetchers)

    @property
    def status(self) -> FetchStatus:
        """For who looks on."""
        ready = len(self.rules.ready)
        return FetchStatus(self.fetched_files, self.fetched_bytes, ready, self.processes)

    @property
    def connections(self) -> list[Connection]:
        """What to listen to."""
        return [row.process.connection for row in self._fetchers]

    def descriptors(self) -> list[int]:
        """What a process that is forked must not keep."""
        return [row.process.connection.fileno() for row in self._fetchers]

    def wakes(self, now: float) -> float | None:
        """When there is something to do although nothing arrives; None for never."""
        return self._next_try if now < self._next_try else None

    def ask(self, name: str, now: float) -> None:
        """A server waits for ``name``; EngineError where the spool or the cluster is no use."""
        cluster = control.load(self._options.pg.path)
        size = cluster.wal_segment_size
        is_other = (cluster.version, cluster.system_id) != self._cluster
        if is_other or not self._fetchers or not os.path.isdir(self.spool):
            # What lies there is of another cluster or another time, or a restore has removed it.
            self._end_all()
            self._empty()
            self._cluster = (cluster.version, cluster.system_id)
        self._room = max(2, self._options.archive_get_queue_max // size)
        self._asked = now
        self.rules.ask(name, size, self._room, now)
        for row in self._fetchers:
            if name in row.names:
                with contextlib.suppress(OSError):  # it is gone; ``receive`` hears of that
                    row.process.connection.send(fetcher.Needed(name))
        for useless in self.rules.useless():
            self._discard(useless)

    def path(self, name: str) -> str:
        """Where a file lies in the spool."""
        return os.path.join(self.spool, name)

    def give(self, name: str) -> str:
        """Let go of a file that is ready: archive-get takes it away. Gives its path."""
        path = self.path(name)
        if wal.is_history(name):
            with contextlib.suppress(OSError, ValueError, FormatError):
                with open(path, encoding="utf-8") as file:
                    self.rules.follow(name, file.read())
        self.rules.take(name)
        return path

    def feed(self, now: float) -> None:
        """Give work to the fetchers; start them when somebody asks, end them when nobody does."""
        if self._asked and now - self._asked > max(IDLE, 2 * self._options.archive_timeout):
            self._asked = 0.0
            self._end_all()
            try:
                self._empty()
            except ExecuteError as error:
                log.warn("%s", error.message)
        if not self._asked or now < self._next_try:
            return
        while True:
            free = [row for row in self._fetchers if len(row.names) < fetcher.JOBS]
            row = min(free, key=lambda row: len(row.names), default=None)
            if (row is None or row.names) and len(self._fetchers) < self._wanted():
                row = self._start()
            name = None if row is None else self.rules.next(self._room)
            if row is None or name is None:
                return
            row.names.add(name)
            with contextlib.suppress(OSError):  # it is gone; ``receive`` hears of that
                row.process.connection.send(fetcher.Wanted(name, self.rules.is_asked(name)))

    def _wanted(self) -> int:
        # While a repository is out of reach, one is enough to find out when that has an end.
        return 1 if self._failures else max(1, self._options.process_max)

    def _start(self) -> _Fetcher | None:
        options, spool, limits = self._options, self.spool, self._limits
        try:
            process = fork(
                lambda connection: fetcher.serve(connection, options, spool, limits),
                self._in_child,
            )
        except ExecuteError as error:
            log.warn("%s", error.message)
            self._fail()
            return None
        self._fetchers.append(_Fetcher(process))
        return self._fetchers[-1]

    def watch(self, now: float) -> None:
        """End fetchers that hang; others fetch what they had."""
        most = patience(self._options.io_timeout)
        for row in [row for row in self._fetchers if row.process.is_silent(now, most)]:
            log.error("a process that fetches WAL hung for %.0f seconds", most)
            self._end(row)
            self._fail()

    def receive(self, connection: Connection, now: float) -> None:
        """Take what a fetcher says."""
        row = next((row for row in self._fetchers if row.process.connection is connection), None)
        if row is None:
            return
        try:
            message: fetcher.Message = connection.recv()
        except (EOFError, OSError):
            self._end(row)
            self._fail()
            log.warn("a process that fetches WAL ended unexpectedly")
            return
        row.process.heard = now
        if isinstance(message, Beat):
            return
        row.names.discard(message.name)
        if isinstance(message, fetcher.Failed):
            self._failed(message.name, message.failure, now)
            return
        self._failures = 0
        everywhere = isinstance(message, fetcher.Absent) or len(self._options.repos) == 1
        if self._said is not None and not self._said[0] and everywhere:
            # What one repository has says nothing of another one that could not be reached.
            self._said = None
            log.info("the archive is reached again")
        if isinstance(message, fetcher.Absent):
            self.rules.absent(message.name, now)
            return
        self.fetched_files += 1
        self.fetched_bytes += message.size
        self.rules.got(message.name, message.repo)
        log.detail("fetched %s from the repo%d archive", message.name, message.repo)

    def _failed(self, name: str, failure: Failure, now: float) -> None:
        self.rules.failed(name, failure, now)
        if failure.may_pass:
            self._fail()
        cause = ("" if failure.may_pass else name, failure.error.code)
        is_news = self.rules.is_asked(name) and cause != self._said
        say = log.warn if is_news else log.detail
        say("unable to fetch %s: %s", name, failure.error.message)
        if is_news:
            self._said = cause

    def _fail(self) -> None:
        self._failures += 1
        self._next_try = time.monotonic() + min(
            LONGEST_PAUSE, backoff(self._failures, random.random())
        )

    def _end(self, row: _Fetcher) -> None:
        self._fetchers.remove(row)
        row.process.end(signal.SIGKILL)
        self.rules.lose(row.names)

    def _end_all(self) -> None:
        for row in list(self._fetchers):
            self._end(row)

    def _discard(self, name: str) -> None:
        self.rules.take(name)
        with contextlib.suppress(OSError):
            os.unlink(self.path(name))

    def _empty(self) -> None:
        """An empty spool; nobody may read what it holds. Raises FileWriteError."""
        for name in list(self.rules.ready):
            self.rules.take(name)
        self.rules.forget()
        try:
            os.makedirs(self.spool, mode=0o750, exist_ok=True)
            for name in os.listdir(self.spool):
                os.unlink(os.path.join(self.spool, name))
        except OSError as cause:
            raise ExecuteError(
                f"unable to use the spool '{self.spool}': {cause.strerror}",
                hint="spool-path must be a directory that the owner of the cluster can write to.",
            ) from cause

    def close(self) -> None:
        """End every fetcher, and leave nothing."""
        self._end_all()
        if self._cluster is not None:
            with contextlib.suppress(EngineError):
                self._empty()
