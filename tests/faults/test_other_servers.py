# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs than OpenSSH's internal-sftp: backup, check, verify, expire, and a restore that is
the same as stock pgBackRest's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from ansible_collections.pgsftp.backup.tests.support import asyncssh_server, proftpd_server
from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.outcome import (
    assert_restored_as_by_stock,
    assert_verified,
    labels,
    labels_of_stock,
)
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = pytest.mark.faults

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """One for all the servers."""
    return new_cluster()


@pytest.fixture
def sshd(tmp_path):
    """A server; it gives its keys to others, too."""
    server = real_sshd.start(tmp_path, subsystem=SFTP_SERVER)
    yield server
    server.stop()


def check_life(site):
    site.archive()
    site.run("stanza-create")
    quiet = ("--log-level-console=off", "--output=json")
    (repo,) = json.loads(site.run("check", *quiet).stdout)["repos"]
    assert repo["segment"]
    site.run("backup", "--type=full")
    site.run("backup", "--type=incr")
    site.run("backup", "--type=full", "--no-repo1-bundle")
    assert len(labels(site)) == 3
    assert_verified(site)
    site.run("expire", "--repo1-retention-full=1")
    assert len(labels(site)) == 1
    assert labels(site) == labels_of_stock(site)
    assert_restored_as_by_stock(site, site)
    names = sorted(path.name for path in site.repo.iterdir())
    assert names == ["archive", "backup"], "scratch directories are left"
    return repo["preflight"]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists(SFTP_SERVER), reason="no external sftp-server")
def test_the_external_sftp_server(sites, cluster, sshd):
    site = sites(cluster)
    site.use_sftp(sshd)
    found = check_life(site)
    assert all(trial["works"] for trial in found["trials"])


def test_asyncssh(sites, cluster, sshd):
    with subprocess.Popen(
        [sys.executable, asyncssh_server.__file__, str(sshd.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            port = int(process.stdout.readline())
            site = sites(cluster)
            site.use_sftp(dataclasses.replace(sshd, port=port))
            found = check_life(site)
            assert "AsyncSSH" in found["software"]
        finally:
            process.stdin.close()


@pytest.mark.slow
@pytest.mark.skipif(proftpd_server.MISSING, reason="no ProFTPD with mod_sftp, or not root")
def test_proftpd(sites, cluster, sshd):
    with proftpd_server.running(sshd) as port:
        site = sites(cluster)
        site.use_sftp(dataclasses.replace(sshd, port=port, user=OWNER))
        found = check_life(site)
        assert "mod_sftp" in found["software"]
        assert {trial["name"] for trial in found["trials"] if not trial["works"]} <= {"limits"}
