# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are reached as a user who becomes root with sudo, and without pipelining."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import awx, sudoer

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

HOSTS = ("pg1-srv", "pg2-srv", "sftp-srv")
PSQL = "runuser -u postgres -- psql -XAtc"


@pytest.fixture(scope="module")
def hosts(deployed_lab):
    for host in HOSTS:
        sudoer.admit(deployed_lab, host)
    yield deployed_lab
    for host in HOSTS:
        sudoer.dismiss(deployed_lab, host)


def changes(*arguments):
    """By host, how many tasks of site.yml changed something."""
    words = " ".join(arguments)
    done = subprocess.run(
        [
            *("sh", "-c"),
            ". scripts/env; ANSIBLE_PIPELINING=false exec ansible-playbook -i inventories/demo"
            f" -e ansible_user={sudoer.USER} playbooks/site.yml {words}",
        ],
        cwd=awx.TOP, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "world readable" not in done.stdout
    found = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", done.stdout, re.MULTILINE)
    return {host: int(count) for host, count in found if host != "localhost"}


def test_what_root_deployed_is_in_order(hosts):
    assert changes() == dict.fromkeys(HOSTS, 0)


def test_the_account_and_the_slot_are_made(hosts):
    sql = "alter role replic_user noreplication password null; select pg_terminate_backend(pid)"
    hosts.run("pg2-srv", "systemctl stop 'postgresql@*'")
    hosts.run("pg1-srv", f'{PSQL} "{sql} from pg_stat_replication"')
    hosts.run("pg1-srv", f"{PSQL} \"select pg_drop_replication_slot('pg2_srv')\"")
    primary = "--limit=pg1-srv --tags=replication_primary"
    assert changes(primary) == {"pg1-srv": 2}
    assert changes(primary) == {"pg1-srv": 0}
    hosts.run("pg2-srv", "systemctl start 'postgresql@*-main'")
    assert changes()["pg1-srv"] == 0
    streams = "select count(*) from pg_stat_replication where state = 'streaming'"
    assert hosts.run("pg1-srv", f'{PSQL} "{streams}"').stdout.split() == ["1"]
