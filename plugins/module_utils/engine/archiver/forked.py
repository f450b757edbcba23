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

    def receive(self, connection: Connection, now: float) -> None:
        """Take what one of them says."""

    def close(self) -> None:
        """End all of them."""


class Process(t.NamedTuple):
    """A child, and the line to it."""

    pid: int
    connection: Connection

    def end(self, number: int = signal.SIGKILL) -> None:
        """Hang up, send the signal and see it end."""
        self.connection.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, number)
            os.waitpid(self.pid, 0)


def fork(life: t.Callable[[Connection], None], in_child: t.Callable[[], None]) -> Process:
    """Start a process that lives ``life``, after ``in_child`` let go of what is the service's.

    Raises ExecuteError when the system gives none.
    """
    try:
        ours, theirs = Pipe()
        pid = os.fork()
    except OSError as cause:
        raise ExecuteError(f"unable to start worker process: {cause.strerror}") from cause
    if pid == 0:
        try:
            ours.close()
            in_child()
            life(theirs)
        finally:
            # Nothing of the service's clean-up may run here.
            os._exit(0)
    theirs.close()
    return Process(pid, ours)
