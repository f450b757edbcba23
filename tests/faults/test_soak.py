# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archiver under load while its repository's host dies, freezes and is cut off, at random.

Ten minutes (``SOAK_SECONDS``) of pgbench on the primary of the walk-through, with segments that end
every few seconds. ``SOAK_SEED`` repeats a run's order of faults. At the end every segment is in the
repository once, is what its name says, and recovery into the middle of an outage works.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import random
import sys
import threading
import time

import pytest
import zstandard

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import wal
from ansible_collections.pgsftp.backup.tests.support.lab import LabCluster, LabHost

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(SECONDS + 1500),
]

ROOT = f"{LabHost.HOME}/soak"
ARCHIVE = "/srv/pgsftp/backup_space/archive/demo"
SIZE = 16 * 1024 * 1024

# How long the repository may take to get what was written while it was away, in seconds. A server
# whose archive_command failed three times looks again after a minute.
DRAIN = 300.0


class Primary:
    """The cluster of the walk-through, and what is told to it while everything breaks."""

    def __init__(self, host):
        self.host = host
        self.told = []
        """Number of rows and position in the WAL, in order."""
        self.failed = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def psql(self, sql, database="postgres"):
        return self.host.sh(f"psql -XqtA -v ON_ERROR_STOP=1 -d {database} -f -", input=sql).strip()

    def __enter__(self):
        self.psql("drop database if exists soak")
        self.psql("create database soak")
        self.psql("create table told (i int)", "soak")
        self.host.sh(f"{self.host.bin}/pgbench -i -q -s 5 soak")
        self.host.sh("pgsftp --stanza=demo --log-level-console=warn backup --type=full")
        self.host.sh(
            f"nohup {self.host.bin}/pgbench -n -c 2 -R 60 -T {SECONDS + 600:.0f} soak"
            f" >{ROOT}/pgbench.log 2>&1 & echo $! >{ROOT}/pgbench.pid"
        )
        self._thread.start()
        return self

    def __exit__(self, *_ignored):
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(AssertionError):
            self.host.sh(f"kill $(cat {ROOT}/pgbench.pid)")

    def _write(self):
        """Tell a number every other second, and end a segment."""
        number = 0
        while not self._ended.wait(2.0):
            number += 1
            try:
                lsn = self.psql(
                    f"insert into told values ({number}); select pg_current_wal_insert_lsn();"
                    " select pg_switch_wal() is null",
                    "soak",
                ).split()[0]
            except AssertionError as cause:
                self.failed = cause
                return
            self.told.append((number, lsn))


class Faults:
    """What happens to the host of the repository, and to the archiver."""

    def __init__(self, lab, chance):
        self.lab, self.chance = lab, chance
        self.done = collections.Counter()

    def one(self):
        """One of them, for some seconds, and then it is mended."""
        kind = self.chance.choice(["kill", "pause", "cut", "reset", "refuse", "archiver"])
        self.done[kind] += 1
        seconds = self.chance.uniform(1.0, 25.0)
        if kind == "archiver":
            self.lab.run("pg1-srv", "systemctl kill -s KILL pgsftp-archiver.service")
            time.sleep(seconds)
            return
        if kind == "reset":
            self.lab.verb("reset", "sftp-srv", self.chance.randrange(1, 4 * SIZE))
        else:
            self.lab.verb(kind, "sftp-srv")
        time.sleep(seconds)
        mend = {"kill": "start", "pause": "unpause", "cut": "heal", "refuse": "accept"}
        self.lab.verb(mend.get(kind, "accept"), "sftp-srv")


@pytest.fixture
def host(deployed_lab):
    """The primary's host, with a place of ours."""
    made = LabHost(deployed_lab, "pg1-srv")
    made.sh(f"rm -rf {ROOT}; mkdir -m 700 {ROOT}")
    yield made
    for pid in made.root(f"ls {ROOT}/*/data/postmaster.pid 2>/dev/null || true").split():
        made.sh(f"{made.bin}/pg_ctl -D {pid.rpartition('/')[0]} -s -w -m immediate stop")
    made.sh(f"rm -rf {ROOT}")


def say(text):
    """For who watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def until_archived(primary):
    """Until nothing is ready any more; gives the last segment."""
    name = primary.psql(
        "select pg_walfile_name(pg_switch_wal()) where pg_create_restore_point('end') is not null"
    )
    directory = primary.psql("show data_directory")
    deadline = time.monotonic() + DRAIN
    while ready := primary.host.sh(f"ls {directory}/pg_wal/archive_status | grep ready$ || true"):
        status = primary.host.sh("pgsftp --stanza=demo archiver status || true")
        assert time.monotonic() < deadline, f"{ready}\n{status}"
        time.sleep(1.0)
    return name


def test_everything_arrives_once_and_recovery_leads_across_the_outages(
    deployed_lab, host, tmp_path
):
    chance = random.Random(SEED)
    faults = Faults(deployed_lab, chance)
    outages = []
    say(f"SOAK_SEED={SEED}")
    with Primary(host) as primary:
        first = primary.psql("select pg_walfile_name(pg_current_wal_insert_lsn())")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(chance.uniform(2.0, 12.0))
            before = len(primary.told)
            faults.one()
            if len(primary.told) > before + 1:
                # A moment in the middle of it.
                outages.append(primary.told[(before + len(primary.told)) // 2])
        deployed_lab.verb("mend", "sftp-srv")
    say(f"faults: {dict(faults.done)}, rows told: {len(primary.told)}")
    assert primary.failed is None, primary.failed
    last = until_archived(primary)
    assert deployed_lab.run("pg1-srv", "systemctl is-active pgsftp-archiver").stdout == "active\n"

    # Every segment once, whole, and what its name says.
    deployed_lab.copy_out("sftp-srv", ARCHIVE, tmp_path / "archive")
    found = collections.Counter()
    for path in (tmp_path / "archive").glob("*/*/0*"):
        if path.name.endswith(".pgbackrest.tmp"):
            continue
        name, _dash, digest = path.name.partition("-")
        if not wal.is_segment(name):
            continue
        with zstandard.ZstdDecompressor().stream_reader(path.read_bytes()) as stream:
            content = stream.read()
        assert hashlib.sha1(content).hexdigest() == digest.partition(".")[0], path.name
        assert len(content) == SIZE
        found[name] += 1
    line = wal.timeline_of(last)
    numbers = range(wal.segment_number(first, SIZE), wal.segment_number(last, SIZE) + 1)
    wanted = [wal.number_name(line, number, SIZE) for number in numbers]
    say(f"segments: {len(wanted)}")
    assert [name for name in wanted if found[name] != 1] == []
    assert len(wanted) >= SECONDS / 10

    # Into the middle of an outage of the first half, from the backup before all of them. Another
    # archiver fetches ahead of that server.
    number, lsn = chance.choice(outages[: len(outages) // 2 + 1])
    copy = LabCluster(host, f"{ROOT}/copy")
    host.sh(
        f"pgsftp --stanza=demo --pg1-path={copy.data} --log-level-console=warn restore --type=lsn"
        f" --target={lsn} --target-action=promote --archive-mode=off"
    )
    feed = f"--archiver-path={ROOT}/run"
    host.sh(
        f"mkdir -p {ROOT}/run {ROOT}/spool;"
        f" sed -i 's:archive-get %f:{feed} archive-get %f:' {copy.data}/postgresql.auto.conf;"
        f" nohup pgsftp --stanza=demo --pg1-path={copy.data} {feed} --spool-path={ROOT}/spool"
        f" archiver >{ROOT}/archiver.log 2>&1 & echo $! >{ROOT}/archiver.pid"
    )
    copy.start(shared_buffers="64MB")
    ask = f"psql -XqtA -h {copy.root}/s -d soak -c 'select count(*), max(i) from told'"
    assert host.sh(ask).strip() == f"{number}|{number}"
    fed = host.sh(f"pgsftp --stanza=demo {feed} archiver status")
    host.sh(f"kill $(cat {ROOT}/archiver.pid)")
    assert "fetched for recovery" in fed, fed
    primary.psql("drop database soak")
