# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ``standby`` leaves when it fails: what runs, what lies where, and what it says."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import CLUSTER, FACTS, exists, said

FORESEEN = {"plan": {"label": "20260101-000000F", "reachable": True}, "directory": "standby"}
WHOLE = exists("pg_control")
DOWN = said("is-active", "inactive")
UP = said("is-active", "active")
ASIDE = "/data.aside-20260101-000000"
KEPT = {"module": "find", "contains": ".aside-", "result": {"files": [{"path": ASIDE}]}}
FAILED = {"failed": True, "msg": "no repository"}
# The one that is asked for in check mode comes first, and is told apart by nothing but that.
STANDBY = said("pg_is_in_recovery", "standby")
PRIMARY = said("pg_is_in_recovery", "primary")
STOPS = {"module": "systemd_service", "contains": "stopped", "result": {"state": "stopped"}}
STARTS = {"module": "systemd_service", "contains": "started", "result": {"state": "started"}}
NOT = {"module": "systemd_service", "contains": "started", "result": {**FAILED, "msg": "no disk"}}


def _play(place: Path, *rules: dict[str, t.Any], confirm: str = "", fails: str = "pg_ctl") -> Plan:
    """A rebuild that fails after the server was stopped, since another one runs there, or after
    the restore.
    """
    variables = {
        "standby_primary": "other",
        "standby_rebuild": "needed",
        "standby_confirm_host": confirm,
        "standby_timeout": 1,
    }
    asked = [
        said("pg_stat_replication", "f|"),
        said("last_archived_wal", "t"),
        said("pg_ctl", rc=0 if fails == "pg_ctl" else 3),
        {"module": "restore", "result": FORESEEN},
    ]
    return play(place, ["standby"], FACTS, variables, [*rules, *asked, STOPS], fails=True)


def _states(plan: Plan) -> list[str]:
    """What is asked of the server's service, in turn."""
    return [
        args["state"]
        for args in plan.of("systemd_service")
        if args.get("name") == CLUSTER["service"]
    ]


def _told(plan: Plan) -> str:
    return " ".join(plan.output.split())


def test_a_standby_that_is_whole_runs_again(tmp_path: Path) -> None:
    plan = _play(tmp_path, STANDBY, WHOLE, DOWN, STARTS)
    assert _states(plan) == ["stopped", "started"]
    assert "What the data directory of host held is in its place." in _told(plan)
    assert "Its server, which was stopped, runs again." in _told(plan)
    assert "Ask whether a server runs in the data directory:" in _told(plan)


def test_one_that_does_not_start_is_said_to_be_down(tmp_path: Path) -> None:
    plan = _play(tmp_path, STANDBY, WHOLE, DOWN, NOT)
    assert "Its server cannot be started again: no disk." in _told(plan)


@pytest.mark.parametrize("role", [PRIMARY, said("pg_is_in_recovery", rc=2)])
def test_what_may_have_been_a_primary_stays_down(tmp_path: Path, role: dict[str, t.Any]) -> None:
    """Beside the one that it was to follow it would go its own way once more."""
    runs = said("status", rc=0)
    plan = _play(tmp_path, role, runs, WHOLE, DOWN, STARTS, confirm="host")
    assert _states(plan) == ["stopped"]
    assert "Its server was a primary, or may have been one, and stays stopped." in _told(plan)


def test_what_is_aside_is_named_and_how_it_comes_back(tmp_path: Path) -> None:
    plan = _play(tmp_path, STANDBY, DOWN, KEPT, STARTS)
    assert _states(plan) == ["stopped"]
    assert "The data directory of host holds nothing that could be started: run this" in _told(plan)
    assert f"No server runs there. Kept aside: {ASIDE}. With state=reverted" in _told(plan)


def test_where_nothing_was_stopped_nothing_is_started(tmp_path: Path) -> None:
    refused = {"module": "restore", "result": FAILED}
    plan = _play(tmp_path, STANDBY, WHOLE, UP, KEPT, refused)
    assert _states(plan) == []
    told = _told(plan)
    assert "Ask what a restore would do: no repository" in told
    assert f"held is in its place. Its server runs. Kept aside: {ASIDE}." in told
    assert "state=reverted" not in told


def test_a_new_one_that_does_not_stream_is_left_to_who_looks(tmp_path: Path) -> None:
    restored = {"changed": True, **FORESEEN, "aside": {ASIDE: "/data"}}
    plan = _play(
        tmp_path,
        STANDBY,
        {"module": "restore", "result": restored},
        WHOLE,
        UP,
        STARTS,
        fails="stream",
    )
    assert _states(plan) == ["stopped", "started"]
    told = _told(plan)
    assert "The data directory of host holds the new standby. Its server runs." in told
    assert f"Kept aside: {ASIDE}. With state=reverted" in told


def test_one_that_is_only_built_where_nothing_is(tmp_path: Path) -> None:
    """Nothing was stopped, and nobody has asked what runs."""
    rules = [{"module": "restore", "result": FAILED}, DOWN]
    variables = {"standby_primary": "other", "standby_timeout": 1}
    told = _told(play(tmp_path, ["standby"], FACTS, variables, rules, fails=True))
    assert "no repository" in told
    assert "holds nothing that could be started" in told
    assert "No server runs there." in told


@pytest.mark.parametrize(
    ("exists", "owner", "made"), [(0, "root", 1), (0, "postgres", 0), (1, "root", 0)]
)
def test_the_place_of_one_that_was_lost_is_made_where_only_root_could(
    tmp_path: Path, exists: int, owner: str, made: int
) -> None:
    rules = [
        {"module": "stat", "contains": '"/data"', "result": {"stat": {"exists": bool(exists)}}},
        {"module": "stat", "contains": '"/"', "result": {"stat": {"pw_name": owner}}},
        said("pg_stat_replication", "t|"),
        said("pg_create_physical", ""),
    ]
    variables = {"standby_primary": "other", "standby_timeout": 1}
    plan = play(tmp_path, ["standby"], FACTS, variables, rules)
    places = [args for args in plan.of("file") if args.get("path") == "/data"]
    assert len(places) == made
    if made:
        assert (places[0]["state"], places[0]["owner"], places[0]["mode"]) == (
            "directory", "postgres", "0700",
        )  # fmt: skip
