# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys the role ``ssh_keys`` makes, and where the other roles look for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS

DIRECTORY = "/var/lib/postgresql/.ssh"


@pytest.mark.parametrize(
    ("sftp", "sftp_size", "node", "node_size"),
    [("rsa", 4096, "ecdsa", 521), ("ecdsa", 521, "rsa", 4096), ("ed25519", None, "rsa", 4096)],
)
def test_keys_of_every_type_are_found_again(
    tmp_path: Path, sftp: str, sftp_size: int | None, node: str, node_size: int
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
    made = [(args["path"], args["type"], args.get("size")) for args in plan.of("openssh_keypair")]
    assert made == [
        (f"{DIRECTORY}/id_{sftp}_sftp", sftp, sftp_size),
        (f"{DIRECTORY}/id_{node}", node, node_size),
    ]
    assert [args["src"] for args in plan.of("slurp")] == [f"{DIRECTORY}/id_{node}.pub"]
    lines = plan.files["/etc/pgbackrest.conf"].splitlines()
    assert f"repo1-sftp-private-key-file={DIRECTORY}/id_{sftp}_sftp" in lines
