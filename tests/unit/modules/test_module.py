# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door from Ansible to the engine: answers, errors, warnings, the owner."""

from __future__ import annotations

import importlib
import json
import os
import pwd
import signal
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import directory, module
from ansible_collections.pgsftp.backup.plugins.module_utils.engine import dependency, log
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    EngineError,
    OptionInvalidError,
    PathNotEmptyError,
)
from ansible_collections.pgsftp.backup.plugins.modules import restore

CHOICE = directory.Choice(directory.Directory.OTHER, done=False, delta=False, aside={})
USER = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def config(tmp_path: Path, fake_module: t.Any) -> Path:
    path = tmp_path / "pgbackrest.conf"
    path.write_text(
        f"[global]\nrepo1-path={tmp_path}/repo\nprocess-max=2\n[demo]\npg1-path={tmp_path}/data\n",
        encoding="utf-8",
    )
    fake_module.params = {"stanza": "demo", "config": str(path), "user": USER}
    return path


def _run(answer_of: t.Any, work: module.Work) -> t.Any:
    return answer_of(lambda: module.main({}, "backup", work, uninstalled={"changed": True}))


def test_a_result_comes_back(config: Path, answer_of: t.Any) -> None:
    answer = _run(answer_of, lambda task: {"changed": True, "backup": {"label": "x"}})
    assert not answer.failed
    assert answer.result == {"changed": True, "backup": {"label": "x"}}


def test_work_without_a_word_about_it_changes_nothing(config: Path, answer_of: t.Any) -> None:
    assert _run(answer_of, lambda task: {}).result == {"changed": False}


def test_an_error_keeps_text_hint_and_code(config: Path, answer_of: t.Any) -> None:
    def work(task: module.Task) -> module.Result:
        raise PathNotEmptyError("the cause", hint="the way out.")

    answer = _run(answer_of, work)
    assert answer.failed
    assert answer.result["msg"] == "the cause\nHINT: the way out."
    assert answer.result["code"] == 40
    assert answer.result["failure"] == {
        "type": "PathNotEmptyError",
        "code": 40,
        "hint": "the way out.",
    }


def test_a_mistake_of_ours_comes_with_its_traceback(config: Path, answer_of: t.Any) -> None:
    answer = _run(answer_of, lambda task: {"changed": 1 // 0})
    assert answer.failed
    assert "ZeroDivisionError" in answer.result["msg"]
    assert "Traceback" in answer.result["exception"]


def test_warnings_reach_ansible_and_nothing_else_does(
    config: Path, fake_module: t.Any, answer_of: t.Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def work(task: module.Task) -> module.Result:
        log.info("not this")
        log.warn("only %s", "this")
        os.write(1, b"noise")
        return {}

    _run(answer_of, work)
    assert fake_module.warnings == ["only this"]
    assert capfd.readouterr().out == ""


def test_a_process_that_dies_is_a_failure(config: Path, answer_of: t.Any) -> None:
    def work(task: module.Task) -> module.Result:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    answer = _run(answer_of, work)
    assert answer.failed
    assert "signal 9" in answer.result["msg"]
    assert answer.result["code"] == answer.result["failure"]["code"] == 102


def test_options_of_the_task_replace_those_of_the_file(
    config: Path, fake_module: t.Any, answer_of: t.Any
) -> None:
    fake_module.params["options"] = {"process-max": 7, "start-fast": True}

    def work(task: module.Task) -> module.Result:
        options = task.options("backup", type="full", set=None)
        return {"seen": [options.process_max, options.start_fast, options.type, options.cmd]}

    assert _run(answer_of, work).result["seen"] == [7, True, "full", module.COMMAND]


def test_a_secret_is_refused_in_a_task(config: Path, fake_module: t.Any) -> None:
    task = module.Task(
        {"options": {"repo1-cipher-pass": "geheim"}, "config": str(config), "stanza": "demo"}, False
    )
    with pytest.raises(OptionInvalidError) as caught:
        task.options("backup")
    assert "repo1-cipher-pass" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_an_unknown_user_is_an_error(config: Path, fake_module: t.Any, answer_of: t.Any) -> None:
    fake_module.params["user"] = "no-such-user"
    answer = _run(answer_of, lambda task: {})
    assert answer.failed
    assert answer.result["code"] in (89,)
    assert "no-such-user" in answer.result["msg"]


def test_a_command_leaves_its_lines_in_the_log_on_the_host(
    config: Path, tmp_path: Path, fake_module: t.Any, answer_of: t.Any
) -> None:
    fake_module.params["options"] = {"log-path": str(tmp_path)}

    def work(task: module.Task) -> module.Result:
        def backup(options: Options) -> None:
            log.info("half way")
            raise PathNotEmptyError("the cause")

        task.perform(task.options("backup"), backup)
        return {}

    assert _run(answer_of, work).result["code"] == 40
    lines = (tmp_path / "demo-backup.log").read_text(encoding="utf-8").splitlines()
    assert "PROCESS START" in lines[0]
    assert "P00   INFO: backup command begin" in lines[1]
    assert "P00   INFO: half way" in lines[2]
    assert "P00  ERROR: [040]: the cause" in lines[3]
    assert "P00   INFO: backup command end: aborted with exception [040]" in lines[4]


def test_who_follows_a_job_begins_none(
    config: Path,
    tmp_path: Path,
    fake_module: t.Any,
    answer_of: t.Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def detached() -> None:
        work = {"changed": True}
        module.main({}, "backup", lambda task: work, uninstalled={}, detached=True)

    monkeypatch.setattr(module.job, "place", lambda: str(tmp_path))
    fake_module.params["_follow"] = 60
    first = answer_of(detached)
    assert first.result["_job"]["started"] is True
    fake_module.params["_attach"] = first.result["_job"]["id"]
    again = answer_of(detached)
    assert (again.failed, again.result["changed"]) == (False, True)
    assert again.result["_job"]["started"] is False
    # Its host was booted.
    fake_module.params["_attach"] = "1a"
    lost = answer_of(detached)
    assert lost.failed and "not known any more" in lost.result["msg"]
    (state,) = tmp_path.glob("backup-*.json")
    assert json.loads(state.read_text(encoding="utf-8"))["cluster"] == f"demo in {config}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_check_mode_tells_that_a_restore_would_attach_to_one_and_leaves_it_its_answer(
    config: Path,
    tmp_path: Path,
    fake_module: t.Any,
    answer_of: t.Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection was lost, and what it has made of the directory is no matter of a plan."""
    place = tmp_path / "jobs"
    monkeypatch.setattr(module.job, "ROOT_PLACE", str(place))
    monkeypatch.setattr(module.job, "USER_PLACE", str(place))
    fake_module.params.update({"force": True, "options": {"repo1-type": "posix"}})
    monkeypatch.setattr(restore.directory, "choose", lambda *args, **more: CHOICE)
    monkeypatch.setattr(restore.directory, "plan", lambda *args: {"plan": "one"})
    monkeypatch.setattr(restore.directory, "restore", lambda *args: {"restore": "done"})

    def asked() -> t.Any:
        fake_module.check_mode = True
        return answer_of(restore.main).result

    assert asked() == {"changed": True, "plan": "one"}
    assert not place.exists()
    fake_module.check_mode = False
    fake_module.params["_follow"] = 60
    begun = answer_of(restore.main).result
    for _again in range(2):
        assert asked() == {"changed": True, "attached": True}
    del fake_module.params["_follow"]
    fake_module.check_mode = False
    heard = answer_of(restore.main).result
    assert heard == {"changed": True, "restore": "done", "attached": True}
    assert begun["_job"]["started"] is True
    assert asked() == {"changed": True, "plan": "one"}


def test_root_becomes_the_owner_of_the_data_directory(
    config: Path, tmp_path: Path, fake_module: t.Any, answer_of: t.Any
) -> None:
    (tmp_path / "data").mkdir()
    owner = pwd.getpwnam("nobody")
    os.chown(tmp_path / "data", owner.pw_uid, owner.pw_gid)
    fake_module.params["user"] = None

    def work(task: module.Task) -> module.Result:
        return {"ids": [os.getuid(), os.geteuid(), os.getgid()], "home": os.environ["HOME"]}

    result = _run(answer_of, work).result
    assert result["ids"] == [owner.pw_uid, owner.pw_uid, owner.pw_gid]
    assert result["home"] == owner.pw_dir
    assert os.geteuid() == 0


def test_libraries_of_the_role_are_found_without_being_told(
    config: Path, tmp_path: Path, answer_of: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    venv = tmp_path / "anywhere" / "venv"
    libraries = venv / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    libraries.mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (libraries / "only_in_the_venv.py").write_text("FOUND = True\n", encoding="utf-8")
    command = tmp_path / "pgsftp"
    command.write_text(f"#!{venv}/bin/python3 -ISXutf8\n", encoding="utf-8")
    with config.open("a", encoding="utf-8") as file:
        file.write(f"[global:backup]\ncmd={command}\n")

    def work(task: module.Task) -> module.Result:
        task.options("backup")
        return {"found": importlib.import_module("only_in_the_venv").FOUND}

    assert _run(answer_of, work).result["found"] is True


def test_one_message_names_all_libraries_that_are_missing(
    config: Path, answer_of: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("paramiko", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)

    def work(task: module.Task) -> module.Result:
        dependency.paramiko()
        return {}

    answer = _run(answer_of, work)
    assert answer.failed
    assert "'paramiko' cannot be imported" in answer.result["msg"]
    assert "packages python3-paramiko python3-zstandard or" in answer.result["msg"]


def test_every_error_can_be_answered(config: Path, answer_of: t.Any) -> None:
    def classes(base: type[EngineError]) -> t.Iterator[type[EngineError]]:
        for sub in base.__subclasses__():
            yield sub
            yield from classes(sub)

    for error in classes(EngineError):

        def work(task: module.Task, error: type[EngineError] = error) -> module.Result:
            raise error("cause")

        assert _run(answer_of, work).result["code"] == error.code
