# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restore.yml once more, after its connection was lost: what the first run has begun is awaited."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, said

LABEL = "20260101-000000F"
DATA = "/var/lib/postgresql/15/main"
ASIDE = f"{DATA}.aside-20260101-000000"
RULES = [said("pg_ctl", rc=3)]


def _play(
    place: Path,
    told: dict[str, t.Any],
    *rules: dict[str, t.Any],
    fails: bool = False,
    **more: t.Any,
) -> Plan:
    variables = {
        "restore_host": "host",
        "postgresql_version": "15",
        "restore_confirm_host": "host",
        "restore_backup": False,
        "restore_timeout": 1,
        **more,
    }
    given = [*rules, {"module": "restore", "result": told}, *RULES]
    return play_book(place, "restore.yml", FACTS, variables, given, fails)


# As the task says it in check mode, and with it what it says when it has the answer.
BEGUN = {
    "changed": True,
    "attached": True,
    "restore": {"label": LABEL, "size": 23},
    "aside": {ASIDE: DATA},
}


def test_it_is_neither_planned_nor_refused(tmp_path: Path) -> None:
    plan = _play(tmp_path, BEGUN, said("pg_is_in_recovery", "ended|0/3000000"))
    assert [args["force"] for args in plan.of("restore")] == [True, True]
    assert "what an earlier run has begun, which goes on or has ended" in plan.output
    assert f"The cluster from before lies in {ASIDE}" in plan.output


@pytest.mark.parametrize(
    ("said_of_it", "arguments"),
    [
        ({}, "stanza=demo state=confirmed"),
        (
            {"pgsftp_stanza": "shop", "pgsftp_config": "/etc/shop.conf"},
            "stanza=shop config=/etc/shop.conf state=confirmed",
        ),
    ],
)
def test_how_the_cluster_from_before_goes_is_told_so_that_it_does(
    tmp_path: Path, said_of_it: dict[str, str], arguments: str
) -> None:
    recovered = said("pg_is_in_recovery", "ended|0/3000000")
    plan = _play(tmp_path, BEGUN, recovered, **said_of_it)
    assert f"-m pgsftp.backup.restore -a '{arguments}' removes it." in plan.output


def test_what_goes_with_it_is_told(tmp_path: Path) -> None:
    """Of two attempts at going back in time the first one has kept what nobody has elsewhere."""
    first = f"{DATA}.aside-20251231-000000"
    found = [{"path": path} for path in (ASIDE, first, f"{first}.mine")]
    aside = {"module": "find", "contains": ".aside-", "result": {"matched": 3, "files": found}}
    plan = _play(tmp_path, BEGUN, aside, said("pg_is_in_recovery", "ended|0/3000000"))
    told = f"The cluster from before lies in {ASIDE}. Earlier restores have kept {first}. When"
    assert told in plan.output
    assert "removes all of it." in plan.output


def test_what_it_has_kept_aside_is_told_when_the_server_does_not_start(tmp_path: Path) -> None:
    # That of the first run was there when this one began.
    aside = {"module": "find", "contains": ".aside-", "result": {"matched": 1}}
    stop = {"module": "systemd_service", "contains": "stopped", "result": {"changed": False}}
    plan = _play(tmp_path, BEGUN, aside, stop, said("is-failed", "failed"), fails=True)
    told = " ".join(plan.output.split())
    assert "The cluster from before lies beside its directory, under the names *.aside-*" in told


@pytest.mark.parametrize("told", [{}, {"changed": True, "attached": False}])
def test_without_a_plan_or_such_a_run_nothing_is_stopped(
    tmp_path: Path, told: dict[str, t.Any]
) -> None:
    plan = _play(tmp_path, told, fails=True)
    assert not plan.of("systemd_service")
    assert "Nothing was changed: there is no backup to restore" in plan.output
