# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long command that outlives its caller, and how to attach to it again.

The module starts a process in a session of its own, which ends neither with the connection nor
with ``ansible-playbook``. Root's becomes a scope of systemd, since logind may end all that belongs
to a login (``KillUserProcesses``); another user's cannot, and wants ``loginctl enable-linger``
there. It holds a lock while it works, and keeps a file with how far it is and, at the end, with its
answer. Whoever runs the same task again finds the lock or the answer.

An answer is given away once: who has it removes the file. One that nobody asks for in an hour is of
no use to the next task, which means a new backup and not one of yesterday.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import stat
import time
import typing as t

from . import failure
from .engine.errors import ExecuteError, PathOpenError
from .engine.process import Process

ROOT_PLACE = "/run/pgsftp-jobs"
USER_PLACE = "~/.pgsftp-jobs"

# Seconds for which an answer waits for somebody.
KEPT = 3600.0

# There where systemd runs.
SYSTEMD = "/run/systemd/system"

# Seconds that it has to take a process over.
PATIENCE = 10.0

DIED = "the log of the command on the host tells how far it came; running the task again goes on."

# Seconds between two looks at a job.
PAUSE = 0.2

# Seconds in which whoever has answered has ended.
ENDING = 5.0

Json = dict[str, t.Any]
Tell = t.Callable[[Json], None]


def name(command: str, params: t.Mapping[str, t.Any]) -> str:
    """What makes two tasks the same: the command and its arguments, the stanza among them.

    What begins with ``_`` is said by the action plugin and no argument.
    """
    arguments = {key: value for key, value in params.items() if not key.startswith("_")}
    text = json.dumps([command, arguments], sort_keys=True, default=str)
    return f"{command}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def place() -> str:
    """The directory of the jobs, which is ours alone; PathOpenError when it is not."""
    path = ROOT_PLACE if os.geteuid() == 0 else os.path.expanduser(USER_PLACE)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PathOpenError(
            f"'{path}' is not a directory of this user alone",
            hint="remove it; what runs and what has ended is written there.",
        )
    return path


class Job:
    """One task that may be under way, or may have ended without anybody there to hear it."""

    def __init__(self, directory: str, task: str) -> None:
        self.task = task
        self.state = f"{directory}/{task}.json"
        self._lock = f"{directory}/{task}.lock"

    def begin(self, work: t.Callable[[Tell], Json]) -> bool:
        """Start the work unless it is under way or has an answer; whether it was started.

        ``work`` runs in a process of its own and is given what tells how far it is.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not self._acquire(descriptor):
                return False
            found = self._read()
            if "answer" in found and time.time() - found["ended"] < KEPT:
                return False
            self._write({"started": time.time()})
            # Who works inherits the lock, and all of its workers do; it is free when all have gone.
            _detach(lambda: self._run(work), f"pgsftp-{self.task}")
            return True
        finally:
            os.close(descriptor)

    def _acquire(self, descriptor: int) -> bool:
        """Take the lock, unless somebody works; who has given the answer away may yet have it for
        the moment that ending takes.
        """
        limit = time.monotonic() + ENDING
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if self._read() or time.monotonic() >= limit:
                    return False
            time.sleep(PAUSE)

    def wait(self, seconds: float | None) -> Json:
        """The answer in ``answer``, or where the job is after so many seconds in ``progress``."""
        limit = None if seconds is None else time.monotonic() + seconds
        while True:
            working = self._is_locked()
            found = self._read()
            if "answer" in found:
                return found
            if not working:
                self.forget()
                what = "the process that did the work died"
                if not found:
                    what = "another run of the same task has taken the answer"
                return {"answer": failure.told(ExecuteError(what, hint=DIED))}
            if limit is not None and time.monotonic() >= limit:
                return found
            time.sleep(PAUSE)

    def forget(self) -> None:
        """Give the answer away; the same task will be a new one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.state)

    def _run(self, work: t.Callable[[Tell], Json]) -> None:
        begun = self._read().get("started", time.time())

        def tell(progress: Json) -> None:
            self._write({"started": begun, "progress": progress})

        answer = work(tell)
        self._write({"started": begun, "ended": time.time(), "answer": answer})

    def _is_locked(self) -> bool:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _read(self) -> Json:
        try:
            with open(self.state, encoding="utf-8") as file:
                return t.cast(Json, json.load(file))
        except (FileNotFoundError, ValueError):
            return {}

    def _write(self, state: Json) -> None:
        temporary = f"{self.state}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(temporary, self.state)


def _detach(work: t.Callable[[], None], unit: str) -> None:
    """Have a process do it that is nobody's child and in nobody's session."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            os.umask(0o077)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            _leave_login(unit)
            work()
    finally:
        os._exit(0)


def _leave_login(unit: str) -> None:
    """Have systemd take this process out of the login's control group, where it can be done."""
    if os.geteuid() != 0 or not os.path.isdir(SYSTEMD):
        return
    about = ["PIDs", "au", "1", str(os.getpid()), "Description", "s", "a command of pgsftp"]
    with contextlib.suppress(ExecuteError):
        called = Process(
            [
                "busctl", "call", "--quiet",
                "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))",
                f"{unit}-{os.getpid()}.scope", "fail", "2", *about, "0",
            ]
        )  # fmt: skip
        called.wait(PATIENCE)
        called.close()
