# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of another host's user gives that user a key, and nothing else that sshd would read."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJCrgLkp78YXlM8l1nBNOM57/8q9Uzqp2PpjNJRoPSbU"
MORE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEvilEvilEvilEvilEvilEvilEvilEvilEvilEvilEvil evil"
WRONG = {
    "a second line": f"{KEY} postgres@pg2\n{MORE}\n",
    "a second line of an old Mac": f"{KEY} postgres@pg2\r{MORE}\n",
    "a second line in front": f"\n{MORE}\n{KEY}\n",
    "options": f'command="/bin/sh",pty {KEY}\n',
    "an authority": f"cert-authority {KEY}\n",
    "options behind a type": f"ssh-ed25519,pty {KEY}\n",
    "a comment": f"# {KEY}\n",
    "nothing": "\n",
    # A link shows what only root can read.
    "another file": "root:$y$j9T$secret:19000:0:99999:7:::\n",
}
RIGHT = {
    "as it is made": f"{KEY} postgres@pg2\n",
    "without a comment": KEY,
    "padded": "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA+/== postgres@pg2 sftp 2026-01-01\n",
    "rsa": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAACAQ== x\n",
}


def _nodes(place: Path, text: str, fails: bool) -> Plan:
    content = base64.b64encode(text.encode()).decode()
    rules = [
        {"module": "slurp", "result": {"content": content}},
        exists('"/var/lib/postgresql"'),
    ]
    variables = {"ssh_keys_sftp_passphrase": "x", "ssh_keys_node_hosts": ["host", "pg2"]}
    return play(place, ["ssh_keys"], FACTS, variables, rules, fails)


def _clients(place: Path, text: str, fails: bool, *further: str) -> Plan:
    content = base64.b64encode(text.encode()).decode()
    rules = [{"module": "slurp", "result": {"content": content}}]
    variables = {
        "sftp_server_client_hosts": ["pg2"],
        "sftp_server_authorized_keys": list(further),
    }
    return play(place, ["sftp_server/keys"], FACTS, variables, rules, fails)


@pytest.mark.parametrize("case", WRONG)
def test_another_postgresql_host_gets_in_with_one_key_only(tmp_path: Path, case: str) -> None:
    plan = _nodes(tmp_path, WRONG[case], fails=True)
    assert "id_ed25519.pub of pg2 is not one public key" in plan.output
    assert "secret" not in plan.output
    assert not plan.of("blockinfile")


@pytest.mark.parametrize("case", ["a second line", "options", "another file"])
def test_a_client_gets_in_with_one_key_only(tmp_path: Path, case: str) -> None:
    plan = _clients(tmp_path, WRONG[case], fails=True)
    assert "not one public key: that of pg2." in plan.output
    assert "secret" not in plan.output
    assert not plan.of("copy")


def test_a_key_of_a_variable_is_one_only(tmp_path: Path) -> None:
    further = [f"{KEY} first\n", WRONG["a second line"], KEY, WRONG["options"]]
    plan = _clients(tmp_path, WRONG["a second line"], True, *further)
    which = ("that of pg2", *(f"number {n} of sftp_server_authorized_keys" for n in (2, 4)))
    assert f"not one public key: {', '.join(which)}." in plan.output
    assert not plan.of("copy")


@pytest.mark.parametrize("case", RIGHT)
def test_keys_are_let_in_with_their_options(tmp_path: Path, case: str) -> None:
    (block,) = _nodes(tmp_path, RIGHT[case], fails=False).of("blockinfile")
    (line,) = block["block"].splitlines()
    assert line.startswith('restrict,command="/usr/local/bin/pgsftp ')
    assert line.endswith(f' remote" {RIGHT[case].strip()}')


def test_clients_are_let_in_with_their_options(tmp_path: Path) -> None:
    plan = _clients(tmp_path, RIGHT["as it is made"], False, RIGHT["rsa"])
    assert plan.files["/etc/ssh/authorized_keys.d/pgbackrest"].splitlines()[1:] == [
        f"restrict {RIGHT['as it is made'].strip()}",
        f"restrict {RIGHT['rsa'].strip()}",
    ]


def test_what_is_another_users_is_read_as_that_user(tmp_path: Path) -> None:
    plan = _nodes(tmp_path, KEY, fails=False)
    assert [(step.host, step.owner) for step in plan if step.module == "slurp"] == [
        ("pg2", "postgres")
    ]
