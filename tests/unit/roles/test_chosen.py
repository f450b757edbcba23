# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that run where a variable says: without such a host they fail, and say what to do."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS

GROUPS = {
    "postgresql": ["pg1", "pg2"],
    "primary": ["pg1"],
    "standby": ["pg2"],
    "sftp": ["store"],
}
BOOKS = {
    "backup": "backup_hosts",
    "drill": "drill_host",
    "expire": "expire_host",
    "pitr": "restore_host",
    "restore": "restore_host",
    "standby": "standby_host",
    "switchover": "switchover_to",
    "verify": "verify_host",
}


def _fails(place: Path, name: str, *arguments: str, **variables: t.Any) -> str:
    """What a playbook says that does nothing but fail."""
    groups = variables.pop("groups", GROUPS)
    plan = play_book(
        place, f"{name}.yml", FACTS, variables, fails=True, groups=groups, arguments=arguments
    )
    assert plan == []
    return plan.output


@pytest.mark.parametrize(("name", "variable"), BOOKS.items())
def test_a_host_that_is_not_there_is_no_success(tmp_path: Path, name: str, variable: str) -> None:
    output = _fails(tmp_path, name, **{variable: "pg1v"})
    assert "pg1v matches no host of the inventory" in output
    assert variable in output.partition("of the inventory. ")[2]


@pytest.mark.parametrize("name", [name for name in BOOKS if name != "backup"])
def test_several_hosts_are_not_one(tmp_path: Path, name: str) -> None:
    output = _fails(tmp_path, name, **{BOOKS[name]: "postgresql"})
    assert f"several hosts, pg1, pg2. {BOOKS[name]} names one of pg1, pg2." in output


def test_without_a_standby_it_is_said_how_a_backup_is_taken(tmp_path: Path) -> None:
    output = _fails(tmp_path, "backup", groups={**GROUPS, "standby": []})
    assert "standby[0] matches no host of the inventory." in output
    assert "wants backup_hosts=primary" in output


def test_one_has_to_say_who_becomes_the_primary(tmp_path: Path) -> None:
    assert "switchover_to names one of pg1, pg2." in _fails(tmp_path, "switchover")


def test_a_limit_that_leaves_nothing_is_no_success(tmp_path: Path) -> None:
    output = _fails(tmp_path, "verify", "--limit=pg1")
    assert "postgresql[-1] matches no host that --limit leaves." in output


def _verifies(place: Path, *arguments: str, **variables: t.Any) -> list[str]:
    plan: Plan = play_book(
        place, "verify.yml", FACTS, variables, groups=GROUPS, arguments=arguments
    )
    return [step.host for step in plan if step.module == "verify"]


def test_a_limit_to_the_host_does_not_matter(tmp_path: Path) -> None:
    assert _verifies(tmp_path, "--limit=pg2") == ["pg2"]


def test_a_limit_makes_one_of_several(tmp_path: Path) -> None:
    assert _verifies(tmp_path, "--limit=pg1", verify_host="postgresql") == ["pg1"]


def test_patterns_may_be_a_list(tmp_path: Path) -> None:
    assert _verifies(tmp_path, verify_host=["postgresql", "!pg1"]) == ["pg2"]
