# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the walk-through while the repository's host is lost, or grants little."""

from __future__ import annotations

import datetime
import json
import re
import time

import pytest

from ansible_collections.pgsftp.backup.tests.support.beside import beside, until

pytestmark = [pytest.mark.faults, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

SFTP = "sftp-srv"

PENALTIES = "/etc/ssh/sshd_config.d/00-penalties.conf"


def pgsftp(lab, *words):
    line = f"pgsftp --stanza=demo --log-level-file=off {' '.join(words)}"
    return lab.run("pg1-srv", line, user="postgres").stdout


def labels(lab):
    out = pgsftp(lab, "info", "--output=json", "--log-level-console=off")
    return [row["label"] for row in json.loads(out)[0]["backup"]]


def backup(lab, *words):
    return pgsftp(
        lab,
        "backup",
        "--type=full",
        "--compress-type=none",
        "--no-expire-auto",
        "--log-level-console=detail",
        # With sessions of its own: a small backup would borrow the archiver's.
        "--archiver-path=/run/no-archiver",
        *words,
    )


def connections(lab):
    return int(lab.run(SFTP, "ss -tnH state established sport = :22 | wc -l").stdout)


def lost(out):
    return [line for line in out.splitlines() if " WARN: " in line and "connecting again" in line]


def while_it_copies(lab, work, workers=2):
    """Do it beside a backup, as soon as its workers are connected and send."""
    before = connections(lab)

    def then():
        until(lambda: connections(lab) >= before + 1 + workers, pause=0.2)
        time.sleep(2)
        work()

    return beside(then)


@pytest.fixture
def hosts(deployed_lab):
    """The hosts, with a thin line to the repository: a backup takes half a minute."""
    lab = deployed_lab
    lab.verb("rate", SFTP, "8mbit")
    before = labels(lab)
    yield lab
    lab.verb("mend", SFTP)
    # What a test added is not in the way of others.
    for name in set(labels(lab)) - set(before):
        pgsftp(lab, "expire", f"--set={name}")


def assert_whole(lab, before):
    (new,) = set(labels(lab)) - set(before)
    pgsftp(lab, "verify", f"--set={new}")


def test_a_line_that_loses_every_hundredth_packet(hosts):
    before = labels(hosts)
    hosts.verb("lose", SFTP, 1)
    out = backup(hosts)
    assert not lost(out), out
    assert_whole(hosts, before)


def test_a_host_that_is_frozen_killed_and_started_again(hosts):
    before = labels(hosts)

    def die():
        hosts.verb("pause", SFTP)
        time.sleep(15)
        hosts.verb("unpause", SFTP)
        hosts.verb("kill", SFTP)
        time.sleep(5)
        hosts.verb("start", SFTP)

    with while_it_copies(hosts, die):
        out = backup(hosts, "--io-timeout=10", "--process-max=2")
    assert 2 <= len(lost(out)) <= 4, out
    assert_whole(hosts, before)


def refused_at(out):
    """When the command was refused, in seconds."""
    found = re.findall(r"^(\S+ \S+) P\d+ DETAIL: .*: next attempt in", out, re.MULTILINE)
    return [datetime.datetime.fromisoformat(when).timestamp() for when in found]


def test_penalties_and_four_connections_for_sixteen_processes_far_away(hosts):
    """Somebody behind the same address misbehaves, and then all sessions end."""
    before = labels(hosts)
    hosts.verb("delay", SFTP, 10)
    had = []

    def knock():
        # Without the rule, since these must be heard: two that leave before they say who they are.
        hosts.verb("accept", SFTP)
        knock = "exec 3<>/dev/tcp/sftp-srv/22; sleep 1; exec 3>&-"
        hosts.run("pg1-srv", f"for i in 1 2; do bash -c '{knock}'; done")
        hosts.verb("crowd", SFTP, 4)
        # Meanwhile a fifth may have got in.
        had.append(connections(hosts))
        hosts.run(SFTP, "pkill -KILL -u pgbackrest")

    hosts.run(
        SFTP,
        f"cat > {PENALTIES} && systemctl reload ssh",
        input="PerSourcePenalties noauth:40s crash:1s min:5s\n",
    )
    hosts.run("pg1-srv", "systemctl stop pgsftp-archiver.service")
    hosts.run("pg2-srv", "systemctl stop pgsftp-archiver.service || true")
    try:
        hosts.verb("crowd", SFTP, 4)
        with while_it_copies(hosts, knock, workers=3):
            out = backup(hosts, "--process-max=16")
    finally:
        hosts.run(SFTP, f"rm {PENALTIES} && systemctl reload ssh")
        for host in ("pg1-srv", "pg2-srv"):
            hosts.run(host, "systemctl start pgsftp-archiver.service || true")
    moments = refused_at(out)
    burst = [moment for moment in moments if moment < moments[0] + 2]
    assert len(burst) <= 14, out
    later = moments[len(burst) :]
    assert later, out
    # Turns of fewer than six a minute, which begin anew when somebody was let in.
    let_in = out.count("connected again to")
    for begin in later:
        assert sum(begin <= moment < begin + 60 for moment in later) < 6 + let_in, out
    # Each of them once, and nobody was lost again for want of a session.
    assert 3 <= len(lost(out)) <= had[0], out
    assert_whole(hosts, before)
