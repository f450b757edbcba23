# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ``standby`` stops, and what it asks a second word for."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

SILENT = said("pg_is_in_recovery", rc=2)
RUNS = said("pg_ctl", rc=0)
NONE = said("pg_ctl", rc=3)


def _play(place: Path, *rules: dict[str, t.Any], fails: bool = False, confirm: str = "") -> Plan:
    variables = {
        "standby_primary": "other",
        "standby_rebuild": "needed",
        "standby_confirm_host": confirm,
    }
    return play(place, ["standby/allowed", "standby/stop"], FACTS, variables, list(rules), fails)


@pytest.mark.parametrize(
    "rules, text",
    [
        ([said("pg_is_in_recovery", "primary")], "host runs as a primary. To make it a standby of"),
        ([SILENT, RUNS], "host runs, does not say whether as a primary, and may be one."),
    ],
)
def test_what_may_be_a_primary_is_not_stopped(
    tmp_path: Path, rules: list[dict[str, t.Any]], text: str
) -> None:
    plan = _play(tmp_path, *rules, fails=True)
    assert not plan.of("systemd_service")
    assert text in " ".join(plan.output.split())


def test_with_a_second_word_it_is(tmp_path: Path) -> None:
    plan = _play(tmp_path, said("pg_is_in_recovery", "primary"), NONE, confirm="host")
    assert [args["state"] for args in plan.of("systemd_service")] == ["stopped"]


@pytest.mark.parametrize("rule", [said("pg_is_in_recovery", "standby"), SILENT])
def test_a_standby_and_what_does_not_run_want_none(tmp_path: Path, rule: dict[str, t.Any]) -> None:
    found = {"module": "find", "result": {"matched": 1}}
    plan = _play(tmp_path, rule, NONE, found)
    assert [args["state"] for args in plan.of("systemd_service")] == ["stopped"]


def test_a_standby_that_never_came_far_enough_to_answer_wants_none(tmp_path: Path) -> None:
    plan = _play(tmp_path, SILENT, said("status", rc=0), exists("standby.signal"), fails=True)
    assert [args["state"] for args in plan.of("systemd_service")] == ["stopped"]
    # In this play its server runs on.
    assert "Ask whether a server runs in the data directory" in plan.output


def test_where_nothing_is_installed_nothing_is_stopped(tmp_path: Path) -> None:
    plan = _play(tmp_path, said("psql", rc=1), said("pg_ctl", rc=4))
    assert not plan.of("systemd_service")
