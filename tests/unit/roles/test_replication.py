# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account and the slots of the replication: made by whoever may become root and nobody else."""

from __future__ import annotations

import base64
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.filter.scram_verifier import scram_verifier
from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

TOP = Path(__file__).resolve().parents[3]
PASSWORD = "geheim-0815"
VERIFIER = scram_verifier(PASSWORD)


def _play(
    place: Path, *rules: dict[str, t.Any], known: dict[str, t.Any] | None = None, **more: t.Any
) -> Plan:
    variables = {
        "replication_password": PASSWORD,
        "replication_primary": "host",
        "replication_standbys": ["host", "pg-2.Example"],
        "replication_addresses": {"pg-2.Example": "192.0.2.2"},
    }
    plan = play(place, ["replication"], {**FACTS, **(known or {})}, {**variables, **more}, [*rules])
    assert PASSWORD not in plan.output and "SCRAM-SHA-256" not in plan.output
    return plan


def test_the_account_and_the_slots_are_made_over_the_socket(tmp_path: Path) -> None:
    plan = _play(tmp_path)
    (account,) = plan.of("postgresql_user")
    assert scram_verifier(PASSWORD, account["password"]) == account["password"]
    assert [args["name"] for args in plan.of("postgresql_slot")] == ["host", "pg_2_example"]
    for args in (account, *plan.of("postgresql_slot"), *plan.of("postgresql_query")):
        assert args["login_unix_socket"].endswith("/run/postgresql")
        assert args["login_user"] == "postgres"
        assert "log_statement=none" in args["connect_params"]["options"]


def test_a_verifier_of_the_same_password_stays(tmp_path: Path) -> None:
    answer = {"query_result": [{"rolpassword": VERIFIER}]}
    plan = _play(tmp_path, {"module": "postgresql_query", "contains": "", "result": answer})
    (account,) = plan.of("postgresql_user")
    assert account["password"] == VERIFIER


def test_without_slots_none_is_made(tmp_path: Path) -> None:
    assert not _play(tmp_path, replication_slots=False).of("postgresql_slot")


@pytest.mark.parametrize(
    ("slot", "made"), [("mine", ["mine", "pg_2_example"]), ("", ["pg_2_example"])]
)
def test_a_slot_has_the_name_that_its_standby_asks_for(
    tmp_path: Path, slot: str, made: list[str]
) -> None:
    """Nobody would use another one; without a name it has none."""
    plan = _play(tmp_path, known={"standby_slot": slot})
    assert [args["name"] for args in plan.of("postgresql_slot")] == made


def test_nobody_becomes_anybody_but_root() -> None:
    for part in ("roles", "playbooks"):
        for path in (TOP / part).rglob("*.yml"):
            assert "become_user" not in path.read_text(encoding="utf-8"), path


BLOCK = "# BEGIN pgsftp.backup.replication\n{}# END pgsftp.backup.replication\n"
RULE = "host replication replic_user {} scram-sha-256\n"


def _rules(place: Path, hba: str) -> str:
    """What is written on a host whose primary does not answer any more."""
    known = {key: value for key, value in FACTS.items() if key != "default_ipv4"}
    content = base64.b64encode(hba.encode()).decode()
    address = {"ansible_default_ipv4": {"address": "192.0.2.3"}}
    rules = [
        {"module": "setup", "host": "lost", "result": {"unreachable": True}},
        {"module": "setup", "result": {"ansible_facts": address}},
        {"module": "slurp", "contains": "pg_hba.conf", "result": {"content": content}},
        said("THEN 'standby' ELSE", host="lost", unreachable=True),
        said("THEN 'standby' ELSE", "primary", host="new"),
        said("CASE WHEN s.active", "t|"),
        exists("pg_hba.conf"),
    ]
    variables = {
        "postgresql_version": "15",
        "replication_password": PASSWORD,
        "pgsftp_repository_passphrase": "x",
        "standby_host": "host",
    }
    groups = {"postgresql": ["host", "lost", "new"]}
    plan = play_book(place, "standby.yml", known, variables, rules, groups=groups)
    (block,) = plan.of("blockinfile")
    return str(block["block"]) + "\n"


def test_a_host_that_is_lost_keeps_no_other_one_from_going_on(tmp_path: Path) -> None:
    assert _rules(tmp_path, "local all all peer\n") == RULE.format("192.0.2.3/32") * 2


def test_a_host_that_is_lost_is_let_in_as_before(tmp_path: Path) -> None:
    before = RULE.format("192.0.2.9/32") + RULE.format("192.0.2.3/32")
    hba = RULE.format("10.0.0.0/8") + BLOCK.format(before) + RULE.format("10.1.0.0/16")
    written = _rules(tmp_path, hba)
    assert set(written.splitlines(keepends=True)) == set(before.splitlines(keepends=True))
    assert _rules(tmp_path, BLOCK.format(written)) == written, "once"


# Of this cluster, by hand or by an earlier version, and of another one, which counts it by itself.
OURS = ["*:*", "pg-2.Example:5432", "host:*", "10.0.0.1:5432"]
OTHERS = ["other:5432", "hostile:5432", "pg-2xExample:*"]


def test_the_password_of_another_cluster_stays(tmp_path: Path) -> None:
    plan = _play(tmp_path, exists('"/var/lib/postgresql"'), pgsftp_primary_host="10.0.0.1")
    (line,) = plan.of("lineinfile")

    def found(places: list[str]) -> list[str]:
        return [
            place
            for place in places
            if re.search(line["regexp"], f"{place}:replication:replic_user:geheim")
        ]

    assert found(OURS) == OURS
    assert found(OTHERS) == []
    assert re.search(line["regexp"], line["line"])
