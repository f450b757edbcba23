# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository goes away in the middle of a recovery: nothing is promoted early, nothing is lost.

A real sshd is stopped while a server replays. Recovery to a target stops with it, and goes on when
it is started again; a standby stays up and catches up.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = pytest.mark.integration

# Waits at the fourth file that is asked for, until the test has done what it wants to do then.
WAIT_IN_THE_MIDDLE = """\
#!/bin/sh
cd {directory} || exit 255
echo "$1" >> asked
if [ "$(wc -l < asked)" = 4 ]; then
  touch middle
  while [ ! -e go ]; do sleep 0.05; done
fi
cd {data} && exec {command}
"""


SEGMENTS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that can be stopped."""
    made = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield made
    if made.process.poll() is None:
        made.stop()


@pytest.fixture
def sshd(server):
    """The server, running again for whoever comes next."""
    yield server
    if server.process.poll() is not None:
        server.resume()


@pytest.fixture(scope="module")
def site(sites, new_cluster, server):
    """A cluster with a backup and some segments of WAL after it; the last one is past ``target``.

    The repository is filled as a directory, which is quicker, and read through the server.
    """
    made = sites(new_cluster("--wal-segsize=1"))
    made.archive()
    made.run("stanza-create")
    made.cluster.psql("create table told (i int)")
    made.run("backup", "--type=full")
    for number in range(1, SEGMENTS + 1):
        made.cluster.psql(f"insert into told values ({number}); select pg_switch_wal()")
    made.target = made.cluster.psql("select pg_current_wal_insert_lsn()")
    made.cluster.psql("insert into told values (100); select pg_switch_wal()")
    made.run("check")
    made.cluster.stop()
    made.use_sftp(server)
    return made


def restored(site, name, *arguments, timeout="3"):
    """A copy whose restore_command waits in the middle."""
    site.configure(archive_timeout=timeout)
    copy = site.restored(name)
    site.run("restore", f"--pg1-path={copy.data}", *arguments)
    conf = copy.data / "postgresql.auto.conf"
    (command,) = re.findall(r"^restore_command = '(.*)'$", conf.read_text(), re.M)
    script = copy.root / "middle.sh"
    words = command.replace("%f", '"$1"').replace("%p", "$2").replace('""', '"')
    script.write_text(WAIT_IN_THE_MIDDLE.format(directory=copy.root, data=copy.data, command=words))
    script.chmod(0o755)
    own(script)
    copy.configure(
        unix_socket_directories=str(copy.socket),
        wal_retrieve_retry_interval="200ms",
        log_min_messages="info",
    )
    with open(conf, "a", encoding="utf-8") as stream:
        stream.write(f"restore_command = '{script} %f \"%p\"'\n")
    return copy


def launch(copy):
    """Start the server without waiting for it."""
    copy.run(
        copy.bin / "pg_ctl", "start", "--no-wait", "--silent",
        "--pgdata", copy.data, "--log", copy.log,
    )  # fmt: skip


def wait_for(path: Path, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.05)


def wait_for_text(copy, text, *, times=1, seconds=60):
    """Until the server's log says so."""
    deadline = time.monotonic() + seconds
    while copy.log.read_text().count(text) < times:
        assert time.monotonic() < deadline, copy.log.read_text()
        time.sleep(0.1)


def wait_for_end(copy, seconds: float = 60):
    """Until the server has gone."""
    deadline = time.monotonic() + seconds
    while (copy.data / "postmaster.pid").exists():
        assert time.monotonic() < deadline, copy.log.read_text()
        time.sleep(0.1)


def test_recovery_stops_and_goes_on_but_never_ends_early(site, sshd):
    copy = restored(
        site, "target", "--type=lsn", f"--target={site.target}", "--target-action=promote"
    )
    launch(copy)
    wait_for(copy.root / "middle")
    sshd.stop()
    (copy.root / "go").touch()
    wait_for_end(copy)
    said = copy.log.read_text()
    assert "child process exited with exit code 200" in said
    assert "archive recovery complete" not in said
    assert "selected new timeline" not in said
    assert (copy.data / "recovery.signal").exists()
    assert "trying again in" in said
    assert "given up after 3s, and recovery stops here" in said
    # Not once, but however often it is tried.
    launch(copy)
    wait_for_text(copy, "given up after 3s", times=2)
    wait_for_end(copy)
    assert "archive recovery complete" not in copy.log.read_text()
    sshd.resume()
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    assert copy.psql("select count(*), max(i) from told") == f"{SEGMENTS}|{SEGMENTS}"


def test_a_copy_that_asks_in_the_name_of_its_origin_is_stopped(site):
    """A command written by hand, where the configuration has the data directory of the origin."""
    copy = restored(site, "unnamed")
    script = copy.root / "middle.sh"
    text, count = re.subn(r"--pg1-path=\S+ ", "", script.read_text())
    assert count == 1
    script.write_text(text)
    (copy.root / "go").touch()
    before = sorted(path.name for path in (site.cluster.data / "pg_wal").iterdir())
    launch(copy)
    wait_for_text(copy, "child process exited with exit code 200")
    wait_for_end(copy)
    said = copy.log.read_text()
    assert f"working directory '{copy.data}' is not the same as option pg1-path" in said
    assert "archive recovery complete" not in said
    assert sorted(path.name for path in (site.cluster.data / "pg_wal").iterdir()) == before


def test_a_short_outage_is_waited_for(site, sshd):
    copy = restored(site, "short", timeout="60")
    launch(copy)
    wait_for(copy.root / "middle")
    sshd.stop()
    (copy.root / "go").touch()
    wait_for_text(copy, "trying again in")
    sshd.resume()
    wait_for_text(copy, "database system is ready to accept connections")
    copy.wait("select count(*), max(i) from told", f"{SEGMENTS + 1}|100")
    assert "exit code 200" not in copy.log.read_text()


def test_a_standby_stays_up_and_catches_up(site, sshd):
    copy = restored(site, "standby", "--type=standby")
    launch(copy)
    wait_for(copy.root / "middle")
    sshd.stop()
    (copy.root / "go").touch()
    wait_for_text(copy, "the standby will ask again", times=3)
    assert (copy.data / "postmaster.pid").exists()
    said = copy.log.read_text()
    assert "archive recovery complete" not in said
    assert "shutting down" not in said
    sshd.resume()
    wait_for_text(copy, "database system is ready to accept read-only connections")
    copy.wait("select count(*), max(i) from told", f"{SEGMENTS + 1}|100")
    assert copy.psql("select pg_is_in_recovery()") == "t"


def test_a_person_is_told_the_cause_at_once(site, sshd):
    sshd.stop()
    started = time.monotonic()
    done = site.run("archive-get", "000000010000000000000001", str(site.root / "segment"), code=49)
    assert time.monotonic() - started < 30
    assert "unable to connect" in done.stdout + done.stderr
    assert not (site.root / "segment").exists()


def test_a_broken_installation_stops_recovery_too(host_command, tmp_path):
    broken = tmp_path / "pgsftp"
    text = host_command.read_text()
    assert "sys.path.insert" in text
    broken.write_text(re.sub(r"(sys\.path\.insert\(0, ).*\)", rf'\1"{tmp_path}")', text))
    broken.chmod(0o755)
    done = subprocess.run(
        [broken, "archive-get", "x", "y"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 127
    assert "pgsftp_engine" in done.stderr
