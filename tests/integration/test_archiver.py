# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resident archiver on a real cluster and a real sshd, while parts of it die."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import control
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import home
from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.archived_site import (
    archiver,
    cluster,
    site,
    sshd,
)
from ansible_collections.pgsftp.backup.tests.support.archiver import (
    alive,
    archive_command,
    descendants,
    drained,
    end_sessions,
    make_segments,
    ready,
    signal_all,
    stored,
    until,
)
from ansible_collections.pgsftp.backup.tests.support.engine import own

# Fixtures.
__all__ = ["archiver", "cluster", "site", "sshd"]

pytestmark = pytest.mark.integration


def test_64_ready_segments_are_sent_ahead_and_answered(site, archiver):
    names = make_segments(site, 64)
    archiver.start()
    until(lambda: set(names) <= set(stored(site)), "not sent ahead", archiver, 60)
    # Nobody has asked yet.
    assert set(names) <= set(ready(site))
    archive_command(site, archiver)
    drained(site, archiver)
    status = archiver.status()
    assert status["files"] >= 64
    assert status["lag_segments"] == 0
    assert status["error"] is None
    # By which a restore knows that the cluster is at home here.
    data = str(site.cluster.data)
    system_id = control.load(data).system_id
    assert home.is_noted(site.settings["spool-path"], "demo", data, system_id)
    # One connection a worker, not one a segment.
    assert len(archiver.workers) <= 2
    assert archiver.stop() == 0
    assert not (archiver.run_path / "demo.sock").exists()
    assert "ERROR" not in archiver.said


def test_what_is_encrypted_is_pushed_and_fetched_ahead_like_anything_else(site, archiver):
    site.repo = site.root / "sealed"
    site.configure(
        repo1_path=str(site.repo), repo1_cipher_type="aes-256-cbc", repo1_cipher_pass="a pass"
    )
    site.run("stanza-create")
    spool = site.root / "spool"
    spool.mkdir(exist_ok=True)
    own(spool)
    names = make_segments(site, 4)
    content = {name: (site.cluster.data / "pg_wal" / name).read_bytes() for name in names}
    archiver.start()
    for name in names:
        archiver.push(name)
    for name in names:
        (path,) = site.repo.glob(f"archive/demo/*/*/{name}-*")
        assert path.read_bytes().startswith(b"Salted__")

    def get(name):
        target = site.root / "got"
        asking = archiver.popen("archive-get", name, str(target))
        assert asking.wait(60) == 0
        data = target.read_bytes()
        target.unlink()
        return data

    assert get(names[0]) == content[names[0]]
    ahead = spool / "archive" / "demo" / "fetched" / names[1]
    until(lambda: f"fetched {names[1]}" in archiver.said, "not fetched ahead", archiver)
    assert ahead.read_bytes() == content[names[1]]
    for name in names[1:]:
        assert get(name) == content[name]
    assert not ahead.exists()


def test_only_the_owner_may_talk_to_it(site, archiver):
    archiver.start()
    assert (archiver.run_path / "demo.sock").stat().st_mode & 0o777 == 0o600


def test_a_second_one_is_refused(site, archiver):
    archiver.start()
    second = archiver.popen("archiver", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _dummy = second.communicate(timeout=30)
    assert second.returncode == 50
    assert b"is another archiver of stanza demo running?" in out


def test_without_an_archiver_the_command_does_the_work_and_says_so_once(site, archiver):
    first, second = make_segments(site, 2)
    said = archiver.push(first)
    assert "WARN: no archiver" in said
    assert "WARN" not in archiver.push(second)
    assert {first, second} <= set(stored(site))
    archiver.start()
    archiver.push(first)
    archiver.kill()
    (again,) = make_segments(site, 1)
    assert "WARN: no archiver" in archiver.push(again)


def test_one_that_hangs_is_waited_for_and_then_left_alone(site, archiver):
    (name,) = make_segments(site, 1)
    archiver.start()
    archiver.process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    said = archiver.push(name)
    assert "it has been silent for 10 seconds" in said
    assert time.monotonic() - begun < 40
    assert name in stored(site)


@pytest.mark.parametrize("moment", [0.02, 0.1, 0.3, 0.7])
def test_killed_at_any_moment_nothing_is_lost_or_answered_early(site, archiver, moment):
    names = make_segments(site, 12)
    archiver.start()
    until(lambda: archiver.workers, "no worker", archiver)
    asking = archiver.popen(
        "archive-push", f"pg_wal/{names[0]}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    time.sleep(moment)
    workers = archiver.workers
    archiver.kill()
    asking.communicate(timeout=60)
    # Its workers end by themselves, so that a successor is alone.
    until(lambda: not any(alive(pid) for pid in workers), "workers are left", archiver)
    assert asking.returncode == 0
    assert names[0] in stored(site)
    archiver.start()
    archive_command(site, archiver)
    drained(site, archiver)
    assert set(names) <= set(stored(site))


def test_a_worker_that_is_killed_is_replaced(site, archiver):
    archiver.start()
    until(lambda: archiver.status()["sessions"], "no session", archiver)
    os.kill(archiver.workers[0], signal.SIGKILL)
    (name,) = make_segments(site, 1)
    archiver.push(name)
    assert name in stored(site)


def test_sessions_that_are_lost_are_opened_again(site, archiver, sshd):
    archiver.start()
    (name,) = make_segments(site, 1)
    archiver.push(name)
    end_sessions(sshd)
    (name,) = make_segments(site, 1)
    archiver.push(name)
    assert name in stored(site)


def test_a_session_that_is_lost_while_nobody_asks_is_opened_again(site, archiver, sshd):
    archiver.start()
    until(lambda: archiver.status()["sessions"], "no session", archiver)
    workers = archiver.workers
    end_sessions(sshd)
    until(lambda: "; trying again" in archiver.said, "not noticed", archiver)
    until(lambda: archiver.status()["sessions"], "no other session", archiver)
    assert not set(workers) & set(archiver.workers)
    assert "lost" in archiver.status()["error"]["message"]


def test_nothing_is_answered_before_it_is_durable(site, archiver, sshd):
    archiver.start()
    until(lambda: archiver.status()["sessions"], "no session", archiver)
    (name,) = make_segments(site, 1)
    until(lambda: name in stored(site), "not sent", archiver)
    frozen = descendants(sshd.process.pid)
    signal_all(frozen, signal.SIGSTOP)
    try:
        (name,) = make_segments(site, 1)
        asking = archiver.popen("archive-push", f"pg_wal/{name}", stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            asking.wait(3)
        assert name not in stored(site)
    finally:
        signal_all(frozen, signal.SIGCONT)
    asking.communicate(timeout=60)
    assert asking.returncode == 0
    assert name in stored(site)


def test_a_stanza_that_is_stopped_gets_nothing(site, archiver):
    (site.root / "lock").mkdir(exist_ok=True)
    own(site.root / "lock")
    stop = site.root / "lock" / "demo.stop"
    stop.touch()
    archiver.start()
    (name,) = make_segments(site, 1)
    assert "stop file exists for stanza demo" in archiver.push(name, code=62)
    assert not stored(site)
    stop.unlink()
    archiver.push(name)
    assert name in stored(site)


def test_a_server_that_was_away_gets_all_of_it(site, archiver, sshd):
    archiver.start()
    until(lambda: archiver.status()["sessions"], "no session", archiver)
    sshd.stop()
    signal_all(archiver.workers, signal.SIGKILL)
    names = make_segments(site, 3)
    said = archiver.push(names[0], code=49)
    assert "unable to connect" in said or "connection" in said
    status = archiver.status()
    assert not status["reachable"]
    assert status["lag_segments"] == len(ready(site))
    assert status["lag_seconds"] > 0
    assert status["error"]["code"] == 49
    assert not set(names) & set(stored(site))
    sshd.process = subprocess.Popen(
        [real_sshd.SSHD, "-f", str(sshd.directory / "sshd_config"), "-D", "-e"],
        stderr=subprocess.DEVNULL,
    )
    until(lambda: set(names) <= set(stored(site)), "not made good", archiver, 60)
    archive_command(site, archiver)
    drained(site, archiver)
    assert archiver.status()["reachable"]


def test_one_repository_down_does_not_stop_the_other(site, archiver):
    other = site.root / "other"
    site.configure(repo2_path=str(other), repo2_type="posix")
    site.run("stanza-create")
    good = site.settings["repo1-sftp-host-port"]
    site.configure(repo1_sftp_host_port="1")
    archiver.start()
    names = make_segments(site, 3)
    until(lambda: set(names) <= set(stored(site, other)), "repo2 waits for repo1", archiver)
    said = archiver.push(names[0], code=104)
    assert "failed on 1 of 2 repositories" in said
    assert "repo1: unable to connect" in said
    # The configuration is mended while it runs.
    site.configure(repo1_sftp_host_port=good)
    until(lambda: set(names) <= set(stored(site)), "not made good", archiver, 60)
    archive_command(site, archiver)
    drained(site, archiver)


def test_a_timeline_switch_is_followed(site, archiver):
    archive_command(site, archiver)
    archiver.start()
    cluster = site.cluster
    cluster.psql("select pg_logical_emit_message(true, 'x', 'y')")
    cluster.turn_timeline()
    cluster.psql("select pg_switch_wal()")
    drained(site, archiver)
    timeline = cluster.psql("select timeline_id from pg_control_checkpoint()")
    (history,) = site.repo.glob(f"archive/demo/*/{int(timeline):08X}.history")
    assert history.read_bytes() == (cluster.data / "pg_wal" / history.name).read_bytes()
    names = stored(site)
    assert [name for name in names if name.endswith(".partial")]
    assert [name for name in names if name.startswith(f"{int(timeline):08X}")]
    said = [line for line in archiver.said.splitlines() if "stored WAL file" in line]
    first = min(number for number, line in enumerate(said) if f"'{int(timeline):08X}" in line)
    assert history.name in said[first]


def test_told_to_end_it_finishes_what_is_on_its_way(site, archiver):
    names = make_segments(site, 8)
    archiver.start()
    codes = []

    def ask(name):
        archiver.push(name)
        codes.append(0)

    threads = [threading.Thread(target=ask, args=(name,)) for name in names[:3]]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert archiver.stop() == 0
    for thread in threads:
        thread.join()
    # Every one of them was told ok, by the archiver or by the command itself, and rightly so.
    assert codes == [0, 0, 0]
    assert set(names[:3]) <= set(stored(site))
    assert not list(site.repo.rglob("*.pgbackrest.tmp"))


def test_metrics_are_written_for_prometheus(site, archiver):
    metrics = site.root / "metrics"
    metrics.mkdir()
    own(metrics)
    archiver.start(f"--archiver-metrics-path={metrics}")
    file = metrics / "pgsftp_archiver_demo.prom"
    until(file.exists, "no metrics", archiver)
    text = file.read_text()
    assert "# TYPE pgsftp_archiver_lag_segments gauge" in text
    assert 'pgsftp_archiver_lag_segments{stanza="demo",repo="1"} ' in text
    # One that is gone is not up, and not without lag.
    assert archiver.stop() == 0
    assert not list(metrics.iterdir())


def test_the_service_manager_hears_that_it_is_ready_alive_and_about_to_end(site, archiver):
    path = site.root / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        own(path)
        manager.settimeout(20)
        archiver.environ = {"NOTIFY_SOCKET": str(path)}
        archiver.start()
        assert manager.recv(100) == b"READY=1"
        # It listens when it says so: whoever is started after it may ask.
        assert archiver.status()["key"] == 1
        assert [manager.recv(100) for _beat in range(3)] == [b"WATCHDOG=1"] * 3
        assert archiver.stop() == 0
        said = []
        while not said or said[-1] != b"STOPPING=1":
            said.append(manager.recv(100))
        assert set(said[:-1]) <= {b"WATCHDOG=1"}


def test_more_than_the_queue_may_hold_is_dropped_and_the_rest_is_sent_later(site, archiver):
    good = site.settings["repo1-sftp-host-port"]
    site.configure(repo1_sftp_host_port="1", archive_push_queue_max="3MiB")
    names = make_segments(site, 6)
    archiver.start()
    said = archiver.push(names[0])
    assert said.startswith(f"WARN: dropped WAL file '{names[0]}'")
    assert "3MB" in said or "3MiB" in said or str(3 << 20) in said
    archive_command(site, archiver)
    # PostgreSQL is rid of all that is too much, and of no more.
    until(lambda: len(ready(site)) <= 3, "not dropped", archiver)
    kept = ready(site)
    assert kept == names[3:]
    assert not stored(site)
    site.configure(repo1_sftp_host_port=good)
    drained(site, archiver, 120)
    assert set(stored(site)) >= set(kept)
    assert not set(stored(site)) & set(names[:3])


def test_the_log_file_may_be_rotated_and_its_level_changed(site, archiver):
    file = site.root / "demo-archiver.log"
    archiver.start()
    until(lambda: "connected" in file.read_text(), "no log", archiver)
    file.rename(site.root / "rotated.log")
    archiver.process.send_signal(signal.SIGHUP)
    until(lambda: file.exists() and "loaded anew" in file.read_text(), "not written", archiver)
    (name,) = make_segments(site, 1)
    archiver.push(name)
    assert "stored WAL file" not in file.read_text()
    site.configure(log_level_file="detail")
    (name,) = make_segments(site, 1)
    archiver.push(name)
    assert f"stored WAL file '{name}'" in file.read_text()
    assert f"'{name}'" not in (site.root / "rotated.log").read_text()


def test_the_status_reads_well(site, archiver):
    out = archiver.popen("archiver", "status", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text, _dummy = out.communicate(timeout=30)
    assert out.returncode == 49
    assert b"the archiver of stanza demo does not answer" in text
    archiver.start()
    until(lambda: archiver.status()["sessions"], "no session", archiver)
    out = archiver.popen("archiver", "status", stdout=subprocess.PIPE)
    text, _dummy = out.communicate(timeout=30)
    assert b"repo1: ok, 1 session\n        behind: nothing" in text
