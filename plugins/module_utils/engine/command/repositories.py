# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several repositories at once, so that one that is down delays no other.

A thread for each: what takes long is waiting for a network, and a repository that does not answer
keeps its thread for as long as ``io-timeout``.
"""

from __future__ import annotations

import queue
import threading
import time
import typing as t
from dataclasses import dataclass

from ..config.options import RepoOptions
from ..errors import EngineError

# Seconds after which a thread that waits sees a signal that came the moment before it did: the
# interpreter has noted it then, and no system call is interrupted.
LOOK = 0.5

ResultT = t.TypeVar("ResultT")
Work = t.Callable[[RepoOptions], ResultT]


@dataclass(frozen=True)
class Outcome(t.Generic[ResultT]):
    """What came of one repository: a result, or what kept it from being had."""

    repo: RepoOptions
    result: ResultT | None
    error: BaseException | None

    @property
    def failure(self) -> EngineError | None:
        """The error, if there was one; anything but an EngineError is raised."""
        if self.error is None or isinstance(self.error, EngineError):
            return self.error
        raise self.error


def at_once(repos: t.Sequence[RepoOptions], work: Work[ResultT]) -> list[Outcome[ResultT]]:
    """Do the work for all, and wait for the last; in the order of the repositories."""
    if len(repos) == 1:
        return [_done(repos[0], work)]
    found = {row.repo.key: row for row in _Threads(repos, work, head_start=0.0)}
    return [found[repo.key] for repo in repos]


def in_turn(
    repos: t.Sequence[RepoOptions], work: Work[ResultT], *, head_start: float
) -> t.Iterator[Outcome[ResultT]]:
    """Do the work for one after the other, as long as the caller asks for more.

    The next one begins when one has failed or has been silent for ``head_start`` seconds; what
    comes first is given first.
    """
    if len(repos) == 1:
        yield _done(repos[0], work)
        return
    yield from _Threads(repos, work, head_start=head_start)


class _Threads(t.Generic[ResultT]):
    """The outcomes as they come in. Threads that hang do not keep the process from ending."""

    def __init__(
        self, repos: t.Sequence[RepoOptions], work: Work[ResultT], *, head_start: float
    ) -> None:
        self._waiting = list(repos)
        self._work = work
        self._head_start = head_start
        self._running = 0
        self._outcomes: queue.Queue[Outcome[ResultT]] = queue.Queue()

    def __iter__(self) -> t.Iterator[Outcome[ResultT]]:
        while self._waiting or self._running:
            if self._waiting:
                self._start(self._waiting.pop(0))
            deadline = time.monotonic() + self._head_start
            while self._running:
                try:
                    left = deadline - time.monotonic()
                    patience = min(left, LOOK) if self._waiting else LOOK
                    outcome = self._outcomes.get(timeout=max(patience, 0.0))
                except queue.Empty:
                    if self._waiting and time.monotonic() >= deadline:
                        break
                    continue
                self._running -= 1
                yield outcome
                if self._waiting:
                    break

    def _start(self, repo: RepoOptions) -> None:
        thread = threading.Thread(
            target=lambda: self._outcomes.put(_done(repo, self._work)),
            name=f"repo{repo.key}",
            daemon=True,
        )
        self._running += 1
        thread.start()


def _done(repo: RepoOptions, work: Work[ResultT]) -> Outcome[ResultT]:
    try:
        return Outcome(repo, work(repo), None)
    except BaseException as cause:  # it belongs to whoever asks for the outcome
        return Outcome(repo, None, cause)
