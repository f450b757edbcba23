# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stanza is made, follows its cluster to another version, and is removed."""

from __future__ import annotations

import contextlib
import os
import pwd
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import (
    stanza as stanza_create,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import stanza_upgrade
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    DbConnectError,
    DbMismatchError,
    EngineError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.control import (
    ControlData,
)
from ansible_collections.pgsftp.backup.plugins.modules import stanza
from ansible_collections.pgsftp.backup.tests.support.control import control_of
from ansible_collections.pgsftp.backup.tests.support.two_nodes import make_control

OLD, NEW = ("15", 7575628193218412370), ("17", 7575628193218412371)


class Host:
    """A host with a configuration, whose cluster is what ``cluster`` says."""

    def __init__(self, root: Path, fake_module: t.Any, answer_of: t.Any) -> None:
        self.root = root
        self.cluster = OLD
        self.unreadable: EngineError | None = None
        self._fake, self._answer_of = fake_module, answer_of
        for name in ("data", "repo", "repo2"):
            (root / name).mkdir()
        self.config = root / "pgbackrest.conf"
        self.config.write_text(
            f"[global]\nrepo1-path={root}/repo\nlock-path={root}/lock\nlog-path={root}\n"
            f"[demo]\npg1-path={root}/data\n",
            encoding="utf-8",
        )

    def __call__(self, state: str, *, check: bool = False, **parameters: t.Any) -> t.Any:
        self._fake.check_mode = check
        self._fake.params = {
            "stanza": "demo",
            "state": state,
            "config": str(self.config),
            "options": {},
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            **parameters,
        }
        return self._answer_of(stanza.main)

    def done(self, state: str, **parameters: t.Any) -> dict[str, t.Any]:
        answer = self(state, **parameters)
        assert not answer.failed, answer.result
        return t.cast("dict[str, t.Any]", answer.result)

    def stop(self) -> Path:
        (self.root / "lock").mkdir(exist_ok=True)
        path = self.root / "lock" / "demo.stop"
        path.touch()
        return path

    @property
    def files(self) -> list[str]:
        return sorted(str(path) for path in self.root.glob("repo*/**/*") if path.is_file())

    @contextlib.contextmanager
    def control(self, options: t.Any, claim: t.Any) -> t.Iterator[ControlData]:
        if self.unreadable is not None:
            raise self.unreadable
        version, system_id = self.cluster
        yield control_of(version=version, system_id=system_id)


@pytest.fixture
def host(
    tmp_path: Path, fake_module: t.Any, answer_of: t.Any, monkeypatch: pytest.MonkeyPatch
) -> Host:
    made = Host(tmp_path, fake_module, answer_of)
    for command in (stanza_create, stanza_upgrade):
        monkeypatch.setattr(command, "cluster_control", made.control)
    return made


def _facts(cluster: tuple[str, int]) -> dict[str, str]:
    return {"version": cluster[0], "system_id": str(cluster[1])}


def test_it_is_made_once(host: Host) -> None:
    foreseen = host.done("present", check=True)
    assert host.files == []
    made = host.done("present")
    assert made["diff"] == foreseen["diff"]
    assert (made["changed"], made["created"]) == (foreseen["changed"], foreseen["created"])
    assert made["created"] == [1]
    assert {key: made[key] for key in ("version", "system_id")} == _facts(OLD)
    again = host.done("present")
    assert not again["changed"] and again["created"] == []


@pytest.mark.parametrize("check", [True, False])
def test_one_of_another_cluster_is_refused(host: Host, check: bool) -> None:
    host.done("present")
    host.cluster = NEW
    answer = host("present", check=check)
    assert answer.result["code"] == 28
    assert "is of another cluster" in answer.result["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_nothing_is_made_where_a_stop_file_is(host: Host, check: bool) -> None:
    host.stop()
    answer = host("present", check=check)
    assert (answer.result["code"], answer.result["failure"]["type"]) == (62, "StopError")


@pytest.mark.parametrize("gone", ["backup.info*", "archive.info.copy", "backup.info"])
def test_what_is_missing_is_foretold(host: Host, gone: str) -> None:
    host.done("present")
    for path in host.root.glob(f"repo/*/demo/{gone}"):
        path.unlink()
    left = host.files
    foreseen = host.done("present", check=True)
    assert host.files == left
    made = host.done("present")
    assert (foreseen["changed"], foreseen["created"]) == (made["changed"], made["created"])
    assert (made["created"], foreseen["diff"]) == ([1], made["diff"])


@pytest.mark.parametrize("check", [True, False])
def test_what_is_in_its_place_is_refused(host: Host, check: bool) -> None:
    (host.root / "repo/archive/demo/15-1").mkdir(parents=True)
    assert host("present", check=check).result["failure"]["type"] == "PathNotEmptyError"


def test_a_cluster_that_is_not_there_yet_is_only_a_warning(host: Host, fake_module: t.Any) -> None:
    """A play in check mode has not made it."""
    host.unreadable = DbConnectError("no server")
    assert host.done("present", check=True)["created"] == [1]
    assert "not compared with a running cluster: no server" in fake_module.warnings[-1]
    assert host("present").result["failure"]["type"] == "DbConnectError"
    host.unreadable = None
    host.done("present")
    host.unreadable = DbConnectError("no server")
    assert host.done("present", check=True)["created"] == []


@pytest.mark.parametrize(("cluster", "code"), [(("15", 7), None), (OLD, 28)])
def test_a_server_that_is_stopped_has_a_control_file(
    host: Host, cluster: tuple[str, int], code: int | None
) -> None:
    host.cluster = cluster
    host.done("present")
    (host.root / "data/global").mkdir()
    make_control(host.root / "data")
    host.unreadable = DbConnectError("no server")
    answer = host("present", check=True)
    assert (answer.failed, answer.result.get("code")) == (code is not None, code)
    assert not answer.result.get("changed")


def test_a_cluster_that_is_not_what_it_should_be_is_refused(host: Host) -> None:
    host.unreadable = DbMismatchError("the server runs elsewhere")
    assert host("present", check=True).result["failure"]["type"] == "DbMismatchError"


def test_it_follows_its_cluster_to_another_version_once(host: Host) -> None:
    host.done("present")
    assert host.done("upgraded")["upgraded"] == []
    host.cluster = NEW
    before = host.files, [Path(path).read_bytes() for path in host.files]
    foreseen = host.done("upgraded", check=True)
    assert before == (host.files, [Path(path).read_bytes() for path in host.files])
    done = host.done("upgraded")
    assert done == foreseen
    assert done == {
        "changed": True,
        "upgraded": [1],
        **_facts(NEW),
        "diff": {
            "before": {"stanza": "demo", "repo1": _facts(OLD)},
            "after": {"stanza": "demo", "repo1": _facts(NEW)},
        },
    }
    for check in (True, False):
        again = host.done("upgraded", check=check)
        assert (again["changed"], again["upgraded"]) == (False, [])
        assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]


@pytest.mark.parametrize("check", [True, False])
def test_what_is_not_there_is_not_upgraded(host: Host, check: bool) -> None:
    answer = host("upgraded", check=check)
    assert answer.failed
    assert answer.result["code"] == 55
    host.done("present")
    host.stop()
    host.cluster = NEW
    assert host("upgraded", check=check).result["failure"]["type"] == "StopError"


def test_it_is_removed_once(host: Host) -> None:
    host.done("present")
    (host.root / "repo/backup/demo/20261122-193512F").mkdir()
    stop = host.stop()
    confirmed = {"confirm_stanza": "demo"}
    before = host.files
    foreseen = host.done("absent", check=True, **confirmed)
    assert host.files == before and stop.exists()
    done = host.done("absent", **confirmed)
    assert done == foreseen
    assert done == {
        "changed": True,
        "deleted": [1],
        "backups": ["20261122-193512F"],
        "diff": {
            "before": {"stanza": "demo", "repo1": {"backups": ["20261122-193512F"]}},
            "after": {"stanza": "demo", "repo1": None},
        },
    }
    assert host.files == [] and not stop.exists()
    for check in (True, False):
        again = host.done("absent", check=check, **confirmed)
        assert (again["changed"], again["deleted"], again["backups"]) == (False, [], [])
        assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("confirmed", [None, "other", ""])
def test_it_is_not_removed_unless_its_name_is_said_twice(
    host: Host, confirmed: str | None, check: bool
) -> None:
    host.done("present")
    host.stop()
    before = host.files
    answer = host("absent", check=check, confirm_stanza=confirmed)
    assert answer.failed
    assert "stanza 'demo' is not removed: confirm_stanza" in answer.result["msg"]
    assert answer.result["failure"]["type"] == "OptionInvalidError"
    assert host.files == before


def test_it_is_not_removed_while_it_is_used(host: Host, fake_module: t.Any) -> None:
    """In check mode this is only a warning, since a play would stop both before."""
    host.done("present")
    before = host.files
    confirmed = {"confirm_stanza": "demo"}
    assert host("absent", **confirmed).result["failure"]["type"] == "FileMissingError"
    host.stop()
    (host.root / "data/postmaster.pid").touch()
    assert host("absent", **confirmed).result["failure"]["type"] == "PostgresRunningError"
    assert host.files == before
    assert host.done("absent", check=True, **confirmed)["deleted"] == [1]
    assert "PostgreSQL is running" in fake_module.warnings[-1]
    assert host.done("absent", options={"force": True}, **confirmed)["deleted"] == [1]


def test_it_is_removed_from_one_repository_at_a_time(host: Host) -> None:
    with host.config.open("a", encoding="utf-8") as file:
        file.write(f"[global]\nrepo2-path={host.root}/repo2\n")
    assert host.done("present")["created"] == [1, 2]
    host.stop()
    for check in (True, False):
        answer = host("absent", check=check, confirm_stanza="demo")
        assert "requires option: repo" in answer.result["msg"]
    done = host.done("absent", confirm_stanza="demo", options={"repo": 2})
    assert done["deleted"] == [2]
    assert host.files and all("/repo/" in path for path in host.files)
