# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of the server are killed, its listener goes away: the work is done all the same."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.delay_proxy import delayed
from ansible_collections.pgsftp.backup.tests.support.outcome import assert_restored_as_by_stock

pytestmark = pytest.mark.faults


def sessions_of(sshd):
    """The processes of the server's sessions that speak SFTP."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(") ")[2].split()[1])
            title = (process / "cmdline").read_text()
        except OSError:
            continue
        # Earlier it is "[accepted]" or "[priv]", and somebody waits to log in.
        if parent == sshd.process.pid and "@" in title:
            found.append(int(process.name))
    return sorted(found)


class Killer(threading.Thread):
    """Kills a session of the server now and then, ``most`` of them.

    With ``done``, which gives something that changes as the work proceeds, only after it did so.
    """

    def __init__(self, sshd, pause, most, done=None):
        super().__init__(daemon=True)
        self.sshd, self.pause, self.most, self.done = sshd, pause, most, done
        self.killed = 0
        self._end = threading.Event()
        self._random = random.Random(7)

    def run(self):
        seen = self.done() if self.done is not None else None
        while not self._end.wait(self.next_pause()) and self.killed < self.most:
            now = self.done() if self.done is not None else None
            pids = sessions_of(self.sshd)
            if not pids or (now == seen and self.done is not None):
                continue
            seen = now
            try:
                os.kill(self._random.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.killed += 1

    def next_pause(self):
        return self.pause

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join()


class AtRandom(Killer):
    """Whatever is done at the moment; ``pause`` is the mean."""

    def next_pause(self):
        return self._random.expovariate(1 / self.pause)


def files_below(path):
    """A function that counts them; those that are not whole do not count."""
    return lambda: sum(
        not name.endswith(".pgbackrest.tmp")
        for _dummy, _dirs, names in os.walk(path)
        for name in names
    )


# Sessions of a command with two workers, each of which may be killed when nobody uses it any more,
# and two of archive_command, which has a log of its own.
UNNOTICED = 3 + 2


def warnings(out):
    """What is said of lost sessions."""
    return [line for line in out.splitlines() if " WARN: " in line and "connecting again" in line]


def assert_warned_of(killer, out):
    """One warning for each loss, and no more; one that nobody used any more is not missed."""
    lost = warnings(out)
    # A session that ends before anything was said on it is none yet, but an attempt that failed.
    early = out.count("lost before SFTP began") + out.count("connection to 127.0.0.1:")
    assert killer.killed - UNNOTICED - early <= len(lost) <= killer.killed, out


@pytest.fixture(scope="module")
def site(sites, sshd):
    """A cluster that is large enough for its backup to be interrupted."""
    made = sites()
    made.use_sftp(sshd)
    # A file of its own for every relation makes many requests, none of which may be lost.
    made.configure(repo1_bundle="n", log_level_console="detail")
    made.cluster.psql(
        "create table fact as select i, md5(i::text) a, md5((i + 1)::text) b "
        "from generate_series(1, 400000) i"
    )
    made.archive()
    made.run("stanza-create")
    return made


# However fast the machine is, there is time for what is to happen.
SLOWLY = "--repo1-sftp-rate-limit=3MiB"


def labels(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return [backup["label"] for backup in stanza["backup"]]


def verified(site, *options):
    done = site.run("verify", "--output=text", *options)
    assert "status: ok" in done.stdout or "status: error" not in done.stdout, done.stdout
    return done.stdout + done.stderr


def findings(site, *options):
    """What verify gives as data, and what it says meanwhile."""
    out = site.run("verify", "--output=json", *options).stdout
    (data,) = [line for line in out.splitlines() if line.startswith("{")]
    return json.loads(data), out


@pytest.mark.parametrize("kills", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_a_backup_survives_killed_sessions(site, sshd, kills):
    before = len(labels(site))
    with Killer(sshd, 0.1, kills, files_below(site.repo / "backup")) as killer:
        out = site.run("backup", "--type=full", SLOWLY).stdout
    assert killer.killed == kills, "the backup was too short to be interrupted so often"
    assert_warned_of(killer, out)
    assert len(labels(site)) == before + 1
    verified(site)
    assert not list(site.repo.rglob("*.pgbackrest.tmp"))
    assert_restored_as_by_stock(site, site)


@pytest.mark.parametrize("pause", [0.5, pytest.param(2.0, marks=pytest.mark.slow)])
def test_a_backup_while_sessions_are_killed_at_random(site, sshd, pause):
    """At any moment, and so perhaps over and over at the same work, which is given up then."""
    before = len(labels(site))
    with AtRandom(sshd, pause, 1000) as killer:
        done = site.attempt("backup", "--type=full", SLOWLY)
    assert killer.killed >= 2, "the backup was too short to be interrupted"
    if done.returncode == 0:
        assert_warned_of(killer, done.stdout)
        assert len(labels(site)) == before + 1
    else:
        assert done.returncode == 49, done.stdout
        assert "for the 8th time at the same work" in done.stdout
        assert len(labels(site)) == before
        site.run("backup", "--type=full")
    verified(site)
    assert not list(site.repo.rglob("*.pgbackrest.tmp"))


def test_a_restore_survives_killed_sessions_and_is_identical(site, sshd):
    calm = site.restored("calm")
    site.run("restore", f"--pg1-path={calm.data}", "--type=none")
    copy = site.restored("stormy")
    with Killer(sshd, 0.2, 12, files_below(copy.data)) as killer:
        out = site.run("restore", f"--pg1-path={copy.data}", "--type=none", SLOWLY).stdout
    assert killer.killed >= 6, "the restore was too short to be interrupted"
    assert_warned_of(killer, out)
    names = sorted(path.relative_to(calm.data) for path in calm.data.rglob("*"))
    assert sorted(path.relative_to(copy.data) for path in copy.data.rglob("*")) == names
    for name in names:
        if (calm.data / name).is_file() and name.name != "postgresql.auto.conf":
            assert (copy.data / name).read_bytes() == (calm.data / name).read_bytes(), name


def test_a_verify_survives_killed_sessions(site, sshd):
    calm, _said = findings(site)
    assert calm["status"] == "ok"
    with Killer(sshd, 0.1, 12) as killer:
        stormy, out = findings(site, SLOWLY)
    assert stormy == calm
    assert killer.killed >= 4, "the verify was too short to be interrupted"
    assert_warned_of(killer, out)


def test_a_server_that_is_away_for_a_while(site, sshd):
    """The listener stops and all its sessions are killed; both come back while the backup runs."""
    killed = []
    count = files_below(site.repo / "backup")
    before, listed = count(), len(labels(site))

    def away():
        while count() < before + 20:
            time.sleep(0.01)
        os.kill(sshd.process.pid, signal.SIGSTOP)
        for pid in sessions_of(sshd):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        time.sleep(4)
        os.kill(sshd.process.pid, signal.SIGCONT)

    thread = threading.Thread(target=away, daemon=True)
    thread.start()
    out = site.run("backup", "--type=full").stdout
    thread.join()
    assert killed
    assert "connecting again" in out
    assert len(labels(site)) == listed + 1
    verified(site)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_backup_that_is_told_to_end_does_not_wait_for_a_server_that_is_away(site, sshd, number):
    """Who tells it may be systemd, which kills what takes longer than 90 seconds."""
    listed, count = len(labels(site)), files_below(site.repo / "backup")
    before = count()
    running = site.begin("backup", "--type=full", SLOWLY)
    while count() < before + 200:
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.01)
    os.kill(sshd.process.pid, signal.SIGSTOP)
    try:
        for pid in sessions_of(sshd):
            os.kill(pid, signal.SIGKILL)
        time.sleep(2)
        running.send_signal(number)
        told = time.monotonic()
        out = running.communicate(timeout=60)[0]
        took = time.monotonic() - told
    finally:
        os.kill(sshd.process.pid, signal.SIGCONT)
        running.kill()
    assert running.returncode == 63, out
    assert took < 45, out
    assert len(labels(site)) == listed
    assert not list((site.root / "lock").glob("*.lock"))
    site.run("backup", "--type=full")


def test_a_large_file_in_parts_survives_killed_connections(site, sshd):
    """Far away one file goes through several of them."""
    known = Path(site.settings["repo1-sftp-known-host"])
    before = known.read_text()
    with delayed(sshd.host, sshd.port, 15) as port:
        keys = [f"[127.0.0.1]:{port} {sshd.host_key(kind)}\n" for kind in ("ed25519", "ecdsa")]
        known.write_text(before + "".join(keys))
        site.configure(repo1_sftp_host_port=str(port))
        try:
            with Killer(sshd, 1.0, 6) as killer:
                out = site.run("backup", "--type=full", "--compress-type=none").stdout
        finally:
            site.configure(repo1_sftp_host_port=str(sshd.port))
            known.write_text(before)
    assert killer.killed >= 2
    lost = [line for line in out.splitlines() if " WARN: " in line and "connecting again" in line]
    assert len(lost) <= killer.killed
    verified(site)
    # An archive_command may have been cut off when the line went away.
    assert not list((site.repo / "backup").rglob("*.tmp"))
