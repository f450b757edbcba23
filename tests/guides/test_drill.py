# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill that fails says what failed, in its proof, too, and leaves nothing else behind."""

from __future__ import annotations

import json
import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import awx

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

HOST = "pg2-srv"


def test_a_table_with_too_few_rows(deployed_lab):
    rows = {"drill_rows": [{"table": "pg_catalog.pg_namespace", "least": 1000000}]}
    words = f"exec ansible-playbook -i inventories/demo playbooks/drill.yml -e '{json.dumps(rows)}'"
    done = subprocess.run(
        ["sh", "-c", f". scripts/env; {words}"], cwd=awx.TOP, text=True, check=False,
        capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode != 0, done.stdout
    text = deployed_lab.run(HOST, "cat /var/lib/pgsftp-drill/demo/last.json").stdout
    proof = json.loads(text)
    assert proof["ok"] is False
    assert proof["failed"].startswith("Refuse a copy with fewer rows than it should have: ")
    assert "and should have 1000000 at least" in proof["failed"]
    assert proof["rows"]["pg_catalog.pg_namespace"] > 1
    assert proof["failed"] in done.stdout
    left = deployed_lab.run(HOST, "find /var/lib/postgresql -maxdepth 3 -name '*drill*'")
    assert left.stdout == ""
