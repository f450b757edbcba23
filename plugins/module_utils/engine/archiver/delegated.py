# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's end of ``delegate``: a command run in a process forked for it.

The process has the service's modules and nothing else of it: output, environment and exit code are
those of whoever asks, and it ends when he does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import typing as t

from .. import log
from ..command import info
from .delegate import READY

# Runs a command line; as ``cli.main``, which is above us.
Main = t.Callable[..., int]

# Loaded once, for all who ask.
LOADED = (info,)

# How long the streams are waited for, in seconds.
_PATIENCE = 10.0


class Task(t.NamedTuple):
    """What somebody wants to be run."""

    config: str
    encoding: str
    errors: str
    environ: t.Mapping[str, str]
    words: t.Sequence[str]

    @classmethod
    def of(cls, words: t.Sequence[str]) -> Task | None:
        """From the words after the question's first; None where they are none."""
        try:
            config, encoding, errors, count = words[:4]
            end = 4 + int(count)
            pairs = [word.partition("=") for word in words[4:end]]
        except ValueError:
            return None
        return cls(config, encoding, errors, {row[0]: row[2] for row in pairs}, words[end:])


def live(connection: socket.socket, task: Task, main: Main) -> None:
    """In the process: run the command with the streams that come, and tell its exit code."""
    log.detach_all()
    connection.settimeout(_PATIENCE)
    connection.sendall(READY.encode() + b"\n")
    _data, descriptors, _flags, _address = socket.recv_fds(connection, 1, 2)
    if len(descriptors) != 2:
        return
    connection.settimeout(None)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(task.environ)
    time.tzset()
    sys.stdout, sys.stderr = (_stream(task, number) for number in (1, 2))
    code = main(task.words, task.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(f"{code}\n".encode())


def _stream(task: Task, number: int) -> t.TextIO:
    return os.fdopen(number, "w", encoding=task.encoding, errors=task.errors, closefd=False)


def _end_with(connection: socket.socket) -> None:
    """Who asked is gone: so is what he wanted."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
