# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rotate_keys.yml: an interrupted run locks nobody out, and neither does the next one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS

FILE = "/var/lib/postgresql/.ssh/id_{}_sftp"


def _play(place: Path, kind: str = "ed25519") -> Plan:
    variables = {
        "postgresql_version": "15",
        "rotate_keys_confirm": True,
        "ssh_keys_sftp_passphrase": "x",
        "ssh_keys_sftp_type": kind,
        "sftp_server_client_hosts": ["host"],
    }
    rules = [
        {"module": "slurp", "result": {"content": "c3NoLXJzYSBBQUFBCg=="}},
        {"module": "getent", "result": {}},
        {"module": "service_facts", "result": {"ansible_facts": {"services": {}}}},
    ]
    groups = {"postgresql": ["host"], "sftp": ["store"]}
    return play_book(place, "rotate_keys.yml", FACTS, variables, rules, groups=groups)


@pytest.mark.parametrize("kind, size", [("ed25519", 0), ("rsa", 4096), ("ecdsa", 521)])
def test_what_is_let_in_is_what_is_used(tmp_path: Path, kind: str, size: int) -> None:
    """The public key in place may be of another pair, where a run ended between two moves."""
    plan = _play(tmp_path, kind)
    made = [(args["path"], int(args.get("size", 0))) for args in plan.of("openssh_keypair")]
    assert made == [(FILE.format(kind), size), (FILE.format(kind) + ".next", size)]


def test_a_pair_moves_at_once_and_its_public_half_first(tmp_path: Path) -> None:
    """As long as the private half is where it was, its public one is made again from it."""
    (move,) = (words for words in _play(tmp_path).commands if "mv " in words)
    assert move.index('"$0.pub"') < move.index('"$0.next" "$0"')


def test_what_is_the_owners_is_made_and_moved_as_the_owner(tmp_path: Path) -> None:
    plan = _play(tmp_path)
    made = [step.owner for step in plan if step.module == "openssh_keypair"]
    read = [step.owner for step in plan if step.module == "slurp" and ".next" in str(step.args)]
    assert (made, read) == (["postgres"] * 2, ["postgres"])
    (move,) = (words for words in plan.commands if "mv " in words)
    assert move.startswith("runuser --user=postgres -- sh -c ")


def test_site_yml_finds_nothing_to_change_afterwards(tmp_path: Path) -> None:
    """A comment of another text would be put right by the role, and then in the server's list."""
    made = [args for args in _play(tmp_path).of("openssh_keypair") if "comment" in args]
    assert [args["comment"] for args in made] == ["postgres@host sftp"]
    pairs = Path(__file__).parents[3] / "roles" / "ssh_keys" / "tasks" / "pairs.yml"
    (task,) = (
        task
        for block in yaml.safe_load(pairs.read_text())
        for task in block.get("block", [block])
        if task["name"] == "Make the key pair for SFTP"
    )
    wanted = task["pgsftp.backup.as_owner"]["args"]["comment"]
    assert wanted == "{{ ssh_keys_user }}@{{ inventory_hostname }} sftp"
