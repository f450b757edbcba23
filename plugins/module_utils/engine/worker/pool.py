# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forked processes that share the work of one command.

The parent hands out jobs and collects results; every worker sets itself up once (its own connection
to the repository) and then works through jobs. A worker holds two jobs at a time, so that the last
answers of one are awaited while the next is already being sent: a job costs no round trip of its
own.

Workers are forked before the parent opens a connection: a fork that copies a running SSH transport
thread hangs. They connect when they are told to, after the parent: without its connection there is
nothing to do, and a server may grant fewer than there are workers.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import time
import typing as t
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from .. import log
from ..errors import EngineError, ExecuteError
from .serve import CONNECTION_ERRORS, Setup, Word, serve

JOBS_IN_FLIGHT = 2

# Seconds of silence after which the parent hears that there was nothing to hear.
TICK = 10.0

# Seconds for which the parent puts off work of its own, so that no worker waits for its first job.
HEAD_START = 1.0

# Seconds after which somebody looks again whether what goes on meanwhile has come to its end.
PAUSE = 0.02

# What a parent may have handlers for that are its own.
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Report(t.NamedTuple):
    """What a worker tells its parent while a job is under way; of worker 0 with size 0, that all of
    them have been silent for some time.
    """

    worker: int
    size: int


class Finished(t.NamedTuple):
    """A job and what came of it."""

    worker: int
    job: t.Any
    result: t.Any


class _Worker:
    """The parent's view of one process."""

    def __init__(self, number: int, pid: int, connection: Connection) -> None:
        self.number = number
        self.pid = pid
        self.connection = connection
        self.jobs: collections.deque[t.Any] = collections.deque()
        self.is_set_up = False
        self.was_refused = False
        self.has_answered = False
        self.backlog: t.Any = None  # a job that only this worker can do, until it is set up
        self.drained = False


class WorkerPool:
    """``size`` processes, forked at once.

    ``setup(number, progress, word)`` runs in the child after ``begin``, with what that was told,
    and gives its job handler; ``progress(size)`` may be called by the handler to report bytes done.
    Numbers count from 1, as in ``P01`` of the log.
    """

    def __init__(self, size: int, setup: Setup) -> None:
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._returned: collections.deque[t.Any] = collections.deque()
        self._over = False  # no job is left that has not been handed out
        self._begun = False
        try:
            for number in range(1, size + 1):
                self._fork(number, setup)
        except OSError as cause:
            self.terminate()
            raise ExecuteError(
                f"unable to start worker process: {cause.strerror}",
                hint="is a limit of processes or of memory reached?",
            ) from cause

    def _fork(self, number: int, setup: Setup) -> None:
        ours, theirs = Pipe()
        parent = os.getpid()
        # One that is ended before it has handlers of its own must not run the parent's.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    ours.close()
                    for other in self._workers:
                        other.connection.close()
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                    signal.signal(signal.SIGHUP, signal.SIG_IGN)
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                    serve(number, theirs, setup, parent)
                finally:
                    # Nothing of the parent's clean-up (locks, temporary files) may run here.
                    os._exit(0)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        self._workers.append(_Worker(number, pid, ours))

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.terminate()

    def begin(self, word: t.Any = None) -> None:
        """Have the workers set themselves up, without waiting for that; ``run`` does it, too.

        ``word`` is for their set-up: what is known now, and was not when they were forked.
        """
        if self._begun:
            return
        self._begun = True
        for worker in self._workers:
            try:
                worker.connection.send(word)
            except OSError:
                # It is gone; ``_receive`` finds out how it ended.
                continue

    def run(
        self,
        next_job: t.Callable[[int], t.Any | None],
        *,
        interchangeable: bool = True,
        for_good: bool = False,
        meanwhile: t.Callable[[], bool | None] | None = None,
    ) -> t.Iterator[Finished | Report]:
        """Work until ``next_job(worker number)`` gives None to every worker.

        Yields a ``Finished`` for every job, in the order of completion, and a ``Report`` for every
        progress message. The first error of a job ends the run: it is raised here, after the other
        workers were stopped.

        When workers are ``interchangeable``, any may do any job: one that cannot connect, in its
        set-up or for its first job that needs it, is done without, since the server grants what it
        grants, and one that still connects when all is done is not waited for. ``meanwhile`` is
        called once every worker has its first jobs, or when that takes long; and again after a
        moment whenever it gives False, which is that it has not come to its end.

        When the jobs are the last ones, ``for_good``, a worker for which none is left ends: what
        the server grants is there for another one that has lost its session in the middle of a job.
        """
        self._over = False
        self.begin()
        for worker in self._workers:
            worker.drained = False
        self._feed_all(next_job)
        put_off = time.monotonic() + HEAD_START
        asked = False
        while self._has_work(next_job, interchangeable):
            left = max(0.0, put_off - time.monotonic())
            if meanwhile is not None and (not left or (not asked and self._all_set_up())):
                asked = True
                if meanwhile() is False:
                    left = PAUSE
                    put_off = time.monotonic() + left
                else:
                    meanwhile = None
            if for_good:
                self._let_go(interchangeable)
            workers = {worker.connection: worker for worker in self._workers}
            told = wait(list(workers), TICK if meanwhile is None else left)
            if not told and meanwhile is None:
                yield Report(0, 0)
            for connection in told:
                worker = workers[t.cast(Connection, connection)]
                kind, value = self._receive(worker)
                if kind == "progress":
                    yield Report(worker.number, value)
                elif kind == "ready":
                    worker.is_set_up = True
                    self._feed_all(next_job)
                elif kind in ("error", "refused"):
                    self._give_up(worker, kind, value, interchangeable)
                    self._feed_all(next_job)
                else:
                    job = worker.jobs.popleft()
                    worker.has_answered = True
                    self._feed(worker, next_job)
                    yield Finished(worker.number, job, value)
        if meanwhile is not None:
            meanwhile()

    def _all_set_up(self) -> bool:
        return all(worker.is_set_up for worker in self._workers)

    def _has_work(self, next_job: t.Callable[[int], t.Any | None], interchangeable: bool) -> bool:
        if any(worker.jobs for worker in self._workers):
            return True
        if interchangeable:
            return not self._over
        for worker in self._workers:
            if not worker.is_set_up and not worker.drained and worker.backlog is None:
                worker.backlog = next_job(worker.number)
                worker.drained = worker.backlog is None
        return any(worker.backlog is not None for worker in self._workers)

    def _let_go(self, interchangeable: bool) -> None:
        for worker in list(self._workers):
            late = interchangeable and self._over and not worker.is_set_up
            if (worker.drained or late) and not worker.jobs and worker.backlog is None:
                worker.connection.close()
                if not worker.is_set_up:
                    _kill(worker)
                self._workers.remove(worker)
                self._leaving.append(worker)

    def _give_up(
        self, worker: _Worker, kind: str, error: EngineError, interchangeable: bool
    ) -> None:
        """Do without a worker that could not connect; any other error is raised."""
        early = not worker.is_set_up and isinstance(error, CONNECTION_ERRORS)
        if not (interchangeable and (early or kind == "refused")):
            self.terminate()
            raise error
        others = [other for other in self._workers if other is not worker]
        if worker.jobs:
            self._returned.extend(worker.jobs)
            worker.jobs.clear()
            self._over = False
            for other in self._workers:
                other.drained = False
        if others:
            log.warn("worker %d: %s: going on with %d", worker.number, error.message, len(others))
            worker.connection.close()
            os.waitpid(worker.pid, 0)
            self._workers = others
        elif worker.is_set_up and not worker.was_refused:
            # The sessions of those that had nothing left to do end with them.
            self._leaving = self._wait_for(self._leaving)
            worker.was_refused = True
            with contextlib.suppress(OSError):
                # If it is gone, ``_receive`` finds out how it ended.
                worker.connection.send(Word.AGAIN)
        else:
            self.terminate()
            raise error

    def _feed_all(self, next_job: t.Callable[[int], t.Any | None]) -> None:
        # One for each before anybody has a second: there may not be more.
        for worker in self._workers:
            if not worker.jobs:
                self._feed(worker, next_job, most=1)
        for worker in self._workers:
            self._feed(worker, next_job)

    def _feed(
        self,
        worker: _Worker,
        next_job: t.Callable[[int], t.Any | None],
        *,
        most: int = JOBS_IN_FLIGHT,
    ) -> None:
        if not worker.has_answered and not self._all_set_up():
            # Those that are about to connect get their first.
            most = 1
        while worker.is_set_up and not worker.drained and len(worker.jobs) < most:
            job, worker.backlog = worker.backlog, None
            if job is None and self._returned:
                job = self._returned.popleft()
            if job is None:
                job = next_job(worker.number)
            if job is None:
                worker.drained = self._over = True
                return
            try:
                worker.connection.send(job)
            except OSError:
                # The worker is gone; what it said last, or how it ended, is read in ``_receive``.
                worker.drained = True
            worker.jobs.append(job)

    def _receive(self, worker: _Worker) -> tuple[str, t.Any]:
        try:
            return t.cast("tuple[str, t.Any]", worker.connection.recv())
        except (EOFError, OSError):
            _dummy, status = os.waitpid(worker.pid, 0)
            self._workers.remove(worker)
            how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "no message"
            self.terminate()
            raise ExecuteError(
                f"worker process {worker.number} ended unexpectedly ({how})",
                hint="the kernel log tells whether the system ran out of memory.",
            ) from None

    def close(self) -> None:
        """Let every worker finish and wait for it to end; one that still connects is ended."""
        for worker in self._workers:
            worker.connection.close()
            if not worker.is_set_up:
                _kill(worker)
        self._reap()

    def terminate(self) -> None:
        """End every worker now; what they had not published is left as temporary files."""
        for worker in self._workers:
            worker.connection.close()
            _kill(worker)
        self._reap()

    def abandon(self) -> t.Iterator[Finished]:
        """End every worker now, and give what they had finished before that."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)
        for worker in self._workers:
            # What was sent is still in the pipe; the last message may be cut off.
            with contextlib.suppress(EOFError, OSError):
                while True:
                    kind, value = worker.connection.recv()
                    if kind == "result":
                        yield Finished(worker.number, worker.jobs.popleft(), value)
            worker.connection.close()
        self._reap()

    def _reap(self) -> None:
        self._leaving = self._wait_for(self._workers + self._leaving)
        self._workers = []

    @staticmethod
    def _wait_for(workers: t.Iterable[_Worker]) -> list[_Worker]:
        """Until they have ended; those that are left: none."""
        for worker in workers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(worker.pid, 0)
        return []


def _kill(worker: _Worker) -> None:
    try:
        os.kill(worker.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
