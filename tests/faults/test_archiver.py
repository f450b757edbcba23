# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archiver while segments are on their way: whatever is killed, frozen or restarted then.

The line to the repository is slow enough for a segment to be on its way whenever something happens.
``stored`` fails for anything that has a final name and is not whole, or is there twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from ansible_collections.pgsftp.backup.tests.support.archiver import (
    Archiver,
    archive_command,
    drained,
    end_sessions,
    make_segments,
    ready,
    signal_all,
    stored,
    until,
)
from ansible_collections.pgsftp.backup.tests.support.proxy import Proxy
from ansible_collections.pgsftp.backup.tests.support.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.integration]

# Bytes a second; a segment has 1 MiB of which little is left by compression.
RATE = 400_000


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """A running cluster with small segments."""
    return new_cluster("--wal-segsize=1", archive_mode="on", archive_command="false")


@pytest.fixture
def proxy(sshd):
    with Proxy((sshd.host, sshd.port), rate=RATE) as made:
        yield made


@pytest.fixture
def site(sites, sshd, cluster, proxy):
    """The cluster, with a repository of its own behind a slow line."""
    made = sites(cluster)
    made.use_sftp(sshd)
    made.configure(compress_type="none", repo1_sftp_host_key_check_type="none")
    made.configure(repo1_sftp_known_host=None)
    made.run("stanza-create")
    made.configure(repo1_sftp_host_port=str(proxy.port))
    cluster.configure(archive_command="false")
    cluster.reload()
    yield made
    cluster.configure(archive_command="true")
    cluster.reload()
    until(lambda: not ready(made), "segments are left")


@pytest.fixture
def archiver(site):
    made = Archiver(site)
    yield made
    made.stop()
    made.forget()


def on_its_way(site):
    """A segment whose bytes are arriving, under its temporary name."""
    return [path for path in site.repo.rglob("*.pgbackrest.tmp") if path.stat().st_size]


def begun(site, archiver):
    until(lambda: on_its_way(site), "nothing is on its way", archiver)


def test_killed_in_the_middle_of_a_segment_again_and_again(site, archiver, proxy):
    names = make_segments(site, 3)
    for _turn in range(3):
        archiver.start()
        begun(site, archiver)
        workers = archiver.workers
        archiver.kill()
        assert not set(names) & set(stored(site))
        until(lambda pids=workers: not any(map(_runs, pids)), "workers are left", archiver)
        for path in on_its_way(site):
            path.unlink()
    proxy.rate = None
    archiver.start()
    archive_command(site, archiver)
    drained(site, archiver)
    assert set(names) <= set(stored(site))


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_server_s_side_is_killed_in_the_middle_of_a_segment(site, archiver, proxy, sshd):
    names = make_segments(site, 3)
    archiver.start()
    for _turn in range(3):
        begun(site, archiver)
        end_sessions(sshd)
        assert not set(names) & set(stored(site))
        for path in on_its_way(site):
            path.unlink()
    proxy.rate = None
    archive_command(site, archiver)
    drained(site, archiver)
    assert set(names) <= set(stored(site))


@pytest.mark.parametrize("mode", [pytest.param("fast", marks=pytest.mark.slow), "immediate"])
def test_postgresql_restarts_in_the_middle_of_a_segment(site, archiver, proxy, mode):
    archive_command(site, archiver)
    archiver.start()
    write_segments(site)
    begun(site, archiver)
    names = ready(site)
    site.cluster.stop(mode)
    site.cluster.start()
    drained(site, archiver)
    assert set(names) <= set(stored(site))


def write_segments(site):
    for _number in range(3):
        site.cluster.psql("select pg_logical_emit_message(true, 'x', repeat('y', 400000))")
        site.cluster.psql("select pg_switch_wal()")


@pytest.mark.slow
def test_frozen_while_postgresql_asks_it_is_done_without(site, archiver, proxy):
    proxy.rate = None
    before = archived(site)
    archive_command(site, archiver)
    archiver.start()
    until(lambda: archiver.status()["sessions"], "no session", archiver)
    frozen = [archiver.process.pid, *archiver.workers]
    signal_all(frozen, signal.SIGSTOP)
    try:
        site.cluster.psql("select pg_logical_emit_message(true, 'x', 'y')")
        name = site.cluster.psql("select pg_walfile_name(pg_switch_wal())")
        # Bounded: ten seconds of silence, and then by itself.
        until(lambda: name in stored(site), "not without it", archiver, 60)
    finally:
        signal_all(frozen, signal.SIGCONT)
    drained(site, archiver)
    new = archived(site) - before
    assert name in new
    assert new <= set(stored(site))


def test_a_worker_alone_is_frozen_and_another_one_sends_what_it_had(site, archiver, proxy):
    site.configure(io_timeout="5")
    (name,) = make_segments(site, 1)
    archiver.start()
    asking = archiver.popen("archive-push", f"pg_wal/{name}", stderr=subprocess.PIPE)
    begun(site, archiver)
    frozen = archiver.workers
    signal_all(frozen, signal.SIGSTOP)
    proxy.rate = None
    # The archiver goes on saying that it is alive, so that nobody else would notice.
    _dummy, said = asking.communicate(timeout=60)
    assert asking.returncode == 0
    assert b"the process that had the file hung" in said
    assert name in stored(site)
    assert "hung for 10 seconds" in archiver.said
    until(lambda: archiver.status()["sessions"], "no other worker", archiver)
    assert not set(frozen) & set(archiver.workers)
    (other,) = make_segments(site, 1)
    archiver.push(other)
    assert other in stored(site)


def archived(site):
    """What PostgreSQL takes for archived."""
    status = site.cluster.data / "pg_wal" / "archive_status"
    return {path.stem for path in status.glob("0*.done") if len(path.stem) == 24}


def test_whatever_postgresql_takes_for_archived_is_there_at_every_moment(
    site, archiver, proxy, sshd
):
    proxy.rate = 4 * RATE
    before = archived(site)
    with Witness(site, archiver) as witness:
        archiver.start()
        write_segments(site)
        victims = ["worker", "session", "archiver"]
        for number in range(6):
            time.sleep(0.4)
            victim = victims[number % 3]
            if victim == "worker":
                signal_all(archiver.workers[:1], signal.SIGKILL)
            elif victim == "session":
                end_sessions(sshd)
            else:
                archiver.kill()
                archiver.start()
        proxy.rate = None
        drained(site, archiver)
    new = archived(site) - before
    assert new and new <= set(stored(site))
    assert all(map(witness.saw, new))
    assert witness.early == set()


def test_the_witness_accuses_who_says_so_too_early(site, archiver):
    with Witness(site, archiver) as witness:
        script = witness.script
        script.write_text(
            script.read_text().replace(" archive-push ", " archive-push /nowhere; : ")
        )
        (name,) = make_segments(site, 1)
        until(lambda: witness.saw(name), "not acknowledged")
        # It is there in the end, and was not then.
        archiver.start()
        archiver.push(name)
    assert name in witness.early


def test_one_of_two_that_falls_silent_in_the_middle_of_a_segment_is_waited_for(
    site, archiver, proxy
):
    other = site.root / "other"
    site.configure(repo2_path=str(other), repo2_type="posix", io_timeout="3s")
    proxy.rate = None
    site.run("stanza-create")
    proxy.rate = RATE
    names = make_segments(site, 3)
    archiver.start()
    begun(site, archiver)
    with proxy.hole():
        until(lambda: set(names) <= set(stored(site, other)), "repo2 waits for repo1", archiver)
        # One has it, which is not enough.
        said = archiver.push(names[-1], code=104)
        assert "archive-push failed on 1 of 2 repositories" in said
        assert "repo1: " in said and "repo2: " not in said
        assert names[-1] not in stored(site)
    proxy.rate = None
    with Witness(site, archiver, other) as witness:
        drained(site, archiver, 120)
    assert set(names) <= set(stored(site)) & set(stored(site, other))
    assert all(map(witness.saw, names))
    assert witness.early == set()


def test_duplicates_asked_for_at_once_are_sent_once(site, archiver, proxy):
    (name,) = make_segments(site, 1)
    archiver.start()
    asking = [
        archiver.popen("archive-push", f"pg_wal/{name}", stdout=subprocess.DEVNULL)
        for _number in range(4)
    ]
    begun(site, archiver)
    assert len(on_its_way(site)) == 1
    proxy.rate = None
    assert [process.wait(60) for process in asking] == [0] * 4
    assert archiver.status()["files"] == len(stored(site))
