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

pytestmark = pytest.mark.faults


def sessions_of(sshd):
    """The processes of the server's sessions, newest last."""
    children = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except OSError:
            continue
        pid, _dummy, rest = text.partition(" (")
        children.setdefault(int(rest.rpartition(") ")[2].split()[1]), []).append(int(pid))
    return sorted(children.get(sshd.process.pid, []))


class Killer(threading.Thread):
    """Kills one session of the server every now and then."""

    def __init__(self, sshd, pause, most):
        super().__init__(daemon=True)
        self.sshd, self.pause, self.most = sshd, pause, most
        self.killed = 0
        self._end = threading.Event()
        self._random = random.Random(7)

    def run(self):
        while not self._end.wait(self.pause) and self.killed < self.most:
            pids = sessions_of(self.sshd)
            if pids:
                try:
                    os.kill(self._random.choice(pids), signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.killed += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join()


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


def labels(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return [backup["label"] for backup in stanza["backup"]]


def verified(site):
    out = site.run("verify", "--output=text").stdout
    assert "status: ok" in out or "status: error" not in out, out


def test_a_backup_survives_killed_sessions(site, sshd):
    with Killer(sshd, 0.2, 12) as killer:
        out = site.run("backup", "--type=full").stdout
    assert killer.killed, "the backup was too short to be interrupted"
    # One warning at most for each; a session that was not in use yet is not missed.
    lost = [line for line in out.splitlines() if " WARN: " in line and "connecting again" in line]
    assert len(lost) <= killer.killed
    assert len(labels(site)) == 1
    verified(site)
    assert not list(site.repo.rglob("*.pgbackrest.tmp"))


def test_a_restore_survives_killed_sessions_and_is_identical(site, sshd):
    calm = site.restored("calm")
    site.run("restore", f"--pg1-path={calm.data}", "--type=none")
    copy = site.restored("stormy")
    with Killer(sshd, 0.2, 12) as killer:
        site.run("restore", f"--pg1-path={copy.data}", "--type=none")
    assert killer.killed, "the restore was too short to be interrupted"
    names = sorted(path.relative_to(calm.data) for path in calm.data.rglob("*"))
    assert sorted(path.relative_to(copy.data) for path in copy.data.rglob("*")) == names
    for name in names:
        if (calm.data / name).is_file() and name.name != "postgresql.auto.conf":
            assert (copy.data / name).read_bytes() == (calm.data / name).read_bytes(), name


def test_a_verify_survives_killed_sessions(site, sshd):
    with Killer(sshd, 0.2, 12):
        verified(site)


def test_a_server_that_is_away_for_a_while(site, sshd):
    """The listener stops and all its sessions are killed; both come back while the backup runs."""
    seen = []

    def away():
        time.sleep(0.8)
        os.kill(sshd.process.pid, signal.SIGSTOP)
        seen.append(len(sessions_of(sshd)))
        for pid in sessions_of(sshd):
            os.kill(pid, signal.SIGKILL)
        time.sleep(4)
        os.kill(sshd.process.pid, signal.SIGCONT)

    before = len(labels(site))
    thread = threading.Thread(target=away)
    thread.start()
    site.run("backup", "--type=full")
    thread.join()
    assert seen[0] > 0
    assert len(labels(site)) == before + 1
    verified(site)


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
    assert killer.killed
    lost = [line for line in out.splitlines() if " WARN: " in line and "connecting again" in line]
    assert len(lost) <= killer.killed
    verified(site)
    assert not [path for path in site.repo.rglob("*") if path.name.endswith(".tmp")]
