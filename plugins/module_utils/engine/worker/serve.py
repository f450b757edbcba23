# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a worker process: it sets itself up, and works through jobs until the parent is gone.

Its handler of jobs may connect to the repository in the set-up, or only when a job needs that. A
server that does not let it in then is no fault of the job's: another worker can do it.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import os
import queue
import threading
import time
import traceback
import typing as t
from multiprocessing.connection import Connection

from ..errors import AssertError, EngineError, HostConnectError, ServiceError, StorageLimitError
from .memory import keep_freed

ResultT_co = t.TypeVar("ResultT_co", covariant=True)

# What a server says that has enough sessions already.
CONNECTION_ERRORS = (HostConnectError, ServiceError, StorageLimitError)


class RefusedError(Exception):
    """A worker's first session, which a job asked for, was refused; nothing of the job was done
    that may not be done again.
    """

    def __init__(self, cause: EngineError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class Word(enum.Enum):
    """What the parent says between jobs."""

    AGAIN = "again"
    """To a worker that was refused: there are jobs for it all the same."""


class Deferred(t.Protocol[ResultT_co]):
    """The outcome of a job whose last acknowledgements may still be on their way."""

    def ready(self) -> bool:
        """True when ``result`` will not block; makes progress, never blocks."""

    def result(self) -> ResultT_co:
        """Wait until all is durable and give the result, or raise what went wrong."""


class Done(t.Generic[ResultT_co]):
    """A result that needs no more waiting."""

    def __init__(self, value: ResultT_co) -> None:
        self._value = value

    def ready(self) -> bool:
        """Always true."""
        return True

    def result(self) -> ResultT_co:
        """The value."""
        return self._value


Handler = t.Callable[[t.Any], Deferred[t.Any]]
Setup = t.Callable[[int, t.Callable[[int], None], t.Any], Handler]


def serve(number: int, connection: Connection, setup: Setup, parent: int) -> None:
    """Begin when there is a word for the set-up, and return when the parent has no more.

    When the process ``parent`` is gone it ends at once, whatever it is doing: its lock, which we
    have inherited, keeps the next run away.
    """
    # A thread takes jobs off the pipe at once: parent and worker could otherwise block each other,
    # both in the middle of sending something long.
    inbox: queue.SimpleQueue[t.Any] = queue.SimpleQueue()
    threading.Thread(target=_receive_jobs, args=(connection, inbox, parent), daemon=True).start()
    try:
        word = inbox.get()
        if word is _END:
            return
        keep_freed()
        handler = setup(number, lambda size: connection.send(("progress", size)), word)
        connection.send(("ready", None))
        _work(connection, inbox, handler)
    except RefusedError as refusal:
        _tell(connection, inbox, refusal.cause)
    except EngineError as error:
        _tell(connection, inbox, error)
    except (BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:  # whatever it is, the parent has to hear of it
        text = f"worker process {number}: {error!r}\n{traceback.format_exc()}"
        _tell(connection, inbox, AssertError(text))


def _work(connection: Connection, inbox: queue.SimpleQueue[t.Any], handler: Handler) -> None:
    pending: collections.deque[Deferred[t.Any]] = collections.deque()
    while True:
        if not pending or not inbox.empty():
            job = inbox.get()
            if job is _END:
                return
            try:
                pending.append(handler(job))
            except RefusedError as refusal:
                # What was done before is not given to somebody else.
                while pending:
                    connection.send(("result", pending.popleft().result()))
                connection.send(("refused", refusal.cause))
                if not _is_asked_again(inbox):
                    return
        while pending and (pending[0].ready() or inbox.empty()):
            connection.send(("result", pending.popleft().result()))


def _is_asked_again(inbox: queue.SimpleQueue[t.Any]) -> bool:
    """Wait for the parent's word; jobs that it had sent before it heard are no longer ours."""
    while True:
        told = inbox.get()
        if told is _END or told is Word.AGAIN:
            return told is Word.AGAIN


_END = object()

# Seconds between two looks whether a parent that has hung up still waits for us.
LOOK = 0.1


def _receive_jobs(
    connection: Connection, inbox: queue.SimpleQueue[t.Any], parent: int
) -> t.NoReturn:
    with contextlib.suppress(EOFError, OSError):
        while True:
            inbox.put(connection.recv())
    inbox.put(_END)
    # The parent has hung up, which is all it says at the end, or it was killed, and then nobody
    # waits for what we still have. The kernel closes its files before it gives us another parent.
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(1)


def _tell(connection: Connection, inbox: queue.SimpleQueue[t.Any], error: EngineError) -> None:
    try:
        connection.send(("error", error))
    except OSError:
        return
    # The parent may still be sending: leaving now would turn its send into a broken pipe before it
    # has read the cause.
    while inbox.get() is not _END:
        continue
