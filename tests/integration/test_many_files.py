# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup of very much costs: memory is bounded, time grows with the number of files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.delay_proxy import delayed
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

FILES = 100_000
MIB = 1024

# Seconds between two looks at what the processes have.
LOOK = 0.02


class Cost(t.NamedTuple):
    """Seconds, the most KiB that the command's own process had, and each of its workers, and how
    long these used the processor, in ticks.
    """

    seconds: float
    parent: int
    workers: dict[int, int]
    busy: dict[int, int]


def run(site, *words):
    """What a command costs; it must succeed."""
    owner = {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}
    line = [str(site.command), f"--config={site.config}", "--stanza=demo", *words]
    started = time.monotonic()
    parent, workers, busy = 0, {}, {}
    with (site.root / "said").open("wb") as said:
        process = subprocess.Popen(line, stdout=said, stderr=said, cwd="/", **owner)
        while process.poll() is None:
            parent = max(parent, most(process.pid))
            for pid in children(process.pid):
                workers[pid] = max(workers.get(pid, 0), most(pid))
                busy[pid] = max(busy.get(pid, 0), ticks(pid))
            time.sleep(LOOK)
    assert process.returncode == 0, (site.root / "said").read_text()
    return Cost(time.monotonic() - started, parent, workers, busy)


def most(pid):
    """KiB that a process had at most until now; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


def ticks(pid):
    """Of the processor that a process has used until now; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def children(pid):
    """Of all threads."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


@pytest.fixture(scope="module")
def costs(sites):
    """Of a few files more, and of all of them: a full and an incremental, and then a restore."""
    site = sites()
    site.cluster.stop()
    site.run("stanza-create", "--no-online")
    found = {}
    made = site.cluster.data / "base" / "4"
    start = 900_000
    for count in (FILES // 10, FILES):
        for number in range(start, 900_000 + count):
            file = made / str(number)
            file.write_bytes(b"%d" % number)
            own(file)
        start = 900_000 + count
        found[count] = [
            run(site, "backup", "--no-online", f"--type={kind}") for kind in ("full", "incr")
        ]
    copy = site.restored("copy")
    restore = ("restore", f"--pg1-path={copy.data}", "--type=none")
    found["restore"] = [run(site, *restore)]
    names = {path.name for path in (copy.data / "base" / "4").iterdir()}
    assert {str(number) for number in range(900_000, 900_000 + FILES)} <= names
    yield found
    shutil.rmtree(site.repo)


@pytest.mark.parametrize("what", [FILES, "restore"])
def test_memory_is_bounded(costs, what):
    for cost in costs[what]:
        assert 0 < cost.parent < 250 * MIB
        assert cost.workers
        assert max(cost.workers.values()) < 120 * MIB, cost


def test_all_workers_have_some_of_a_restore(costs):
    """All of those files would fit into one bundle, and one process would restore them."""
    (cost,) = costs["restore"]
    assert len(cost.busy) == 2
    assert min(cost.busy.values()) > 0.25 * max(cost.busy.values()), cost


def test_time_grows_with_the_number_of_files(costs):
    """Not with its square: ten times as many take at most twenty times as long."""
    for few, many in zip(costs[FILES // 10], costs[FILES]):
        assert many.seconds < 20 * few.seconds, costs


def test_ten_thousand_files_of_the_repository_far_away(sites, server):
    """Each of 8 KiB and without bundles: 95 ms of distance are not paid for each of them."""
    site = sites()
    site.cluster.stop()
    many = site.cluster.data / "many"
    many.mkdir()
    own(many)
    for number in range(10_000):
        (many / str(number)).write_bytes(os.urandom(8192))
        own(many / str(number))
    site.use_sftp(server)
    site.configure(repo1_bundle="n")
    site.run("stanza-create", "--no-online")
    with delayed(server.host, server.port, 95 / 2) as port:
        site.configure(repo1_sftp_host_port=str(port), repo1_sftp_host_key_check_type="none")
        cost = run(site, "backup", "--no-online", "--type=full")
    stored = list((site.repo / "backup/demo").glob("*F/pg_data/many/*.zst"))
    assert len(stored) == 10_000
    assert cost.seconds < 30, cost


@pytest.mark.parametrize("block", ["n", "y"])
def test_workers_are_small_whatever_they_copy(sites, server, block, mebibytes=160):
    """A large file far away: in parts through several connections, and read far ahead."""
    site = sites()
    site.cluster.stop()
    large = site.cluster.data / "large"
    large.write_bytes(os.urandom(mebibytes << 20))
    own(large)
    site.use_sftp(server)
    site.configure(repo1_block=block)
    site.run("stanza-create", "--no-online")
    copy = site.restored("copy")
    restore = ("restore", f"--pg1-path={copy.data}", "--type=none")
    with delayed(server.host, server.port, 95 / 2) as port:
        site.configure(repo1_sftp_host_port=str(port), repo1_sftp_host_key_check_type="none")
        found = [run(site, "backup", "--no-online", "--type=full")]
        with large.open("r+b") as stream:
            stream.seek(mebibytes << 19)
            stream.write(os.urandom(8192))
        found += [run(site, "backup", "--no-online", "--type=incr"), run(site, *restore)]
    assert (copy.data / "large").read_bytes() == large.read_bytes()
    for cost in found:
        assert cost.workers
        assert max(cost.workers.values()) < 120 * MIB, found
        assert cost.parent < 120 * MIB, found
    shutil.rmtree(site.root)
