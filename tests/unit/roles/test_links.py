# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root does where another user can put a link: nothing that follows it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

# Directories of the cluster's owner.
OWNED = ("/var/lib/postgresql/", "/etc/postgresql/15/main/", "/data/", "/var/lib/pgsftp/")
# They follow a link in the last place, or anywhere before.
FOLLOW = {"file", "lineinfile", "blockinfile", "replace", "openssh_keypair", "copy"}

KEYS = {
    "ssh_keys_sftp_passphrase": "x",
    "ssh_keys_node_hosts": ["host", "other"],
    "ssh_keys_known_hosts": [{"host": "host"}],
}
KEY = "c3NoLWVkMjU1MTkgQUFBQQo="
REPLICATION = {
    "replication_primary": "other",
    "replication_standbys": ["host"],
    "replication_password": "x",
    "replication_addresses": {"other": "10.0.0.1", "host": "10.0.0.2"},
}


def _roots(plan: Plan) -> list[tuple[str, str]]:
    """What root does below those directories, but for removing, which follows no last link."""
    found = []
    for step in plan:
        path = str(step.args.get("path") or step.args.get("dest") or "")
        follows = step.module in FOLLOW and step.args.get("state") != "absent"
        if follows and path.startswith(OWNED) and not step.owner:
            found.append((step.task, path))
    return found


@pytest.mark.parametrize(
    "role, variables, facts",
    [
        ("ssh_keys", KEYS, {"ssh_host_key_ed25519_public": "AAAA"}),
        (
            "pgsftp/follow",
            {"pgsftp_primary_host": "other", "pgsftp_repository_passphrase": "x"},
            {},
        ),
        ("replication", REPLICATION, {}),
    ],
)
def test_what_is_the_owners_root_changes_as_the_owner(
    tmp_path: Path, role: str, variables: dict[str, t.Any], facts: dict[str, t.Any]
) -> None:
    rules = [
        {"module": "slurp", "result": {"content": KEY}},
        exists("pg_hba.conf"),
        exists('"/var/lib/postgresql"'),
    ]
    facts = {**FACTS, **facts, "ssh_host_key_ed25519_public_keytype": "ssh-ed25519"}
    plan = play(tmp_path, [role], facts, variables, rules)
    assert {step.owner for step in plan} == {"", "postgres"}
    assert _roots(plan) == []


def test_the_copy_of_a_drill_is_made_as_the_owner(tmp_path: Path) -> None:
    names = ("connections", "worker_processes", "wal_senders", "prepared_xacts", "locks_per_xact")
    rules: list[dict[str, t.Any]] = [
        {"module": "stanza_info", "result": {"info": {"backup": [{"label": "20260101-000000F"}]}}},
        said("pg_controldata", *(f"max_{name} setting:   8" for name in names)),
        said("pg_is_in_recovery", "f|0/5000028"),
    ]
    plan = play_book(tmp_path, "drill.yml", FACTS, {"postgresql_version": "15"}, rules)
    place = "/var/lib/postgresql/15/pgsftp-drill"
    # The place may lie where only root can make it.
    roots = [step.args for step in plan if step.module == "file" and not step.owner]
    (made,) = (args for args in roots if args.get("state") == "directory" and place in args["path"])
    assert made["path"] == place
    assert made["follow"] is False
    assert [path for _dummy, path in _roots(plan)] == [place]
    # Nor below what the timers of a stanza remember, whatever its name.
    (proof,) = (args["dest"] for args in plan.of("copy") if args["dest"].endswith("Z.json"))
    assert proof.startswith("/var/lib/pgsftp-drill/demo/")


@pytest.mark.parametrize(
    "there, mark",
    [
        ({"isdir": False, "islnk": True}, {"isreg": True}),
        ({"isdir": True}, {"isreg": False, "islnk": True}),
        ({"isdir": True}, {"exists": False}),
    ],
)
def test_what_is_not_from_a_drill_is_left_alone(
    tmp_path: Path, there: dict[str, bool], mark: dict[str, bool]
) -> None:
    rules = [
        {
            "module": "stat",
            "contains": ".pgsftp-drill",
            "result": {"stat": {"exists": True, **mark}},
        },
        {
            "module": "stat",
            "contains": "pgsftp-drill",
            "result": {"stat": {"exists": True, **there}},
        },
    ]
    plan = play_book(tmp_path, "drill.yml", FACTS, {"postgresql_version": "15"}, rules, fails=True)
    assert not plan.of("file", "restore", "copy")


def _locks(place: Path, stat: dict[str, t.Any], fails: bool = False) -> Plan:
    rules = [
        {"module": "stat", "contains": "/tmp/pgbackrest", "result": {"stat": stat}},
        {"module": "getent", "result": {}},
    ]
    facts = {**FACTS, "__pgsftp_booleans": []}
    variables = {"pgsftp_repository_passphrase": "x"}
    return play(place, ["pgsftp/configure"], facts, variables, rules, fails=fails)


@pytest.mark.parametrize(
    "stat",
    [
        {"exists": True, "islnk": True, "isdir": False, "pw_name": "postgres"},
        {"exists": True, "islnk": False, "isdir": False, "pw_name": "postgres"},
        {"exists": True, "islnk": False, "isdir": True, "pw_name": "mallory"},
        # Of a user that is no more there is no name.
        {"exists": True, "islnk": False, "isdir": True, "uid": 1234},
    ],
)
def test_locks_that_are_somebody_elses_are_refused(tmp_path: Path, stat: dict[str, t.Any]) -> None:
    plan = _locks(tmp_path, stat, fails=True)
    assert "/tmp/pgbackrest is not a directory of postgres" in plan.output
    assert not plan.of("file", "copy", "template")


def test_a_directory_for_the_locks_is_made_by_who_finds_none(tmp_path: Path) -> None:
    """Whoever was faster has it, and then it is not ours."""
    plan = _locks(tmp_path, {"exists": False})
    assert "mkdir --mode=0770 -- /tmp/pgbackrest" in plan.commands


@pytest.mark.parametrize("owner", ["root", "postgres"])
def test_the_directory_for_the_locks_is_kept(tmp_path: Path, owner: str) -> None:
    plan = _locks(tmp_path, {"exists": True, "islnk": False, "isdir": True, "pw_name": owner})
    assert not [words for words in plan.commands if "mkdir" in words]
    (made,) = (args for args in plan.of("file") if args["path"] == "/tmp/pgbackrest")
    assert (made["owner"], made["follow"]) == ("postgres", False)
