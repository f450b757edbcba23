# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job outlives its caller, is attached to, and gives its answer away once."""

from __future__ import annotations

import json
import os
import signal
import stat
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


def test_one_that_was_killed_is_no_answer_and_is_begun_again(task: job.Job, tmp_path: Path) -> None:
    task.begin(when_told(tmp_path / "never", {}))
    os.kill(progress(task)["pid"], signal.SIGKILL)
    assert "died" in task.wait(None)["answer"]["msg"]
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
