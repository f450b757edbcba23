# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ``standby`` knows before it stops a server, and which standby it leaves alone."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

FORESEEN = {"plan": {"label": "20260101-000000F", "reachable": True}, "directory": "standby"}
RESTORE = {"module": "restore", "result": FORESEEN}
ASKS_FOR_LAG = "<="
ASIDE = "/data.aside-20260101-000000"
RULES = [
    said("pg_is_in_recovery", "standby"),
    said("last_archived_wal", "t"),
    said("pg_ctl", rc=3),
]


def _play(place: Path, *rules: dict[str, t.Any], fails: bool = False, **more: t.Any) -> Plan:
    variables = {
        "standby_primary": "other",
        "standby_rebuild": "needed",
        "standby_timeout": 1,
        **more,
    }
    return play(place, ["standby"], FACTS, variables, [*rules, *RULES], fails)


def _stopped(plan: Plan) -> list[int]:
    """At which places a server is stopped."""
    return [number for number, step in enumerate(plan) if step.args.get("state") == "stopped"]


def test_a_standby_that_streams_is_left_alone_however_far_it_is_behind(tmp_path: Path) -> None:
    behind = "streaming, slot active, 20000000 bytes behind"
    asked = said(ASKS_FOR_LAG, f"f|{behind}")
    plan = _play(tmp_path, asked, said("pg_stat_replication", f"t|{behind}"), fails=True)
    assert not plan.of("restore")
    assert not _stopped(plan)
    # It was waited for, all the same.
    assert behind in plan.output
    asked_for = [step.args["stdin"] for step in plan if "pg_stat_replication" in str(step.args)]
    assert all(text.count("bytes behind") == 1 for text in asked_for)


def test_a_rebuild_is_foreseen_while_the_old_one_runs(tmp_path: Path) -> None:
    asked = [said(ASKS_FOR_LAG, "t|"), said("pg_stat_replication", "f|")]
    plan = _play(tmp_path, *asked, RESTORE)
    (stopped,) = _stopped(plan)
    restores = [number for number, step in enumerate(plan) if step.module == "restore"]
    archived = [number for number, step in enumerate(plan) if "last_archived_wal" in str(step.args)]
    assert archived < [stopped] < restores[1:]
    assert archived < restores[:1] < [stopped]


@pytest.mark.parametrize(
    "rule",
    [
        said("last_archived_wal", "f"),
        {"module": "restore", "result": {"failed": True, "msg": "no repository"}},
        # There is no backup yet.
        {"module": "restore", "result": {}},
        {
            "module": "restore",
            "result": {**FORESEEN, "plan": {"reachable": False, "obstacle": "a gap"}},
        },
    ],
)
def test_what_cannot_be_rebuilt_runs_on(tmp_path: Path, rule: dict[str, t.Any]) -> None:
    there = [exists("pg_control"), said("is-active", "active")]
    plan = _play(tmp_path, rule, said("pg_stat_replication", "f|"), *there, RESTORE, fails=True)
    assert not _stopped(plan)
    told = "What the data directory of host held is in its place. Its server runs."
    assert told in " ".join(plan.output.split())


def test_a_restore_that_an_earlier_run_has_begun_is_not_planned_once_more(tmp_path: Path) -> None:
    result = {"changed": True, "attached": True, "aside": {ASIDE: "/data"}}
    begun = {"module": "restore", "result": result}
    plan = _play(tmp_path, said(ASKS_FOR_LAG, "t|"), said("pg_stat_replication", "f|"), begun)
    assert [args.get("state", "restored") for args in plan.of("restore")] == [
        "restored",
        "restored",
        "confirmed",
    ]
    assert [args["state"] for args in plan.of("systemd_service")] == ["stopped", "started"]


@pytest.mark.parametrize(
    ("result", "removed"),
    [
        ({"aside": {ASIDE: "/data"}, "directory": "standby"}, ["newest"]),
        # What lies there may be of the restore that broke off, or of any before it.
        ({"aside": {}, "directory": "interrupted"}, []),
        ({"aside": {}, "directory": "empty"}, []),
    ],
)
def test_what_an_earlier_restore_has_kept_stays(
    tmp_path: Path, result: dict[str, t.Any], removed: list[str]
) -> None:
    asked = [said(ASKS_FOR_LAG, "t|"), said("pg_stat_replication", "f|")]
    rule = {"module": "restore", "result": {"changed": True, **FORESEEN, **result}}
    plan = _play(tmp_path, *asked, rule)
    confirmed = [args for args in plan.of("restore") if args.get("state") == "confirmed"]
    assert [args["kept"] for args in confirmed] == removed


def test_what_a_run_that_was_interrupted_has_kept_is_told(tmp_path: Path) -> None:
    """After it the standby streams, and there is nothing to do."""
    found = {"matched": 1, "files": [{"path": ASIDE}]}
    aside = {"module": "find", "contains": "aside", "result": found}
    plan = _play(tmp_path, said("pg_stat_replication", "t|streaming"), aside)
    assert not plan.of("restore")
    assert f"host keeps {ASIDE} from before." in plan.output
    assert "-m pgsftp.backup.restore -a 'stanza=demo state=confirmed' removes" in plan.output


def test_a_primary_is_refused_before_anything_else(tmp_path: Path) -> None:
    rules = [said("pg_is_in_recovery", "primary"), said("pg_stat_replication", "f|"), RESTORE]
    plan = _play(tmp_path, *rules, fails=True)
    assert not [words for step in plan for words in [str(step.args)] if "pg_switch_wal" in words]
    assert not plan.of("restore", "systemd_service")


@pytest.mark.parametrize(("version", "asked"), [("12", False), ("13", True), ("17", True)])
def test_a_server_is_asked_of_its_slot_what_its_version_knows(
    tmp_path: Path, version: str, asked: bool
) -> None:
    facts = {**FACTS, "postgresql_cluster": {**FACTS["postgresql_cluster"], "version": version}}
    variables = {"standby_primary": "other", "standby_timeout": 1}
    rules = [said("pg_stat_replication", "t|")]
    plan = play(tmp_path, ["standby"], facts, variables, rules)
    (slot,) = (step for step in plan if step.task.endswith("Have the slot on the primary"))
    assert ("wal_status" in slot.args["stdin"]) == asked
    assert "pg_create_physical_replication_slot(:'slot')" in slot.args["stdin"]
