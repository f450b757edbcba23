# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller asks until there is an answer, shows how far it is, and says that it has it."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.pgsftp.backup.plugins.plugin_utils import follow

COPYING = {"percent": 12.5, "total": 8 * 1024**3, "rate": 64 * 1024**2, "left": 112, "step": "x"}


class Host(follow.FollowedAction):
    """Answers in the place of a module on a host."""

    def __init__(self, answers: list[t.Any], arguments: dict[str, t.Any], **task: t.Any) -> None:
        shown = {"check_mode": False, "async_val": 0, "action": "pgsftp.backup.restore"}
        shown.update({"delegate_to": None, **task})
        self._task = types.SimpleNamespace(args=arguments, **shown)
        shell = types.SimpleNamespace(remove=lambda path: f"rm {path}")
        self._connection = types.SimpleNamespace(_shell=shell, reset=lambda: None)
        self._answers = answers
        self.asked: list[dict[str, t.Any]] = []
        self.commands: list[str] = []

    def _execute_module(self, module_args: t.Any = None, **more: t.Any) -> t.Any:
        self.asked.append({**module_args, **more})
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _low_level_execute_command(self, cmd: str, **more: t.Any) -> dict[str, t.Any]:
        self.commands.append(cmd)
        return {"rc": 0}

    def act(self) -> dict[str, t.Any]:
        return self.run(None, {"inventory_hostname": "pg1-srv"})


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(follow.ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(follow, "display", types.SimpleNamespace(display=shown.append))
    monkeypatch.setattr(follow, "PAUSE", 0)
    return shown


def _job(running: bool, started: bool, **progress: t.Any) -> dict[str, t.Any]:
    about = {"id": "1a", "unheard": "/1a.unheard", "started": started, "progress": progress}
    about["running"] = running
    return {"changed": not running, "_job": about}


def test_it_shows_how_far_the_work_is_and_takes_the_answer(lines: list[str]) -> None:
    host = Host(
        [_job(True, True, step="scan"), _job(True, False, **COPYING), _job(False, False)],
        {"stanza": "demo"},
    )
    assert host.act() == {"changed": True, "attached": False}
    assert lines == ["pg1-srv: scan", "pg1-srv: 12.5% of 8.0GB, 64.0MB/s, 1m52s left"]
    assert host.commands == ["rm /1a.unheard"]
    assert host.asked[0]["_follow"] == follow.PACE
    assert host.asked[0]["_host"] == "pg1-srv"


def test_what_an_earlier_run_began_is_said_to_be_so(lines: list[str]) -> None:
    host = Host([_job(True, False), _job(False, False)], {})
    assert host.act()["attached"] is True
    assert "attached to what an earlier run has begun" in lines[0]


def test_a_lost_connection_is_made_again(lines: list[str]) -> None:
    lost = AnsibleConnectionFailure("lost")
    host = Host([_job(True, True), lost, _job(False, False)], {})
    assert host.act() == {"changed": True, "attached": False}
    with pytest.raises(AnsibleConnectionFailure):
        Host([lost] * (follow.RETRIES + 1), {}).act()


def test_who_follows_a_job_names_it_and_begins_none() -> None:
    """Between two requests it may have ended, and another run may have heard its answer."""
    lost = AnsibleConnectionFailure("lost")
    host = Host([_job(True, False), lost, _job(True, False), _job(False, False)], {})
    host.act()
    assert [asked.get("_attach") for asked in host.asked] == [None, "1a", "1a", "1a"]


def test_a_controller_that_has_slept_begins_nothing_a_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line was lost before it heard which job it has begun, which may have ended long ago."""
    now = 0.0

    def sleep(module_args: t.Any = None, **more: t.Any) -> t.Any:
        nonlocal now
        now += follow.UNKNOWN + 1
        raise AnsibleConnectionFailure("lost")

    monkeypatch.setattr(follow.time, "time", lambda: now)
    host = Host([_job(True, True)], {})
    monkeypatch.setattr(host, "_execute_module", sleep)
    with pytest.raises(AnsibleConnectionFailure):
        host.act()
    assert host.asked == []
    # Once it knows the job it may sleep as long as it likes.
    host = Host([_job(True, True), AnsibleConnectionFailure("lost"), _job(False, False)], {})
    monkeypatch.setattr(follow.time, "time", iter([0.0, 1e6, 2e6]).__next__)
    assert host.act()["changed"]


def test_the_worker_of_a_killed_controller_leaves_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parents = iter([100, 100, 1])
    monkeypatch.setattr(follow.os, "getppid", lambda: next(parents))
    host = Host([_job(True, True), _job(False, False)], {})
    with pytest.raises(AnsibleActionFail, match="gone"):
        host.act()
    assert host.commands == []


@pytest.mark.parametrize("task", [{"check_mode": True}, {"async_val": 60}])
def test_check_mode_and_async_ask_once(task: dict[str, t.Any]) -> None:
    host = Host([{"changed": True}], {}, **task)
    assert host.act() == {"changed": True}
    assert "_follow" not in host.asked[0]
    assert host.asked[0]["wrap_async"] is ("async_val" in task)


def test_a_task_that_is_delegated_confirms_the_host_that_it_runs_on() -> None:
    """inventory_hostname stays the one that delegates, whose cluster is not replaced."""
    host = Host([{"changed": True}], {"confirm_host": "pg1-srv"}, delegate_to="pg2-srv")
    host.act()
    assert host.asked[0]["_host"] == "pg2-srv"


@pytest.mark.parametrize(
    "arguments",
    [
        {"options": {"repo1-cipher-pass": "geheim"}},
        {"options": {"repo1_cipher_pass": "geheim"}},
        {"options": {"Repo1-Cipher-Pass": "geheim"}},
        {"options": {"repo1-sftp-private-key-passphras": "geheim"}},
        {"options": "repo1-cipher-pass=geheim"},
        {"options": '{"repo1_cipher_pass": "geheim"}'},
        {"options": "geheim"},
        {"options": ["geheim"]},
        {"options": {"recovery_option": "primary_conninfo=password=geheim"}},
        {"options": {"recovery-option": {"primary_conninfo": "password=geheim"}}},
        {"recovery_options": {"primary_conninfo": "host=a password=geheim"}},
        {"recovery_options": {"primary_conninfo": "postgresql://u:geheim@a/b"}},
        {"options": {"recovery-option": "primary_conninfo=password=geheim"}},
        {"_follow": 1},
    ],
)
def test_secrets_and_what_is_not_the_users_do_not_reach_the_host(
    arguments: dict[str, t.Any],
) -> None:
    host = Host([], arguments)
    with pytest.raises(AnsibleActionFail) as caught:
        host.act()
    assert "geheim" not in str(caught.value)
    assert host.asked == []


@pytest.mark.parametrize(
    "options",
    [
        {"process-max": 2, "repo1-retention-full": 3, "db-path": "/data"},
        {"recovery-option": {"primary_conninfo": "host=a passfile=/p"}},
        "process-max=2",
        None,
    ],
)
def test_options_that_the_engine_knows_reach_the_host_as_they_are(options: t.Any) -> None:
    host = Host([{"changed": True}], {"options": options}, check_mode=True)
    assert host.act() == {"changed": True}
    assert host.asked[0]["options"] == options


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("repo1_cipher_pass", "option 'repo1_cipher_pass' is not allowed in a task"),
        ("process_max", "invalid option 'process_max' in the task.*did you mean 'process-max'"),
        ("repo1-sftp-private-key-passphras", "did you mean 'repo1-sftp-private-key-passphrase'"),
    ],
)
def test_an_option_that_is_none_is_named_with_what_was_meant(name: str, said: str) -> None:
    with pytest.raises(AnsibleActionFail, match=f"(?s){said}"):
        Host([], {"options": {name: "geheim"}}).act()
