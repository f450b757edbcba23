# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that starts another program.

No shell takes part: a program gets its arguments as they are.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import tempfile
import time
import typing as t

from .errors import ExecuteError

_PAUSE = 0.02

# Signals that the other program handles as it likes, whatever this one does with them.
_DEFAULT = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Process:
    """A running program: bytes to its standard input, bytes from its standard output.

    What it says on standard error is kept aside until somebody asks why it failed.
    """

    def __init__(self, command: t.Sequence[str]) -> None:
        """Start ``command``; ExecuteError when that is impossible."""
        self._status: int | None = None
        try:
            with contextlib.ExitStack() as undo:
                # It takes room on a disk, which may be full.
                self._errors = undo.enter_context(tempfile.TemporaryFile())
                child_input, self._input = _pipe(undo)
                self._output, child_output = _pipe(undo)
                undo.pop_all()
        except OSError as cause:
            raise ExecuteError(
                f"unable to execute '{command[0]}': {cause.strerror}",
                hint="is there room for temporary files, or a limit of open files reached?",
            ) from cause
        try:
            self.pid = _execute(command, (child_input, child_output, self._errors.fileno()))
        except OSError as cause:
            os.close(self._input)
            os.close(self._output)
            self._errors.close()
            raise ExecuteError(
                f"unable to execute '{command[0]}': {cause.strerror}",
                hint="is it installed, and in the PATH of this user?",
            ) from cause
        finally:
            os.close(child_input)
            os.close(child_output)

    @property
    def input(self) -> int:
        """Descriptor of the program's standard input."""
        return self._input

    @property
    def output(self) -> int:
        """Descriptor of the program's standard output."""
        return self._output

    def errors(self, lines: int = 5) -> str:
        """The last lines that the program wrote to standard error."""
        size = os.fstat(self._errors.fileno()).st_size
        tail = os.pread(self._errors.fileno(), 8192, max(0, size - 8192))
        text = tail.decode("utf-8", "replace").replace("\r", "")
        return "\n".join([line for line in text.split("\n") if line.strip()][-lines:])

    def wait(self, timeout: float) -> int | None:
        """The exit status once the program has ended; None when it has not after that many seconds.

        The number of a signal that ended it is given as a negative number.
        """
        deadline = time.monotonic() + timeout
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = _exit_code(status)
            elif time.monotonic() >= deadline:
                return None
            else:
                time.sleep(_PAUSE)
        return self._status

    def close(self, patience: float = 5.0) -> None:
        """End the conversation; a program that does not end within ``patience`` is killed."""
        for descriptor in (self._input, self._output):
            if descriptor >= 0:
                os.close(descriptor)
        self._input = self._output = -1
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                os.kill(self.pid, number)
            if self.wait(patience) is not None:
                break
        self._errors.close()


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    """Its two ends, which ``undo`` closes."""
    ends = os.pipe()
    for descriptor in ends:
        undo.callback(os.close, descriptor)
    return ends


def _execute(command: t.Sequence[str], streams: t.Sequence[int]) -> int:
    """Start it with these descriptors as its standard ones; OSError when that is impossible."""
    told, tell = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(told)
        os.close(tell)
        raise
    if pid == 0:
        try:
            _become(command, streams)
        except OSError as cause:
            os.write(tell, str(cause.errno).encode())
        finally:
            # Nothing of the parent's clean-up (locks, temporary files) may run here.
            os._exit(127)
    os.close(tell)
    with open(told, "rb") as failure:
        # The end of the file tells that the other program runs: it has inherited no such pipe.
        number = failure.read()
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), os.strerror(int(number)))
    return pid


def _become(command: t.Sequence[str], streams: t.Sequence[int]) -> t.NoReturn:
    # A group of its own: an interrupt from the terminal is ours to handle, not the child's.
    os.setpgid(0, 0)
    # First out of the way of each other, should one of them be 0, 1 or 2.
    for number, descriptor in enumerate([fcntl.fcntl(n, fcntl.F_DUPFD, 3) for n in streams]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for received in _DEFAULT:
        signal.signal(received, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], list(command))


def _exit_code(status: int) -> int:
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
