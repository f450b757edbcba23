# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of one repository, as the service sees them.

Every worker ends with its session; then there is a pause, and a new one sends again.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import time
import typing as t
from multiprocessing import reduction
from multiprocessing.connection import Connection

from .. import log
from ..command import archive_push
from ..config.options import Options, RepoOptions
from ..errors import EngineError, ExecuteError, ServiceError
from ..postgres import wal
from ..storage.open import Opener, prepare, rate_limit
from . import worker
from .forked import Process, fork
from .pulse import Beat, patience
from .queue import Queue, backoff

# A worker beyond the first that had nothing to do for so many seconds is let go.
IDLE = 60.0

# Among the codes of errors that were said: that a segment was there already, which is none.
_THERE = 0


class _Worker:
    """One worker."""

    def __init__(self, process: Process, lends: bool, left: frozenset[str] = frozenset()) -> None:
        self.process = process
        self.left = left
        """What it removes of what lost sessions had on their way."""
        self.lends = lends
        self.connection = process.connection
        self.open = False
        self.useful = False
        self.names: set[str] = set()
        self.busy = time.monotonic()


class Crew:
    """Sends the files of one repository's queue with at most ``process-max`` workers."""

    def __init__(
        self,
        options: Options,
        repo: RepoOptions,
        in_child: t.Callable[[], None],
    ) -> None:
        self.repo = repo
        self.queue = Queue()
        self.error: EngineError | None = None
        self.error_time = 0.0
        """Of the last error, in seconds of the epoch."""
        self.success_time: float | None = None
        """When a file was last found to be stored, in seconds of the epoch."""
        self.failed = 0.0
        """When the repository was last found out of reach, in monotonic seconds."""
        self.hung: dict[str, float] = {}
        """When a worker that had this file was found to hang, in monotonic seconds."""
        self.sent_files = 0
        self.sent_bytes = 0
        self._refusals = 0
        self._said: set[int] = set()
        self._options = options
        self._in_child = in_child
        self._opener: Opener | None = None
        # Of all workers, whichever opener they have.
        self._limit = rate_limit(repo)
        self._workers: list[_Worker] = []
        self._failures = 0
        self._former = 0
        self._unfinished: set[str] = set()
        self._next_try = 0.0

    @property
    def name(self) -> str:
        """As messages call the repository."""
        return f"repo{self.repo.key}"

    @property
    def sessions(self) -> int:
        """How many there are."""
        return sum(process.open for process in self._workers)

    @property
    def reachable(self) -> bool:
        """Whether the last that is known of the repository is that it answers."""
        return self._failures == 0

    @property
    def connections(self) -> list[Connection]:
        """What to listen to."""
        return [process.connection for process in self._workers]

    def descriptors(self) -> list[int]:
        """What a process that is forked must not keep."""
        return [process.connection.fileno() for process in self._workers]

    def wakes(self, now: float) -> float | None:
        """When there is something to do although nothing arrives; None for never."""
        return self._next_try if now < self._next_try else None

    def feed(self, now: float) -> None:
        """Give work to the workers, and start or end some where that helps."""
        wanted = self.queue.waiting + len(self.queue.sent)
        share = -(-wanted // worker.JOBS)
        target = max(1, min(self._options.process_max, wanted, max(share, 2)))
        # One that works is the best sign that another one can: the first goes ahead alone.
        ahead = 1 if not self.sessions else target
        while len(self._workers) < ahead and now >= self._next_try:
            if not self._start():
                return
        for process in sorted(self._workers, key=lambda row: len(row.names)):
            if process.open:
                self._give(process, now)
        self._appoint()
        self._let_go(now)

    def _give(self, process: _Worker, now: float) -> None:
        others = sum(row.open for row in self._workers) or 1
        # Several workers share what little there is.
        fair = max(1, -(-(self.queue.waiting + len(self.queue.sent)) // others))
        most = min(worker.JOBS, fair)
        # Several at a time: a worker asks once for all that it is given together.
        if len(process.names) > most // 2:
            return
        while len(process.names) < most:
            name = self.queue.next(now)
            if name is None:
                return
            process.names.add(name)
            process.busy = now
            try:
                process.connection.send(name)
            except OSError:
                # It is gone; ``receive`` hears of that and has the file sent by another one.
                return

    def _let_go(self, now: float) -> None:
        for process in [row for row in self._workers if not row.lends]:
            if process.open and not process.names and now - process.busy > IDLE:
                self._end(process, signal.SIGTERM)

    def _start(self) -> bool:
        try:
            if self._opener is None:
                timeout = self._options.io_timeout
                self._opener = prepare(self.repo, io_timeout=timeout, limit=self._limit)
            lends = not any(row.lends for row in self._workers)
            left = frozenset(self._unfinished)
            work = worker.Work(self._options, self.repo, self._opener, left, lends)
            process = fork(lambda connection: worker.serve(connection, work), self._in_child)
        except EngineError as error:
            self._fail(error)
            return False
        self._workers.append(_Worker(process, lends, left))
        return True

    def _appoint(self) -> None:
        """Have another one lend when the one who did is gone; it is the last to be let go, too."""
        if any(row.lends for row in self._workers):
            return
        for process in self._workers:
            if process.open:
                process.lends = True
                with contextlib.suppress(OSError):  # it is gone; ``receive`` hears of that
                    process.connection.send(worker.BeginToLend())
                return

    def lend(self, borrower: socket.socket) -> bool:
        """Have somebody served through an open session; false when there is none."""
        for process in self._workers:
            if process.open and process.lends:
                return self._pass_on(process, borrower)
        return False

    def _pass_on(self, process: _Worker, borrower: socket.socket) -> bool:
        number = process.connection.fileno()
        try:
            # It needs a descriptor of its own; where there is none nothing has been said yet.
            line = socket.fromfd(number, socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:
            return False
        with line:
            try:
                process.connection.send(worker.Lend())
            except OSError:  # it is gone; ``receive`` hears of that
                return False
            try:
                reduction.sendfds(line, [borrower.fileno()])
            except OSError as cause:
                # It would take what it is told next for the borrower.
                error = ExecuteError(
                    f"unable to pass a borrower to a worker process of {self.name}: "
                    f"{cause.strerror}",
                    hint="it is ended and replaced; is a limit of open files reached?",
                )
                self._gone(process, error)
                return False
        return True

    def watch(self, now: float) -> None:
        """End workers that hang; others send what they had."""
        most = patience(self._options.io_timeout)
        for silent in [row for row in self._workers if row.process.is_silent(now, most)]:
            self.hung.update(dict.fromkeys(silent.names, now))
            error = ExecuteError(
                f"worker process of {self.name} hung for {most:.0f} seconds",
                hint="it is ended and replaced; is the storage slow, or gone?",
            )
            log.error("%s", error, extra={"code": error.code})
            self._gone(silent, error)

    def receive(self, connection: Connection, now: float) -> None:
        """Take what a worker says."""
        process = next((row for row in self._workers if row.connection is connection), None)
        if process is None:
            return
        try:
            message = connection.recv()
        except (EOFError, OSError):
            self._gone(
                process,
                ExecuteError(
                    f"worker process of {self.name} ended unexpectedly",
                    hint="the kernel log tells whether the system ran out of memory.",
                ),
            )
            return
        process.process.heard = now
        if isinstance(message, Beat):
            return
        if isinstance(message, worker.Opened):
            process.open = True
            self._unfinished -= process.left
            self._came(process, now)
        elif isinstance(message, worker.Stored):
            self.hung.pop(message.name, None)
            process.names.discard(message.name)
            process.busy = now
            process.useful = True
            self.success_time = time.time()
            self.queue.store(message.name, message.found)
            if not message.sent:
                self._say_there(message.name)
            else:
                self.sent_files += 1
                self.sent_bytes += message.found.size
            log.detail("%s: stored WAL file '%s'", self.name, message.name)
        elif isinstance(message, worker.Refused):
            process.names.discard(message.name)
            process.useful = True
            self.queue.refuse(message.name, message.error, now)
            self._note(message.error)
            self._say(message.error)
        elif isinstance(message, worker.Lost):
            self._unfinished |= message.unfinished
            self._gone(process, message.error)

    def _say_there(self, name: str) -> None:
        """Log that the repository had a segment already, as archive-push does; once a minute.

        It is news only where somebody else must have stored it.
        """
        is_segment = wal.is_segment(name) or wal.is_partial(name)
        if not is_segment or self.queue.may_repeat(name) or not self._options.archive_mode_check:
            return
        say = log.detail if _THERE in self._said else log.warn
        self._said.add(_THERE)
        say("%s", archive_push.duplicate_text(name, self.repo.key))

    def _say(self, error: EngineError) -> None:
        """Log a refusal when it is news; the others are counted."""
        self._refusals += 1
        news = error.code not in self._said
        self._said.add(error.code)
        say = log.error if news else log.detail
        say("%s: %s", self.name, error, extra={"code": error.code})

    def refusals(self, is_well: bool) -> int:
        """How many there were since the last call.

        When there was none and the repository ``is_well``, the next one is news again.
        """
        count, self._refusals = self._refusals, 0
        if is_well and not count:
            self._said.clear()
        return count

    def _came(self, process: _Worker, now: float) -> None:
        if self._failures:
            log.info("%s: reached again", self.name)
        elif self.sessions == 1:
            log.info("%s: connected", self.name)
        self._former, self._failures = self._failures, 0
        self._next_try = 0.0
        process.busy = now

    def _gone(self, process: _Worker, error: EngineError) -> None:
        young = time.monotonic() - process.busy < IDLE
        if process.open and not process.useful and young:
            # A server that lets us in and throws us out again is out of reach, too.
            self._failures = self._former
        was_open = process.open
        self._end(process, signal.SIGKILL)
        self._fail(error)
        if was_open and self._failures == 1:
            # One lost session is no verdict: whoever waits goes on waiting for the next one.
            self.failed = 0.0

    def _fail(self, error: EngineError) -> None:
        """No session: count it, say it once, and wait before the next try."""
        now = time.monotonic()
        self._note(error)
        if isinstance(error, ServiceError):
            # A key or a password may be replaced, and known_hosts corrected: read them again.
            self._opener = None
        if self.sessions:
            # The others are fine: only this one is replaced, and later.
            self._next_try = now + backoff(3, random.random())
            return
        self._failures += 1
        self.failed = now
        pause = backoff(self._failures, random.random())
        self._next_try = now + pause
        if self._failures <= 2:
            log.warn("%s: %s; trying again", self.name, error.message)
        else:
            log.detail("%s: %s; trying again in %.1fs", self.name, error.message, pause)

    def _note(self, error: EngineError) -> None:
        self.error = error
        self.error_time = time.time()

    def _end(self, process: _Worker, number: int) -> None:
        self._workers.remove(process)
        process.process.end(number)
        self.queue.lose(process.names)

    def close(self) -> None:
        """End every worker; what was on its way has not been stored."""
        for process in list(self._workers):
            self._end(process, signal.SIGKILL)
