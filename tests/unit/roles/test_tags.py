# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role with one of its tags runs that part, also as the first role of a play."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

# No role has asked yet where the cluster lies.
BARE = {name: value for name, value in FACTS.items() if name != "postgresql_cluster"}
VARIABLES: dict[str, t.Any] = {
    "postgresql_version": "15",
    "pgsftp_repository_passphrase": "x",
    "replication_primary": "host",
    "replication_password": "x",
    "standby_primary": "host",
    "standby_rebuild": "needed",
}


def _play(place: Path, role: str, tag: str, streams: str) -> Plan:
    rules = [
        said("pg_stat_replication", streams),
        said("last_archived_wal", "t"),
        said("pg_ctl", rc=3),
        {"module": "restore", "result": {"plan": {"reachable": True}, "aside": {"/old": "/data"}}},
        said("CASE WHEN pg_is_in_recovery()", "standby"),
        exists("/etc/postgresql/15/main/"),
        exists("pgsftp-archiver.service"),
        {"module": "getent", "result": {}},
    ]
    return play(place, [role], BARE, VARIABLES, rules, tags=[tag])


@pytest.mark.parametrize(
    "role, tag, module",
    [
        ("pgsftp", "pgsftp_configure", "copy"),
        ("pgsftp", "pgsftp_archiving", "systemd_service"),
        ("replication", "replication_rules", "blockinfile"),
        ("schedule", "schedule_configure", "copy"),
        ("schedule", "schedule_service", "systemd_service"),
        ("standby", "standby_service", "systemd_service"),
    ],
)
def test_one_tag_is_enough(tmp_path: Path, role: str, tag: str, module: str) -> None:
    assert _play(tmp_path, role, tag, "t|").of(module)


def test_a_standby_is_restored(tmp_path: Path) -> None:
    plan = _play(tmp_path, "standby", "standby_restore", "f|")
    assert [args.get("state") for args in plan.of("restore")] == [None, None, "confirmed"]
    assert [args["state"] for args in plan.of("systemd_service")] == ["stopped"]


def test_the_service_of_a_standby_is_no_restore(tmp_path: Path) -> None:
    plan = _play(tmp_path, "standby", "standby_service", "t|")
    assert not plan.of("restore")
    assert [args["state"] for args in plan.of("systemd_service")] == ["started"]
