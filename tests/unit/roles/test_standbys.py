# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with two standbys: its stanza has one backup at a time."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS

GROUPS = {
    "postgresql": ["pg1", "pg2", "pg3"],
    "primary": ["pg1"],
    "standby": ["pg2", "pg3"],
    "sftp": ["store"],
}
VARIABLES = {
    "postgresql_version": "15",
    "pgsftp_repository_passphrase": "x",
    "replication_password": "x",
    "ssh_keys_sftp_passphrase": "x",
    "standby_primary": "pg1",
}


def _play(place: Path, name: str, *arguments: str, **variables: t.Any) -> Plan:
    given = {**VARIABLES, **variables}
    return play_book(place, name, FACTS, given, groups=GROUPS, arguments=arguments)


def _backups(plan: Plan) -> list[str]:
    return [step.host for step in plan if step.module == "backup"]


def test_site_has_them_take_theirs_one_after_the_other(tmp_path: Path) -> None:
    plan = _play(tmp_path, "site.yml", "--tags=backup")
    assert _backups(plan) == ["pg1", "pg2", "pg3"]
    last = plan.output.partition("PLAY [Take a backup from the standby]")[2]
    # Each in a play of its own: what the first has taken is young enough for the second.
    assert last.count("TASK [Take a full backup from the standby]") == 2
    assert [args.get("max_age") for args in plan.of("backup")] == [None, "8d", "8d"]


@pytest.mark.parametrize(
    ("said", "hosts"),
    [
        ({}, ["pg2"]),
        ({"backup_hosts": "standby[1]"}, ["pg3"]),
        ({"backup_hosts": "primary"}, ["pg1"]),
    ],
)
def test_a_backup_is_taken_from_one(
    tmp_path: Path, said: dict[str, t.Any], hosts: list[str]
) -> None:
    assert _backups(_play(tmp_path, "backup.yml", **said)) == hosts


@pytest.mark.parametrize(("hosts", "standby"), [("primary", "n"), ("pg1", "n"), ("pg2", None)])
def test_from_the_primary_is_from_no_standby(
    tmp_path: Path, hosts: str, standby: str | None
) -> None:
    """One that was promoted has the configuration of a standby still, and there may be none."""
    (args,) = _play(tmp_path, "backup.yml", backup_hosts=hosts).of("backup")
    assert args["options"].get("backup-standby") == standby
