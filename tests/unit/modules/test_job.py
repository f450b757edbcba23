# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job outlives its caller, is attached to, and gives its answer away once."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import job
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import PathOpenError


@pytest.fixture
def task(tmp_path: Path) -> job.Job:
    return job.Job(str(tmp_path), "backup-1")


def when_told(path: Path, answer: job.Json):
    """Work that ends when a file appears."""

    def work(tell: job.Tell) -> job.Json:
        tell({"step": "waiting", "pid": os.getpid()})
        while not path.exists():
            time.sleep(0.01)
        return answer

    return work


def refused(tell: job.Tell) -> job.Json:
    raise AssertionError("nothing was to be started")


def progress(task: job.Job) -> job.Json:
    while True:
        found = task.wait(0)
        if "progress" in found:
            return found["progress"]


def test_it_is_begun_once_and_answers_once(task: job.Job, tmp_path: Path) -> None:
    go = tmp_path / "go"
    assert task.begin(when_told(go, {"changed": True}))
    other = job.Job(str(tmp_path), "backup-1")
    assert not other.begin(refused)
    assert progress(other)["step"] == "waiting"
    go.touch()
    assert other.wait(None)["answer"] == {"changed": True}
    # Until somebody has it for sure it stays.
    assert not task.begin(refused)
    assert task.wait(0)["answer"] == {"changed": True}
    task.forget()
    assert task.begin(lambda tell: {"changed": False})
    assert task.wait(None)["answer"] == {"changed": False}


def test_it_outlives_the_process_that_began_it(task: job.Job, tmp_path: Path) -> None:
    go = tmp_path / "go"
    child = os.fork()
    if child == 0:
        task.begin(when_told(go, {"changed": True}))
        signal.pause()
    worker = progress(task)["pid"]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.getsid(worker) not in (os.getsid(0), child)
    os.kill(worker, signal.SIGHUP)
    go.touch()
    assert task.wait(None)["answer"] == {"changed": True}


@pytest.fixture
def busctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemd is asked; it runs as far as the job knows, and the job is root's."""
    asked = tmp_path / "asked"
    program = tmp_path / "bin/busctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {asked}.new\nmv {asked}.new {asked}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(job, "SYSTEMD", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return asked


def test_roots_leaves_the_login_before_it_works(task: job.Job, busctl: Path) -> None:
    task.begin(lambda tell: {"pid": os.getpid(), "asked": busctl.read_text()})
    answer = task.wait(None)["answer"]
    assert "org.freedesktop.systemd1.Manager StartTransientUnit" in answer["asked"]
    pid = answer["pid"]
    assert f" pgsftp-backup-1-{pid}.scope fail 2 PIDs au 1 {pid} " in answer["asked"]


@pytest.mark.parametrize("without", ["root", "systemd", "busctl", "success"])
def test_where_that_cannot_be_it_works_all_the_same(
    without: str, task: job.Job, busctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = busctl.parent / "bin/busctl"
    if without == "root":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    elif without == "systemd":
        monkeypatch.setattr(job, "SYSTEMD", "/nonexistent")
    elif without == "busctl":
        program.unlink()
        monkeypatch.setenv("PATH", str(program.parent))
    else:
        program.write_text("#!/bin/sh\nexit 1\n")
    task.begin(lambda tell: {"asked": busctl.exists()})
    assert task.wait(None)["answer"] == {"asked": False}


def test_one_that_was_killed_is_no_answer_and_is_begun_again(task: job.Job, tmp_path: Path) -> None:
    task.begin(when_told(tmp_path / "never", {}))
    os.kill(progress(task)["pid"], signal.SIGKILL)
    answer = task.wait(None)["answer"]
    assert "died" in answer["msg"]
    assert answer["failed"] and answer["failure"]["type"] == "ExecuteError"
    assert task.begin(lambda tell: {"changed": True})
    assert task.wait(None)["answer"] == {"changed": True}


def test_an_old_answer_is_no_answer(task: job.Job, tmp_path: Path) -> None:
    old = {"started": 1, "ended": time.time() - job.KEPT - 1, "answer": {"changed": True}}
    Path(task.state).write_text(json.dumps(old), encoding="utf-8")
    assert task.begin(lambda tell: {"changed": False})
    assert task.wait(None)["answer"] == {"changed": False}


def test_an_answer_that_somebody_else_took_is_told(task: job.Job) -> None:
    assert "another run" in task.wait(None)["answer"]["msg"]


def test_its_file_is_for_its_owner_alone(task: job.Job) -> None:
    task.begin(lambda tell: {})
    task.wait(None)
    assert stat.S_IMODE(os.stat(task.state).st_mode) == 0o600


def test_its_place_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "jobs"
    monkeypatch.setattr(job, "ROOT_PLACE", str(place))
    monkeypatch.setattr(job, "USER_PLACE", str(place))
    assert job.place() == str(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    place.chmod(0o755)
    with pytest.raises(PathOpenError):
        job.place()
    place.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PathOpenError):
        job.place()


def test_the_same_arguments_make_the_same_task() -> None:
    one = {"stanza": "demo", "type": "full", "options": {"b": 1, "a": 2}, "_follow": 10}
    same = {"options": {"a": 2, "b": 1}, "type": "full", "stanza": "demo", "_follow": None}
    assert job.name("backup", one) == job.name("backup", same)
    assert job.name("backup", one) != job.name("restore", one)
    assert job.name("backup", one) != job.name("backup", {**one, "stanza": "other"})


def test_who_has_answered_may_take_a_moment_to_end(task: job.Job, tmp_path: Path) -> None:
    """The lock is free when all processes of the work have ended, which is after the answer."""
    assert task.begin(lambda tell: {"changed": True})
    assert task.wait(None)["answer"] == {"changed": True}
    task.forget()
    with open(task._lock, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.3, fcntl.flock, [held, fcntl.LOCK_UN]).start()
        assert task.begin(lambda tell: {"changed": False})
    assert task.wait(None)["answer"] == {"changed": False}
