# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long command that outlives its caller, and how to attach to it again.

The module starts a process in a session of its own, which ends neither with the connection nor
with ``ansible-playbook``. Root's becomes a scope of systemd, since logind may end all that belongs
to a login (``KillUserProcesses``); another user's cannot, and wants ``loginctl enable-linger``
there. It holds a lock while it works, and keeps a file with how far it is and, at the end, with its
answer. Whoever runs the same task again finds the lock or the answer.

A mark says that nobody has heard the answer; who has heard it removes the mark, and the same task
begins a new job. So it does when nobody came within an hour, since it means a new backup and not
one of yesterday, and when another job has made the answer untrue.

Who follows a job names it, and begins none: what he follows may have ended and be heard by another,
or he has slept since. For him the answer stays longer.
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

# Seconds for which an answer waits for somebody who runs the same task again.
KEPT = 3600.0

# Seconds for which it stays for those who follow its job.
FOLLOWED = 24 * KEPT

# Whose answers, of the same cluster, a job makes untrue when it begins. A backup can only be taken
# where a server has run, in a directory that is not as a restore has left it any more; and after a
# restore a new backup is meant, not one of what was there before.
UNTRUE = {"backup": ("restore",), "restore": ("backup", "restore")}

STATE = ".json"
UNHEARD = ".unheard"

# There where systemd runs.
SYSTEMD = "/run/systemd/system"

# Which control groups a process is in (cgroups(7)).
CONTROL_GROUPS = "/proc/self/cgroup"

# Seconds that systemd has to take a process over, to answer and then to do it.
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


def cluster(params: t.Mapping[str, t.Any]) -> str:
    """What makes two tasks be about the same cluster."""
    return f"{params['stanza']} in {params['config']}"


def place() -> str:
    """The directory of the jobs, which is ours alone; PathOpenError when it is not."""
    path = _path()
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PathOpenError(
            f"'{path}' is not a directory of this user alone",
            hint="remove it; what runs and what has ended is written there.",
        )
    return path


def attaches(command: str, params: t.Mapping[str, t.Any]) -> bool:
    """Whether the task would begin no job, but attach to one; nothing is made or heard by asking.

    PathOpenError as ``place``.
    """
    if not os.path.lexists(_path()):
        return False
    return Job(place(), name(command, params), cluster(params)).waits()


def _path() -> str:
    return ROOT_PLACE if os.geteuid() == 0 else os.path.expanduser(USER_PLACE)


class Job:
    """One task that may be under way, or may have ended without anybody there to hear it.

    Each time that it is begun it has an identity, which whoever follows it names.
    """

    def __init__(self, directory: str, task: str, cluster: str = "") -> None:
        self.task = task
        self._directory = directory
        self._cluster = cluster
        self._lock = f"{directory}/{task}.lock"

    def begin(self, work: t.Callable[[Tell], Json]) -> tuple[str, bool]:
        """Start the work unless it is under way or has an answer; its identity, and whether it was
        started.

        ``work`` runs in a process of its own and is given what tells how far it is. Raises
        ExecuteError when the processes of an earlier job do not end.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            found = self._acquire(descriptor) or self._waiting(answered=True)
            if found is not None:
                return found, False
            self._tidy()
            identity = os.urandom(8).hex()
            self._write(identity, {"started": time.time()})
            with open(self.unheard(identity), "x", encoding="ascii"):
                pass
            # Who works inherits the lock, and all of its workers do; it is free when all have gone.
            _detach(lambda: self._run(identity, work), f"pgsftp-{self.task}")
            return identity, True
        finally:
            os.close(descriptor)

    def waits(self) -> bool:
        """Whether it is under way, or has an answer that nobody has heard."""
        if not os.path.exists(self._lock):
            return False
        return self._waiting(answered=not self._is_locked()) is not None

    def wait(self, identity: str, seconds: float | None) -> Json:
        """The answer in ``answer``, or where the job is after so many seconds in ``progress``."""
        limit = None if seconds is None else time.monotonic() + seconds
        while True:
            working = self._is_locked()
            found = _read(self._state(identity))
            if "answer" in found:
                return found
            if not found:
                gone = ExecuteError(
                    "what this run has followed is not known any more on the host",
                    hint="a later task has replaced it, or the host was booted; the log of the"
                    " command there tells how it ended.",
                )
                return {"answer": failure.told(gone)}
            if not working:
                died = "the process that did the work died"
                return {"answer": failure.told(ExecuteError(died, hint=DIED))}
            if limit is not None and time.monotonic() >= limit:
                return found
            time.sleep(PAUSE)

    def unheard(self, identity: str) -> str:
        """The file that says that nobody has heard the answer; without it the task is a new one."""
        return f"{self._directory}/{self.task}-{identity}{UNHEARD}"

    def heard(self, identity: str) -> None:
        """Say that the answer has been heard."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.unheard(identity))

    def _acquire(self, descriptor: int) -> str | None:
        """Take the lock; the job that is under way when somebody else has it.

        Whose answer has been heard may yet have it for the moment that ending takes.
        """
        limit = time.monotonic() + ENDING
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return None
            except BlockingIOError:
                found = self._waiting()
                if found is not None:
                    return found
                if time.monotonic() >= limit:
                    raise ExecuteError(
                        "the processes of an earlier run of the same task have not ended yet",
                        hint="run the task again.",
                    ) from None
            time.sleep(PAUSE)

    def _waiting(self, *, answered: bool = False) -> str | None:
        """The job that nobody has heard, unless its answer is too old; or only ``answered`` ones,
        when it is known that none is under way.
        """
        for identity in self._all_unheard():
            found = _read(self._state(identity))
            if "answer" in found:
                if time.time() - found["ended"] < KEPT:
                    return identity
            elif found and not answered:
                return identity
        return None

    def _all_unheard(self) -> list[str]:
        before, names = f"{self.task}-", os.listdir(self._directory)
        marks = [name for name in names if name.startswith(before) and name.endswith(UNHEARD)]
        return [name[len(before) : -len(UNHEARD)] for name in marks]

    def _tidy(self) -> None:
        """Drop what is of no use when a job begins; who has the lock does it."""
        for identity in self._all_unheard():
            self.heard(identity)
        untrue = UNTRUE.get(_command(self.task), ())
        for name in os.listdir(self._directory):
            if not name.endswith(STATE):
                continue
            found = _read(f"{self._directory}/{name}")
            if "answer" in found:
                drop = time.time() - found["ended"] >= FOLLOWED or (
                    found.get("cluster") == self._cluster and _command(name) in untrue
                )
            else:
                # It died, if it is of this task; another one may be under way.
                drop = name.startswith(f"{self.task}-")
            if drop:
                for path in (name, name[: -len(STATE)] + UNHEARD):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(f"{self._directory}/{path}")

    def _run(self, identity: str, work: t.Callable[[Tell], Json]) -> None:
        begun = _read(self._state(identity)).get("started", time.time())

        def tell(progress: Json) -> None:
            self._write(identity, {"started": begun, "progress": progress})

        answer = work(tell)
        self._write(identity, {"started": begun, "ended": time.time(), "answer": answer})

    def _is_locked(self) -> bool:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _state(self, identity: str) -> str:
        return f"{self._directory}/{self.task}-{identity}{STATE}"

    def _write(self, identity: str, state: Json) -> None:
        path = self._state(identity)
        temporary = f"{path}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump({"cluster": self._cluster, **state}, file)
        os.replace(temporary, path)


def _command(task: str) -> str:
    return task.partition("-")[0]


def _read(path: str) -> Json:
    try:
        with open(path, encoding="utf-8") as file:
            return t.cast(Json, json.load(file))
    except (FileNotFoundError, ValueError):
        return {}


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
    scope = f"{unit}-{os.getpid()}.scope"
    about = ["PIDs", "au", "1", str(os.getpid()), "Description", "s", "a command of pgsftp"]
    with contextlib.suppress(ExecuteError):
        called = Process(
            [
                "busctl", "call", "--quiet",
                "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))",
                scope, "fail", "2", *about, "0",
            ]
        )  # fmt: skip
        status = called.wait(PATIENCE)
        called.close()
        # It answers before it does it, and would leave behind who is begun meanwhile.
        limit = time.monotonic() + PATIENCE
        while not status and scope not in _control_groups() and time.monotonic() < limit:
            time.sleep(0.01)


def _control_groups() -> str:
    """Where this process is."""
    try:
        with open(CONTROL_GROUPS, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
