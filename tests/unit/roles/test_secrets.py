# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file with a secret in it is never one that anybody may read, not for a moment either.

Ansible gives a new file its name first, and its mode then. What is there already has its mode taken
over before: so an empty file comes first.
"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, Step, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists

WRITE = {"template", "copy", "lineinfile", "blockinfile"}
# Not for others, and all the same without a secret: settings, and what sshd reads.
OPEN = ("/etc/postgresql/15/main/conf.d/pgsftp.conf", "/etc/ssh/sshd_config.d/10-pgsftp.conf")
# A directory that lets nobody else in.
CLOSED = "/.ssh/"
SECRET = "geheim-0815"
VARIABLES: dict[str, t.Any] = {
    "pgsftp_repository_passphrase": SECRET,
    "pgsftp_repository_cipher_type": "aes-256-cbc",
    "pgsftp_repository_cipher_pass": SECRET,
    "replication_password": SECRET,
    "replication_primary": "other",
    "replication_standbys": ["host"],
    "replication_addresses": {"other": "192.0.2.1", "host": "192.0.2.2"},
    "schedule_failure_command": f"curl https://alarm.example/{SECRET}",
    "ssh_keys_sftp_passphrase": SECRET,
    "ssh_keys_node_hosts": ["host", "other"],
    "ssh_keys_known_hosts": [{"host": "host"}],
}
ROLES = ("ssh_keys", "sftp_server", "pgsftp", "replication", "schedule")
FILES = ["/etc/pgbackrest.conf", "/etc/pgsftp/failed-demo", "/var/lib/postgresql/.pgpass"]
SAME = ("owner", "group", "mode")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    rules = [
        {"module": "slurp", "result": {"content": "c3NoLWVkMjU1MTkgQUFBQQo="}},
        {"module": "getent", "result": {}},
        exists("/etc/postgresql/15/main/"),
        exists('"/var/lib/postgresql"'),
    ]
    key = {"ssh_host_key_ed25519_public": "AAAA"}
    facts = {**FACTS, **key, "ssh_host_key_ed25519_public_keytype": "ssh-ed25519"}
    return play(tmp_path_factory.mktemp("plan"), ROLES, facts, VARIABLES, rules)


def _path(step: Step) -> str:
    return str(step.args.get("path") or step.args.get("dest") or "")


def _hidden(plan: Plan) -> dict[str, int]:
    """By path, which step writes what others may not read."""
    return {
        _path(step): number
        for number, step in enumerate(plan)
        if step.module in WRITE
        and not int(str(step.args.get("mode") or "0644"), 8) & 0o004
        and _path(step) not in OPEN
        and CLOSED not in _path(step)
    }


def test_these_are_the_files_with_a_secret(plan: Plan) -> None:
    assert sorted(_hidden(plan)) == FILES


@pytest.mark.parametrize("path", FILES)
def test_an_empty_file_with_its_mode_comes_first(plan: Plan, path: str) -> None:
    number = _hidden(plan)[path]
    written, made = plan[number], plan[number - 1]
    assert (made.module, _path(made), made.args["state"]) == ("file", path, "touch")
    assert [made.args[name] for name in SAME] == [written.args[name] for name in SAME]
    assert made.owner == written.owner
    # Of one that is there already nothing changes.
    assert made.args["access_time"] == made.args["modification_time"] == "preserve"
