# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two repositories, repo1 at an SFTP server and repo2 on this host, while the server goes away.

The line to the server can be a black hole (nothing is refused, nothing answered) or it refuses.
There is no archiver here: archive-push does the work itself.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.proxy import Proxy

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A server that lets the tests in."""
    made = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def line(sshd):
    """What the repository is reached through."""
    with Proxy((sshd.host, sshd.port)) as made:
        yield made


@pytest.fixture(scope="module")
def site(sites, new_cluster, sshd, line):
    """A cluster with a backup in both repositories, and WAL after that."""
    made = sites(new_cluster("--wal-segsize=1"))
    made.use_sftp(sshd)
    made.configure(
        repo1_sftp_host_port=str(line.port),
        repo1_sftp_host_key_check_type="none",
        repo1_sftp_known_host=None,
        repo2_path=str(made.root / "second"),
        repo2_bundle="y",
        io_timeout="60",
    )
    made.archive()
    made.run("stanza-create")
    made.cluster.psql("create table told (i int)")
    for repo in ("1", "2"):
        made.run("backup", f"--repo={repo}", "--type=full")
    made.cluster.psql("insert into told values (1); select pg_switch_wal()")
    made.run("check")
    return made


@pytest.fixture
def stopped(site, line):
    """The server refuses connections during a test."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        site.configure(repo1_sftp_host_port=str(nobody.getsockname()[1]))
        yield
    site.configure(repo1_sftp_host_port=str(line.port))


def stored(site, repo, name):
    """The files of a segment in a repository."""
    return list((site.root / repo / "archive/demo").glob(f"*/*/{name}-*"))


def quiet(site):
    """The name of a segment of which nobody pushes anything: a copy of one, on no timeline."""
    found = sorted((site.cluster.data / "pg_wal").glob("0000000100000000*"))
    data = bytearray(found[0].read_bytes())
    quiet.count = getattr(quiet, "count", 0) + 1
    path = site.root / f"0000000000000077000000{quiet.count:02X}"
    path.write_bytes(bytes(data))
    path.chmod(0o644)
    return path


def test_wal_and_backups_go_where_they_should(site):
    info = json.loads(site.run("info", "--output=json").stdout)[0]
    assert [row["database"]["repo-key"] for row in info["backup"]] == [1, 2]
    first, second = info["archive"]
    assert (first["min"], first["max"]) == (second["min"], second["max"])
    assert [row["status"]["code"] for row in info["repo"]] == [0, 0]


def test_a_silent_repository_does_not_delay_the_other(site, line):
    path = quiet(site)
    done = {}

    def push():
        done["push"] = site.run("archive-push", str(path))

    before = len(line.connects)
    with line.hole():
        pushing = threading.Thread(target=push)
        pushing.start()
        deadline = time.monotonic() + 60
        while not stored(site, "second", path.name) or len(line.connects) == before:
            assert time.monotonic() < deadline and pushing.is_alive()
            time.sleep(0.02)
        # PostgreSQL is told nothing before all repositories have it.
        assert pushing.is_alive()
        assert not stored(site, "repo", path.name)
        line_lost = list(line._links)
    for link in line_lost:
        link.cut()
    pushing.join(60)
    assert not pushing.is_alive()
    assert "push" in done
    assert stored(site, "repo", path.name)


def test_one_that_refuses_is_told_and_gets_it_later(site, stopped, line):
    path = quiet(site)
    failed = site.run("archive-push", str(path), code=104)
    assert "failed on 1 of 2 repositories" in failed.stdout + failed.stderr
    assert "repo1: " in failed.stdout + failed.stderr
    assert stored(site, "second", path.name)
    assert not stored(site, "repo", path.name)
    # PostgreSQL asks again; that repo2 has it already is no error.
    site.configure(repo1_sftp_host_port=str(line.port))
    site.run("archive-push", str(path))
    assert stored(site, "repo", path.name)
    assert len(stored(site, "second", path.name)) == 1


def test_wal_comes_from_the_first_that_has_it(site):
    name = _newest(site)
    out = site.run("archive-get", name, str(site.root / "got"))
    assert f"found {name} in the repo1 archive" in out.stdout
    for path in stored(site, "repo", name):
        path.rename(path.with_name("away"))
    out = site.run("archive-get", name, str(site.root / "got2"))
    assert f"found {name} in the repo2 archive" in out.stdout


def test_wal_comes_from_the_other_while_one_is_silent(site, line):
    name = _newest(site)
    with line.hole():
        out = site.run("archive-get", name, str(site.root / "got3"))
    assert f"found {name} in the repo2 archive" in out.stdout
    # It was not waited for: nothing is known of it yet.
    assert "repo1: " not in out.stdout + out.stderr


@pytest.mark.usefixtures("stopped")
def test_wal_comes_from_the_other_while_one_refuses(site):
    name = _newest(site)
    out = site.run("archive-get", name, str(site.root / "got4"))
    assert f"found {name} in the repo2 archive" in out.stdout
    assert "repo1: " in out.stdout + out.stderr
    # Nobody knows whether repo1 has what repo2 has not.
    site.configure(archive_timeout="1")
    missing = site.run("archive-get", "000000010000000000000099", str(site.root / "no"), code=49)
    assert "repo1: " in missing.stdout + missing.stderr
    site.configure(archive_timeout="20")


@pytest.mark.usefixtures("stopped")
def test_info_tells_of_the_one_and_goes_on_with_the_other(site):
    info = json.loads(site.run("info", "--output=json").stdout)[0]
    assert [row["status"]["code"] for row in info["repo"]] == [99, 0]
    assert "unable to connect" in info["repo"][0]["status"]["message"]
    assert [row["database"]["repo-key"] for row in info["backup"]] == [2]
    text = site.run("info").stdout
    assert "repo1: error" in text
    assert "full backup: " in text


@pytest.mark.usefixtures("stopped")
def test_a_restore_takes_the_first_that_can(site, line):
    copy = site.restored("copy")
    out = site.run("restore", f"--pg1-path={copy.data}")
    assert "repo1: " in out.stdout + out.stderr
    assert "repo2: restore backup set" in out.stdout
    # A recovery does not end before it is known what WAL repo1 has.
    site.configure(repo1_sftp_host_port=str(line.port))
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    try:
        copy.wait("select pg_is_in_recovery()", "f")
        assert copy.psql("select i from told") == "1"
    finally:
        copy.stop("immediate")


@pytest.mark.usefixtures("stopped")
def test_expire_of_the_other_is_not_kept_from_its_work(site):
    done = site.run("expire", "--repo2-retention-full=1", "--repo1-retention-full=1", code=104)
    said = done.stdout + done.stderr
    assert "repo1: " in said
    assert "repo2: 15-1 " in said


def _newest(site):
    info = json.loads(site.run("info", "--output=json", "--repo=2").stdout)[0]
    names = sorted(
        path.name[:24]
        for path in (site.root / "second/archive/demo").glob("*/0000000100000000/*-*")
    )
    assert info["archive"][0]["min"] <= names[-1]
    return names[-1]


def test_the_reads_are_of_a_command_that_anybody_may_stop(site, line):
    """A thread that waits for a dead line does not keep the process from ending."""
    with line.hole():
        process = subprocess.Popen(
            [
                str(site.command),
                f"--config={site.config}",
                "--stanza=demo",
                "info",
                "--output=json",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        before = line.open
        while line.open == before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        assert process.wait(30) != 0
