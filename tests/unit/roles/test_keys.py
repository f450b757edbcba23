# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys the role ``ssh_keys`` makes, and where the other roles look for them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists

DIRECTORY = "/var/lib/postgresql/.ssh"


@pytest.mark.parametrize(
    ("sftp", "sftp_size", "node", "node_size"),
    [("rsa", 4096, "ecdsa", 521), ("ecdsa", 521, "rsa", 4096), ("ed25519", 0, "rsa", 4096)],
)
def test_keys_of_every_type_are_found_again(
    tmp_path: Path, sftp: str, sftp_size: int, node: str, node_size: int
) -> None:
    variables = {
        "ssh_keys_sftp_type": sftp,
        "ssh_keys_sftp_passphrase": "x",
        "ssh_keys_node_type": node,
        "ssh_keys_node_hosts": ["host", "other"],
        "pgsftp_repository_passphrase": "x",
    }
    rules = [
        {"module": "slurp", "result": {"content": "c3NoLXJzYSBBQUFBCg=="}},
        {"module": "getent", "result": {}},
    ]
    roles = ["ssh_keys", "pgsftp/configure"]
    plan = play(tmp_path, roles, {**FACTS, "__pgsftp_booleans": []}, variables, rules)
    pairs = plan.of("openssh_keypair")
    made = [(args["path"], args["type"], int(args.get("size", 0))) for args in pairs]
    assert made == [
        (f"{DIRECTORY}/id_{sftp}_sftp", sftp, sftp_size),
        (f"{DIRECTORY}/id_{node}", node, node_size),
    ]
    assert [args["src"] for args in plan.of("slurp")] == [f"{DIRECTORY}/id_{node}.pub"]
    lines = plan.files["/etc/pgbackrest.conf"].splitlines()
    assert f"repo1-sftp-private-key-file={DIRECTORY}/id_{sftp}_sftp" in lines


# By what somebody says of it, where the key pair for SFTP is.
ELSEWHERE = [
    ({}, f"{DIRECTORY}/id_ed25519_sftp"),
    ({"ssh_keys_home": "/srv/pg", "ssh_keys_sftp_type": "rsa"}, "/srv/pg/.ssh/id_rsa_sftp"),
    ({"ssh_keys_home": "/srv/pg", "ssh_keys_sftp_file": "/etc/keys/sftp"}, "/etc/keys/sftp"),
]
RULES = [
    {"module": "slurp", "result": {"content": "c3NoLXJzYSBBQUFBCg=="}},
    {"module": "getent", "result": {}},
    {"module": "service_facts", "result": {"ansible_facts": {"services": {}}}},
]


def _read(plan: Plan) -> list[str]:
    """The public keys that are read to be let in."""
    task = "Read the clients' public keys"
    return [step.args["src"] for step in plan if step.task.endswith(task)]


def _book(
    place: Path, name: str, said: dict[str, t.Any], more: dict[str, t.Any], fails: bool = False
) -> Plan:
    """A playbook where this is said of the PostgreSQL host, and the SFTP server does not know."""
    variables = {"postgresql_version": "15", "ssh_keys_sftp_passphrase": "x", **more}
    groups = {"postgresql": ["host"], "sftp": ["store"]}
    known = {"host": said}
    return play_book(place, name, FACTS, variables, RULES, fails, groups, known)


@pytest.mark.parametrize(("said", "file"), ELSEWHERE)
def test_roles_find_the_key_where_it_was_made(
    tmp_path: Path, said: dict[str, t.Any], file: str
) -> None:
    variables = {
        "ssh_keys_sftp_passphrase": "x",
        "pgsftp_repository_passphrase": "x",
        "sftp_server_client_hosts": ["host"],
        "sftp_server_group": "root",
        **said,
    }
    roles = ["ssh_keys", "sftp_server/keys", "pgsftp/configure"]
    plan = play(tmp_path, roles, {**FACTS, "__pgsftp_booleans": []}, variables, RULES)
    assert [args["path"] for args in plan.of("openssh_keypair")] == [file]
    # Nobody but the host itself knows where the account is at home there.
    assert _read(plan) == [file.replace("/var/lib/postgresql", "~postgres") + ".pub"]
    lines = plan.files["/etc/pgbackrest.conf"].splitlines()
    assert f"repo1-sftp-private-key-file={file}" in lines


@pytest.mark.parametrize(("said", "file"), ELSEWHERE)
def test_keys_are_rotated_where_they_are(tmp_path: Path, said: dict[str, t.Any], file: str) -> None:
    more = {"rotate_keys_confirm": True, "sftp_server_client_hosts": ["host"]}
    plan = _book(tmp_path, "rotate_keys.yml", said, more)
    assert [args["path"] for args in plan.of("openssh_keypair")] == [file, f"{file}.next"]
    (move,) = (words for words in plan.commands if "mv " in words)
    assert move.endswith(f" {file}")
    public = file.replace("/var/lib/postgresql", "~postgres") + ".pub"
    assert _read(plan) == [public, public]


def test_a_pair_that_is_not_used_is_not_rotated_in_place_of_the_one_that_is(
    tmp_path: Path,
) -> None:
    more = {"rotate_keys_confirm": True, "sftp_server_client_hosts": ["host"]}
    used = {"pgsftp_repository_key_file": "/srv/keys/sftp"}
    plan = _book(tmp_path, "rotate_keys.yml", used, more, fails=True)
    assert "The engine of host uses /srv/keys/sftp (pgsftp_repository_key_file)" in plan.output
    assert not plan.of("openssh_keypair", "copy")


@pytest.mark.parametrize(("said", "file"), ELSEWHERE)
def test_keys_are_removed_where_they_are(tmp_path: Path, said: dict[str, t.Any], file: str) -> None:
    more = {"uninstall_confirm_stanza": "demo", "uninstall_keys": True}
    plan = _book(tmp_path, "uninstall.yml", said, more)
    gone = [step.args["path"] for step in plan if step.task == "Remove the key pairs"]
    assert gone == [file, f"{file}.pub"]


def test_a_key_that_is_named_is_let_in(tmp_path: Path) -> None:
    variables = {
        "sftp_server_client_hosts": ["host"],
        "sftp_server_client_key": "/root/key.pub",
        "ssh_keys_sftp_file": "/etc/keys/sftp",
    }
    assert _read(play(tmp_path, ["sftp_server/keys"], FACTS, variables, RULES)) == ["/root/key.pub"]


@pytest.mark.parametrize("there", [True, False])
def test_the_last_other_host_that_is_taken_away_gets_in_no_more(
    tmp_path: Path, there: bool
) -> None:
    """An empty block takes the one of before out; a file is not made for it."""
    variables = {"ssh_keys_sftp_passphrase": "x", "ssh_keys_node_hosts": ["host"]}
    rules = [exists(f"{DIRECTORY}/authorized_keys")] if there else []
    plan = play(tmp_path, ["ssh_keys"], FACTS, variables, rules)
    blocks = [(args["path"], args["block"]) for args in plan.of("blockinfile")]
    assert blocks == ([(f"{DIRECTORY}/authorized_keys", "")] if there else [])


def test_a_key_that_does_not_fit_is_told_although_its_task_shows_nothing(tmp_path: Path) -> None:
    """As when the passphrase was changed in the vault, and the file still has the former one."""
    variables = {"ssh_keys_sftp_passphrase": "hunter22"}
    failed = {"failed": True, "msg": "Unable to read the key."}
    rules = [{"module": "openssh_keypair", "result": failed}, exists('"/var/lib/postgresql"')]
    plan = play(tmp_path, ["ssh_keys"], FACTS, variables, rules, fails=True)
    file = f"{DIRECTORY}/id_ed25519_sftp"
    told = " ".join(plan.output.split())
    assert f"{file} of host is left as it is: Unable to read the key." in told
    assert f"ssh-keygen -p -f {file}" in told
    assert "hunter22" not in told
