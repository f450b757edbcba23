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
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ExecuteError,
    PathOpenError,
)

GONE = "not known any more"


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


def progress(task: job.Job, identity: str) -> job.Json:
    while True:
        found = task.wait(identity, 0)
        if "progress" in found:
            return found["progress"]


def answer(task: job.Job, identity: str) -> job.Json:
    return task.wait(identity, None)["answer"]


def begun(task: job.Job, work=lambda tell: {}) -> str:
    identity, started = task.begin(work)
    assert started
    return identity


def ended(task: job.Job, work=lambda tell: {}) -> str:
    """Its answer is there, and nobody has heard it."""
    identity = begun(task, work)
    task.wait(identity, None)
    while task._is_locked():
        time.sleep(0.01)
    return identity


def aged(task: job.Job, identity: str, seconds: float) -> None:
    """As if it had ended so long ago."""
    path = Path(task._state(identity))
    state = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**state, "ended": time.time() - seconds}), encoding="utf-8")


def test_it_is_begun_once_and_answers_once(task: job.Job, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = begun(task, when_told(go, {"changed": True}))
    other = job.Job(str(tmp_path), "backup-1")
    assert other.begin(refused) == (first, False)
    assert progress(other, first)["step"] == "waiting"
    go.touch()
    assert answer(other, first) == {"changed": True}
    # Until somebody has it for sure it stays.
    assert task.begin(refused) == (first, False)
    assert answer(task, first) == {"changed": True}
    task.heard(first)
    second = begun(task, lambda tell: {"changed": False})
    assert answer(task, second) == {"changed": False}


def test_who_follows_it_hears_it_even_if_another_has(task: job.Job, tmp_path: Path) -> None:
    """One controller goes on with its play while the other one asks for the answer."""
    first = ended(task, lambda tell: {"changed": True})
    task.heard(first)
    assert answer(task, first) == {"changed": True}
    go = tmp_path / "go"
    second = begun(task, when_told(go, {"changed": False}))
    assert answer(task, first) == {"changed": True}
    # That it is heard says nothing about the one that runs now.
    task.heard(first)
    assert task.begin(refused) == (second, False)
    go.touch()
    assert answer(task, second) == {"changed": False}


def test_who_has_slept_hears_it_still(task: job.Job) -> None:
    first = ended(task, lambda tell: {"changed": True})
    aged(task, first, job.KEPT + 1)
    assert answer(task, first) == {"changed": True}
    ended(task)
    assert answer(task, first) == {"changed": True}
    aged(task, first, job.FOLLOWED + 1)
    other = job.Job(os.path.dirname(task.unheard(first)), "verify-1")
    ended(other)
    assert GONE in answer(task, first)["msg"]


@pytest.mark.parametrize("follower", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [
        ("restore-1", "restore-2", False),  # reverted, confirmed, or with another target
        ("restore-1", "backup-1", False),
        ("restore-1", "verify-1", True),
        ("backup-1", "restore-1", False),
        ("backup-1", "backup-2", True),
        ("verify-1", "restore-1", True),
        ("verify-1", "backup-1", True),
    ],
)
def test_an_answer_that_is_not_true_any_more_is_none(
    tmp_path: Path, before: str, after: str, stays: bool, follower: bool
) -> None:
    """Restored unheard, reverted, and restored again: the second time it has to be done."""
    one = job.Job(str(tmp_path), before, "demo")
    first = ended(one, lambda tell: {"changed": True})
    ended(job.Job(str(tmp_path), f"{after}0", "other"))
    assert one.begin(refused) == (first, False)
    ended(job.Job(str(tmp_path), after, "demo"))
    if follower:
        told = answer(one, first)
        assert told == {"changed": True} if stays else GONE in told["msg"]
    elif stays:
        assert one.begin(refused) == (first, False)
    else:
        begun(one)


def test_what_is_under_way_stays_when_another_begins(tmp_path: Path) -> None:
    go = tmp_path / "go"
    one = job.Job(str(tmp_path), "backup-1", "demo")
    first = begun(one, when_told(go, {"changed": True}))
    progress(one, first)
    ended(job.Job(str(tmp_path), "restore-1", "demo"))
    assert one.begin(refused) == (first, False)
    go.touch()
    assert answer(one, first) == {"changed": True}


def test_it_outlives_the_process_that_began_it(task: job.Job, tmp_path: Path) -> None:
    go = tmp_path / "go"
    child = os.fork()
    if child == 0:
        task.begin(when_told(go, {"changed": True}))
        signal.pause()
    while not (found := task._waiting()):
        time.sleep(0.01)
    worker = progress(task, found)["pid"]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.getsid(worker) not in (os.getsid(0), child)
    os.kill(worker, signal.SIGHUP)
    go.touch()
    assert answer(task, found) == {"changed": True}


@pytest.fixture
def busctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemd is asked; it runs as far as the job knows, and the job is root's.

    It answers at once, and takes the process over a while later.
    """
    asked = tmp_path / "asked"
    groups = tmp_path / "cgroup"
    groups.write_text("0::/user.slice/session-1.scope\n")
    later = f"(sleep 0.5; echo 0::/system.slice/$8 > {groups}) >/dev/null 2>&1 &"
    program = tmp_path / "bin/busctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {asked}.new\nmv {asked}.new {asked}\n{later}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(job, "SYSTEMD", str(tmp_path))
    monkeypatch.setattr(job, "CONTROL_GROUPS", str(groups))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return asked


def test_roots_leaves_the_login_before_it_works(task: job.Job, busctl: Path) -> None:
    def work(_tell: job.Tell) -> job.Json:
        groups = Path(job.CONTROL_GROUPS).read_text()
        return {"pid": os.getpid(), "asked": busctl.read_text(), "groups": groups}

    told = answer(task, begun(task, work))
    assert "org.freedesktop.systemd1.Manager StartTransientUnit" in told["asked"]
    pid = told["pid"]
    assert f" pgsftp-backup-1-{pid}.scope fail 2 PIDs au 1 {pid} " in told["asked"]
    # What it begins belongs there, too, and not to the login, which may be ended.
    assert f"/pgsftp-backup-1-{pid}.scope" in told["groups"]


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
    found = begun(task, lambda tell: {"asked": busctl.exists()})
    assert answer(task, found) == {"asked": False}


def test_one_that_was_killed_is_no_answer_and_is_begun_again(task: job.Job, tmp_path: Path) -> None:
    first = begun(task, when_told(tmp_path / "never", {}))
    os.kill(progress(task, first)["pid"], signal.SIGKILL)
    for _follower in range(2):
        told = answer(task, first)
        assert "died" in told["msg"]
        assert told["failed"] and told["failure"]["type"] == "ExecuteError"
    second = begun(task, lambda tell: {"changed": True})
    assert answer(task, second) == {"changed": True}
    assert GONE in answer(task, first)["msg"]


def test_an_old_answer_is_no_answer(task: job.Job) -> None:
    aged(task, ended(task), job.KEPT + 1)
    assert answer(task, begun(task, lambda tell: {"changed": False})) == {"changed": False}


def test_one_that_is_not_known_is_not_begun(task: job.Job) -> None:
    """The host was booted, or the answer is not kept any more."""
    told = answer(task, "1a")
    assert told["failed"] and GONE in told["msg"]
    assert os.path.getsize(task._lock) == 0


def test_its_file_is_for_its_owner_alone(task: job.Job) -> None:
    found = ended(task)
    assert stat.S_IMODE(os.stat(task._state(found)).st_mode) == 0o600


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


def test_to_ask_whether_it_would_attach_makes_and_hears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"stanza": "demo", "config": "/c"}
    place = tmp_path / "jobs"
    monkeypatch.setattr(job, "ROOT_PLACE", str(place))
    monkeypatch.setattr(job, "USER_PLACE", str(place))
    assert not job.attaches("restore", params)
    assert not place.exists()
    one = job.Job(job.place(), job.name("restore", params), job.cluster(params))
    assert not job.attaches("restore", params)
    assert os.listdir(place) == []

    go = tmp_path / "go"
    first = begun(one, when_told(go, {"changed": True}))
    progress(one, first)
    assert job.attaches("restore", {**params, "_follow": 10.0})
    assert not job.attaches("restore", {**params, "set": "latest"})
    go.touch()
    assert answer(one, first) == {"changed": True}
    for _asked in range(2):
        assert job.attaches("restore", params)
    aged(one, first, job.KEPT + 1)
    assert not job.attaches("restore", params)
    aged(one, first, 0)
    one.heard(first)
    assert not job.attaches("restore", params)


def test_one_that_died_is_nothing_to_attach_to(task: job.Job, tmp_path: Path) -> None:
    first = begun(task, when_told(tmp_path / "never", {}))
    worker = progress(task, first)["pid"]
    assert task.waits()
    os.kill(worker, signal.SIGKILL)
    answer(task, first)
    assert not task.waits()


def test_who_has_answered_may_take_a_moment_to_end(
    task: job.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is free when all processes of the work have ended, which is after the answer."""
    task.heard(ended(task))
    with open(task._lock, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.3, fcntl.flock, [held, fcntl.LOCK_UN]).start()
        second = begun(task, lambda tell: {"changed": False})
    assert answer(task, second) == {"changed": False}
    task.heard(second)
    monkeypatch.setattr(job, "ENDING", 0)
    with open(task._lock, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ExecuteError, match="have not ended"):
            task.begin(refused)
