# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides, typed line by line on the lab: what they say that one should see is to be seen.

They break and mend the cluster, and leave another primary behind: the lab is set up anew before.
"""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import guide

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

PSQL = "psql --no-psqlrc --no-align --tuples-only --command"
# The time that restore.md goes back to.
MISHAP = "2026-11-22 03:12:00+00"
# Those of the walk-through, and one after each restore of the primary.
FULL_BACKUPS = 4


class Guided:
    """Types what a guide says."""

    def __init__(self, lab):
        self.lab = lab
        self.replace = {}

    def control(self, script):
        """What the control machine says."""
        script = script.replace("inventories/mine", "inventories/demo")
        script = script.replace(" --ask-vault-pass", "")
        done = subprocess.run(
            ["sh", "-ec", f". scripts/env\n{script}"],
            cwd=guide.TOP, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def sql(self, text, host="pg1-srv"):
        """Rows of the cluster on a host."""
        return self.lab.run(host, f'cd; {PSQL} "{text}"', user="postgres").stdout.strip()

    def type(self, name):
        """A whole guide."""
        for step in guide.steps(name):
            script = step.script
            for text, other in self.replace.items():
                script = script.replace(text, other)
            if step.where in ("awx", "readme"):
                continue
            if step.where == "control":
                output = self.control(script)
            else:
                done = self.lab.run(
                    step.where, f"cd; set -e; {script}", user=step.user, check=False
                )
                output = done.stdout + done.stderr
                assert done.returncode == 0, f"{step.name}: exit {done.returncode}\n{output}"
            missed = guide.unseen(step.expected, output)
            assert missed is None, f"{step.name}: '{missed}' is not to be seen in\n{output}"


@pytest.fixture
def guided(lab):
    """The lab, from bare hosts to what the walk-through makes of them."""
    lab.verb("down")
    lab.verb("up")
    found = Guided(lab)
    found.control("ansible-playbook -i inventories/mine playbooks/site.yml")
    return found


def test_restore(guided):
    for host in ("pg1-srv", "pg2-srv"):
        guided.lab.run(host, "install --directory --owner=postgres --mode=0700 /srv/space")
    guided.sql("create tablespace space location '/srv/space'")
    guided.sql("create table orders as select generate_series(1, 1000) as id")
    guided.sql("create table parts tablespace space as select generate_series(1, 500) as id")
    moment = guided.sql("select pg_sleep(1); select clock_timestamp(); select pg_sleep(1)")
    guided.replace[MISHAP] = next(row for row in moment.splitlines() if row)
    guided.sql("drop table orders")
    guided.type("restore")
    # The standby that was promoted has what was restored.
    assert guided.sql("select count(*) from orders", "pg2-srv") == "1000"
    assert guided.sql("select count(*) from parts", "pg2-srv") == "500"
    # Nothing was removed, and nothing that was kept is left.
    reasons = guided.lab.run(
        "pg2-srv", "pgsftp --stanza=demo info | grep -c 'full backup'", user="postgres"
    )
    assert int(reasons.stdout) == FULL_BACKUPS
    for host in ("pg1-srv", "pg2-srv"):
        left = guided.lab.run(host, "ls /srv/space; ls /var/lib/postgresql/17").stdout.split()
        assert [name for name in left if "." in name] == []
    # Who was told to be gone for good is, after a reboot, too.
    guided.lab.verb("stop", "pg1-srv")
    guided.lab.verb("start", "pg1-srv")
    booted = "systemctl is-system-running --wait 2>&1 | grep -qx 'running\\|degraded'"
    guided.lab.run("pg1-srv", f"until {booted}; do sleep 1; done")
    assert guided.lab.run("pg1-srv", "pgrep --exact postgres", check=False).stdout == ""


@pytest.mark.parametrize(
    "name", [name for name in guide.GUIDES if name not in ("awx", "restore") and guide.steps(name)]
)
def test_other_guides(guided, name):
    guided.type(name)
