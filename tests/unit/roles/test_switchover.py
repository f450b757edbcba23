# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""switchover.yml: what it does when something breaks between the shutdown and the promotion."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, said

GROUPS = {"postgresql": ["old", "new"], "sftp": ["store"]}
VARIABLES = {
    "switchover_to": "new",
    "replication_password": "x",
    "standby_timeout": 2,
    "pgsftp_repository_passphrase": "x",
}
CONTROL = (
    "Database system identifier:           7",
    "Database cluster state:               shut down",
    "Latest checkpoint location:           0/5000028",
)
SIGNAL = "/data/standby.signal"
ASK = "THEN 'standby' ELSE 'primary'"
KEPT = "/data/postgresql.auto.conf.switchover"


def broken(host: str, module: str, contains: str) -> dict[str, t.Any]:
    """A rule: the connection breaks."""
    return said(contains, module=module, host=host, unreachable=True)


RULES = [
    said("pg_controldata", *CONTROL),
    said("CASE WHEN s.active", "t|"),
    said("pg_wal_lsn_diff", "0"),
    said("system_identifier", "7"),
    said("pg_last_wal_replay_lsn", "t"),
    {"module": "stat", "contains": SIGNAL, "result": {"stat": {"exists": True}}},
    said('"status"', rc=3),
    said(ASK, "primary", host="old"),
    said(ASK, "standby", host="new"),
    said("SELECT pg_is_in_recovery();", "f"),
    {"module": "getent", "result": {}},
]


def _play(place: Path, *rules: dict[str, t.Any], fails: bool = True, **more: t.Any) -> Plan:
    variables = {**VARIABLES, **more}
    return play_book(place, "switchover.yml", FACTS, variables, [*rules, *RULES], fails, GROUPS)


def _told(plan: Plan) -> list[str]:
    """In their order, what changes which server."""
    told = []
    for step in plan:
        if step.module == "systemd_service" and "postgresql" in step.args["name"]:
            told.append(f"{step.args['state']} {step.host}")
        elif step.module == "file" and step.args.get("path") == SIGNAL:
            told.append(f"signal {step.args['state']} {step.host}")
        elif step.module == "command" and "pg_promote" in str(step.args):
            told.append(f"promote {step.host}")
        elif step.module == "command" and step.command.startswith("mv "):
            told.append(f"settings {step.host}")
    return told


BACK = ["settings old", "signal absent old", "started old"]


def test_the_old_primary_is_a_standby_before_the_other_one_is_promoted(tmp_path: Path) -> None:
    plan = _play(tmp_path, fails=False)
    told = _told(plan)
    assert told[:3] == ["stopped old", "signal touch old", "promote new"]
    assert told[-1] == "started old"
    assert "absent" not in str(told)
    kept = [args["path"] for args in plan.of("file") if args.get("path") == KEPT]
    assert kept == [KEPT, KEPT], "removed before the shutdown and after all"


@pytest.mark.parametrize(
    ("known", "slot"), [({}, "new"), ({"new": {"standby_slot": "of_its_own"}}, "of_its_own")]
)
def test_of_the_slots_only_that_of_the_other_one_is_dropped(
    tmp_path: Path, known: dict[str, t.Any], slot: str
) -> None:
    """The third one's has to keep the WAL that it does not have yet."""
    rules = [said("SELECT slot_name", "third"), *RULES]
    plan = play_book(
        tmp_path, "switchover.yml", FACTS, VARIABLES, rules, groups=GROUPS, known=known
    )
    (drop,) = (step for step in plan if step.task.startswith("Drop the slot"))
    assert drop.host == "old"
    assert f"--set=slot={slot}" in drop.args["argv"]
    assert "slot_name = :'slot'" in drop.args["stdin"]
    assert "On old these slots keep WAL until somebody uses or drops them: third." in " ".join(
        plan.output.split()
    )


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({}, "new"),
        ({"standby_application_name": "of its own"}, "of its own"),
        (
            {
                "standby_application_name": "other",
                "pgsftp_primary_conninfo": {"application_name": "n"},
            },
            "n",
        ),
    ],
)
def test_the_standby_is_known_by_the_name_that_it_says(
    tmp_path: Path, known: dict[str, t.Any], name: str
) -> None:
    groups, more = GROUPS, {"new": known, "old": known}
    plan = play_book(tmp_path, "switchover.yml", FACTS, VARIABLES, RULES, groups=groups, known=more)
    asked = [
        step.args
        for step in plan
        if step.task.startswith("Ask the primary how far this standby is")
        or step.task.endswith("Wait until the standby streams and has caught up")
    ]
    names = [name, name if known else "old"]
    for args, wanted in zip(asked, names, strict=True):
        assert f"--set=name={wanted}" in args["argv"]
        assert "application_name = :'name'" in args["stdin"]


def test_a_server_that_cannot_be_promoted_like_that_is_not_shut_down(tmp_path: Path) -> None:
    facts = {**FACTS, "postgresql_cluster": {**FACTS["postgresql_cluster"], "version": "11"}}
    plan = play_book(tmp_path, "switchover.yml", facts, VARIABLES, RULES, True, GROUPS)
    assert "A switchover wants PostgreSQL 12 or newer, and new has 11." in plan.output
    assert _told(plan) == []


@pytest.mark.parametrize("limit", ["new", "new:store"])
def test_without_the_primary_nobody_is_told_that_places_were_changed(
    tmp_path: Path, limit: str
) -> None:
    """With --limit the plays of the primary would find no host, which is no error for Ansible."""
    plan = play_book(
        tmp_path,
        "switchover.yml",
        FACTS,
        VARIABLES,
        RULES,
        fails=True,
        groups=GROUPS,
        arguments=[f"--limit={limit}"],
    )
    assert "switchover_old matches no host that --limit leaves. The primary has" in plan.output
    assert _told(plan) == []
    assert "/etc/pgbackrest.conf" not in plan.files


def test_no_slot_is_left_on_a_standby_that_was_not_promoted(tmp_path: Path) -> None:
    plan = _play(tmp_path, said("pg_last_wal_replay_lsn", unreachable=True))
    assert "promote new" not in _told(plan)
    assert "slot" not in str([step.args for step in plan if step.host == "new"])


@pytest.mark.parametrize(
    "rule",
    [
        broken("old", "command", "pg_controldata"),
        broken("new", "command", "pg_last_wal_replay_lsn"),
        broken("old", "copy", KEPT),
        broken("old", "stat", SIGNAL),
        broken("old", "command", '"status"'),
        said(SIGNAL, module="stat"),
        said('"status"', rc=0),
    ],
)
def test_what_breaks_before_the_promotion_is_undone(tmp_path: Path, rule: dict[str, t.Any]) -> None:
    plan = _play(tmp_path, rule)
    assert _told(plan)[-3:] == BACK
    assert "promote new" not in _told(plan)
    assert "Nothing was changed: old is the primary again." in plan.output


def test_a_shutdown_whose_answer_is_lost_counts_when_it_is_one(tmp_path: Path) -> None:
    rule = broken("old", "systemd_service", '"state": "stopped"')
    assert "promote new" in _told(_play(tmp_path, rule, fails=False))


@pytest.mark.parametrize(
    "rule",
    [
        broken("old", "systemd_service", '"state": "started"'),
        broken("old", "command", "--no-target-directory"),
        broken("old", "file", SIGNAL),
        said('"state": "started"', module="systemd_service", failed=True, msg="no"),
    ],
)
def test_what_cannot_be_undone_is_told(tmp_path: Path, rule: dict[str, t.Any]) -> None:
    plan = _play(tmp_path, rule, said("pg_last_wal_replay_lsn", unreachable=True))
    assert "promote new" not in _told(plan)
    assert "switchover_from=old to go on" in plan.output
    assert "rm -f standby.signal && systemctl restart postgresql@15-main" in plan.output
    assert "is the primary again" not in plan.output


def test_one_that_may_still_be_a_standby_is_never_started_as_a_primary(tmp_path: Path) -> None:
    plan = _play(
        tmp_path, broken("old", "file", SIGNAL), broken("new", "command", "replay_lsn() >")
    )
    assert "started old" not in _told(plan)


def test_the_word_of_a_promotion_may_be_lost(tmp_path: Path) -> None:
    plan = _play(tmp_path, broken("new", "command", "pg_promote"), fails=False)
    assert _told(plan)[-1] == "started old"


def test_after_the_promotion_was_asked_for_nobody_goes_back(tmp_path: Path) -> None:
    plan = _play(tmp_path, broken("new", "command", "SELECT pg_is_in_recovery();"))
    assert _told(plan)[-1] == "promote new"
    assert "new has not said that it is the primary" in plan.output


DOWN = said(ASK, host="old", rc=2)


def test_without_a_primary_it_is_said_how_to_go_on(tmp_path: Path) -> None:
    plan = _play(tmp_path, DOWN)
    assert _told(plan) == []
    assert "say switchover_from=HOST" in plan.output


def test_a_primary_that_is_shut_down_already_is_enough(tmp_path: Path) -> None:
    plan = _play(tmp_path, DOWN, fails=False, switchover_from="old")
    assert _told(plan)[1:3] == ["signal touch old", "promote new"]
    # What the first run has kept stays until all is done.
    assert len([args for args in plan.of("file") if args.get("path") == KEPT]) == 1


@pytest.mark.parametrize("lines", [(CONTROL[0],), CONTROL[1:]])
def test_it_is_of_this_cluster_and_cleanly_shut_down(tmp_path: Path, lines: tuple[str]) -> None:
    plan = _play(tmp_path, DOWN, said("pg_controldata", *lines), switchover_from="old")
    assert _told(plan) == []


def test_of_one_that_was_shut_down_nobody_knows_whether_to_go_back(tmp_path: Path) -> None:
    rule = broken("new", "command", "pg_last_wal_replay_lsn")
    plan = _play(tmp_path, DOWN, rule, switchover_from="old")
    assert _told(plan) == ["stopped old"]
    assert "old stays shut down." in plan.output


def test_another_one_than_the_primary_that_runs_is_refused(tmp_path: Path) -> None:
    assert _told(_play(tmp_path, switchover_from="store")) == []
