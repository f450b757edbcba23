# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the service that have the sessions, and die with it.

The service has no thread of its own, so that it may fork whenever that is wanted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from ..errors import ExecuteError


class Hands(t.Protocol):
    """Those of one kind, as the service's loop knows them."""

    @property
    def connections(self) -> list[Connection]:
        """What to listen to."""

    def descriptors(self) -> list[int]:
        """What a process that is forked must not keep."""

    def wakes(self, now: float) -> float | None:
        """When there is something to do although nothing arrives; None for never."""

    def watch(self, now: float) -> None:
        """End those that hang."""

    def receive(self, connection: Connection, now: float) -> None:
        """Take what one of them says."""

    def close(self) -> None:
        """End all of them."""


# How long the end of a process is waited for, in seconds: longer than one takes that can end.
ENDING = 0.1

_ending: list[int] = []


class Process:
    """A child, and the line to it."""

    def __init__(self, pid: int, connection: Connection) -> None:
        self.pid = pid
        self.connection = connection
        self.heard = time.monotonic()
        """When it last said something, in monotonic seconds."""

    def is_silent(self, now: float, patience: float) -> bool:
        """Whether it has said nothing for ``patience`` seconds."""
        return now - self.heard > patience and not self.connection.poll()

    def end(self, number: int = signal.SIGKILL) -> None:
        """Hang up and send the signal. One that cannot end now, as it waits for a file system, is
        left to ``reap``.
        """
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        deadline = time.monotonic() + ENDING
        while not _has_ended(self.pid):
            if time.monotonic() > deadline:
                _ending.append(self.pid)
                return
            time.sleep(0.001)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def reap() -> None:
    """See those end that took their time."""
    _ending[:] = [pid for pid in _ending if not _has_ended(pid)]


def fork(life: t.Callable[[Connection], None], in_child: t.Callable[[], None]) -> Process:
    """Start a process that lives ``life``, after ``in_child`` let go of what is the service's.

    Raises ExecuteError when the system gives none.
    """
    try:
        ours, theirs = Pipe()
    except OSError as cause:
        raise _refused(cause) from cause

    def work() -> None:
        ours.close()
        in_child()
        life(theirs)

    pid = _fork(work)
    theirs.close()
    return Process(pid, ours)


def let_go(work: t.Callable[[], None]) -> None:
    """Start a process that does something nobody here waits for; ``reap`` sees it end.

    Raises ExecuteError when the system gives none.
    """
    _ending.append(_fork(work))


def _fork(work: t.Callable[[], None]) -> int:
    try:
        pid = os.fork()
    except OSError as cause:
        raise _refused(cause) from cause
    if pid == 0:
        try:
            work()
        finally:
            # Nothing of the service's clean-up may run here.
            os._exit(0)
    return pid


def _refused(cause: OSError) -> ExecuteError:
    return ExecuteError(
        f"unable to start worker process: {cause.strerror}",
        hint="is a limit of processes or of memory reached?",
    )
