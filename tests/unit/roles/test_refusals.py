# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role cannot go on with: one message with cause and way out, and nothing half done."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

READS = {"stat", "find", "command", "setup", "getent", "slurp"}


def _changes(plan: Plan) -> list[str]:
    return [step.module for step in plan if step.module not in READS]


def _there(**stat: t.Any) -> list[dict[str, t.Any]]:
    found = {"stat": {"exists": True, "islnk": False, "isdir": False, **stat}}
    return [{"module": "stat", "contains": '"/backup_space"', "result": found}]


def test_a_directory_in_the_place_of_the_link_is_left_alone(tmp_path: Path) -> None:
    plan = play(tmp_path, ["sftp_server"], FACTS, {}, _there(isdir=True), fails=True)
    assert "/backup_space exists already and is no link" in plan.output
    assert "sftp_server_repository_link=false" in plan.output
    assert _changes(plan) == []


def test_without_a_link_a_directory_does_not_matter(tmp_path: Path) -> None:
    variables = {"sftp_server_repository_link": False}
    plan = play(tmp_path, ["sftp_server"], FACTS, variables, _there(isdir=True))
    assert not [args for args in plan.of("file") if args["state"] == "link"]


def test_the_link_of_an_earlier_run_is_none(tmp_path: Path) -> None:
    plan = play(tmp_path, ["sftp_server/account"], {**FACTS, **_PACKAGE}, {}, _there(islnk=True))
    assert [args["path"] for args in plan.of("file") if args["state"] == "link"] == [
        "/backup_space"
    ]


_PACKAGE = {"__sftp_server_package": "x", "__sftp_server_nologin": "/nologin"}


def _replication(place: Path, facts: dict[str, t.Any], fails: bool = False, **more: t.Any) -> Plan:
    variables = {"replication_password": "x", "replication_primary": "host", **more}
    return play(place, ["replication"], {**FACTS, **facts}, variables, [exists("pg_hba")], fails)


def _rules(plan: Plan) -> str:
    (rules,) = plan.of("blockinfile")
    return str(rules["block"]).strip()


@pytest.mark.parametrize(
    ("facts", "variables", "address"),
    [
        ({}, {}, "192.0.2.1/32"),
        ({"default_ipv4": {}, "default_ipv6": {"address": "2001:db8::1"}}, {}, "2001:db8::1/128"),
        ({"default_ipv4": {}}, {"replication_addresses": {"host": "10.0.0.0/8"}}, "10.0.0.0/8"),
    ],
)
def test_a_host_replicates_from_the_address_that_it_has(
    tmp_path: Path, facts: dict[str, t.Any], variables: dict[str, t.Any], address: str
) -> None:
    plan = _replication(tmp_path, facts, **variables)
    assert _rules(plan) == f"host replication replic_user {address} scram-sha-256"


def test_a_host_without_an_address_is_named(tmp_path: Path) -> None:
    plan = _replication(tmp_path, {"default_ipv4": {}, "default_ipv6": {}}, fails=True)
    assert "host has no default route: replication_addresses names the address" in plan.output
    assert _changes(plan) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"pgsftp_repository_cipher_pass": "s3same"},
        {"pgsftp_repository_cipher_type": "aes-256-cbc"},
    ],
)
def test_cipher_and_passphrase_go_together(tmp_path: Path, variables: dict[str, str]) -> None:
    plan = play(tmp_path, ["pgsftp/configure"], FACTS, variables, fails=True)
    text = "pgsftp_repository_cipher_type and pgsftp_repository_cipher_pass go together"
    assert text in plan.output
    assert _changes(plan) == []


def test_an_encrypted_repository_is_configured(tmp_path: Path) -> None:
    variables = {
        "pgsftp_repository_passphrase": "x",
        "pgsftp_repository_cipher_type": "aes-256-cbc",
        "pgsftp_repository_cipher_pass": "s3same",
    }
    rules = [said("", module="getent")]
    plan = play(
        tmp_path, ["pgsftp/configure"], {**FACTS, "__pgsftp_booleans": []}, variables, rules
    )
    lines = plan.files["/etc/pgbackrest.conf"].splitlines()
    assert "repo1-cipher-type=aes-256-cbc" in lines
    assert "repo1-cipher-pass=s3same" in lines
    assert "s3same" not in plan.output
