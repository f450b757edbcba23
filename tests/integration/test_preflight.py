# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check says what the server of a repository can do, and leaves nothing on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.documented import run_documented

pytestmark = pytest.mark.integration

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """One for all."""
    return new_cluster()


@pytest.fixture
def site_on(cluster, sites, tmp_path):
    """A function: a stanza on a server with this subsystem."""
    servers = []

    def make(subsystem="internal-sftp"):
        servers.append(real_sshd.start(tmp_path, subsystem=subsystem))
        site = sites(cluster)
        site.use_sftp(servers[-1])
        site.server = servers[-1]
        site.archive()
        site.run("stanza-create")
        return site

    yield make
    for server in servers:
        server.stop()


def test_the_table_and_the_data(site_on):
    site = site_on()
    out = site.run("check", "--log-level-console=off").stdout
    assert out.startswith(f"repo1: 127.0.0.1:{site.repo} (OpenSSH_")
    for name in ("create", "exclusive create", "fsync", "rename over", "range read", "statvfs"):
        assert f"    {name:<18}yes" in out, out
    for name in ("round trip", "upload", "download", "free space", "open files"):
        assert f"    {name:<18}" in out
    assert sorted(path.name for path in site.repo.iterdir()) == ["archive", "backup"]
    quiet = ("--log-level-console=off", "--no-archive-check", "--output=json")
    (repo,) = json.loads(site.run("check", *quiet).stdout)["repos"]
    assert repo["segment"] is None
    found = repo["preflight"]
    assert all(trial["works"] for trial in found["trials"])
    assert 0 < found["round_trip"] < 5
    assert found["free"] > 0
    (repo,) = json.loads(site.run("check", *quiet, "--no-preflight").stdout)["repos"]
    assert repo["preflight"] is None


def test_the_module_returns_it_as_data(site_on, playbook):
    site = site_on()
    result = run_documented(playbook, "check", site=site)
    (repo,) = result["check"]["repos"]
    found = repo["preflight"]
    assert found["location"] == f"127.0.0.1:{site.repo}"
    assert {"fsync", "rename over", "statvfs"} <= {trial["name"] for trial in found["trials"]}
    assert all(trial["works"] is True for trial in found["trials"])
    assert 0 < found["round_trip"] < 5
    assert found["free"] > 0
    given = {"options": {"preflight": "n"}}
    (repo,) = run_documented(playbook, "check", site=site, **given)["check"]["repos"]
    assert repo["preflight"] is None


def test_before_there_is_a_stanza(site_on):
    site = site_on()
    shutil.rmtree(site.repo)
    done = site.run("check", code=55)
    assert "has stanza-create been run?" in done.stdout
    assert "    rename over       yes" in done.stdout
    assert not site.repo.exists()
    # Nor is a cluster needed for it.
    site.run("stanza-create")
    site.cluster.stop()
    try:
        done = site.run("check", "--log-level-console=warn", code=56)
        assert "    rename over       yes" in done.stdout
    finally:
        site.cluster.start()


def test_the_table_comes_before_the_wait_for_wal(site_on):
    site = site_on()
    site.cluster.configure(archive_command="false pgbackrest")
    site.cluster.reload()
    done = site.run("check", "--archive-timeout=1", code=82)
    table, failed = (done.stdout.index(text) for text in ("    rename over", "was not archived"))
    assert table < failed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_named(site_on):
    site = site_on()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(site.repo)]
    subprocess.run(command, check=True)
    try:
        done = site.run("check", code=64)
    finally:
        subprocess.run(["umount", "-l", str(site.repo)], check=True)
    assert re.search(r"repository: write: no space left on the server \(\d+ bytes f", done.stdout)


@pytest.mark.skipif(not os.path.exists(SFTP_SERVER), reason="no external sftp-server")
def test_what_the_administrator_switched_off(site_on):
    site = site_on(f"{SFTP_SERVER} -P fsync,posix-rename,statvfs")
    out = site.run("check", "--log-level-console=off").stdout
    assert "fsync             no          refused with status 3 Permission denied" in out, out
    assert "    * the server decides when files are durable" in out
    assert "    * free space cannot be asked for" in out


@pytest.mark.skipif(not os.path.exists(SFTP_SERVER), reason="no external sftp-server")
def test_a_server_that_takes_nothing_fails_the_check(site_on):
    site = site_on()
    server = site.server
    server.stop()
    config = server.directory / "sshd_config"
    config.write_text(config.read_text().replace("internal-sftp", f"{SFTP_SERVER} -P mkdir"))
    server.resume()
    done = site.run("check", code=105)
    assert "cannot serve as a repository: make directory: permission denied" in done.stdout
    assert "may this user write" in done.stdout
    assert "    create            -           not tried" in done.stdout
    assert sorted(path.name for path in Path(site.repo).iterdir()) == ["archive", "backup"]
