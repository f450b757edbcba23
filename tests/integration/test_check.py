# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check on a host whose configuration names only its standby, as stock pgBackRest does it.

The peer tells a repository of another host by repo-host, which is reached through a command in the
place of SSH; we tell it by SFTP.
"""

from __future__ import annotations

import json

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def local(sites, new_cluster):
    """A primary with its repository beside it."""
    made = sites(new_cluster("--wal-segsize=1", max_wal_senders="8"))
    made.archive()
    made.run("stanza-create")
    return made


@pytest.fixture(scope="module")
def site(sites, local, tmp_path_factory):
    """The same with the repository on another host."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    made = sites(local.cluster)
    made.configure(repo1_path=str(local.repo))
    made.use_sftp(server)
    yield made
    server.stop()


@pytest.fixture(scope="module")
def standby(local):
    made = local.cluster.new_standby()
    yield made
    made.stop()


def words(cluster, key=1):
    return [f"--{name}={value}" for name, value in cluster.options(key).items()]


def beyond(site):
    """Options for the peer: the repository of the site is on another host."""
    ssh = site.root / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    own(ssh)
    return ["--repo1-host=sftp-srv", f"--repo1-host-config={site.config}", f"--cmd-ssh={ssh}"]


def test_a_standby_that_knows_only_itself(local, site, standby):
    """Nobody can switch WAL there, which is no fault of this host."""
    peer = local.pgbackrest("check", *words(standby), *beyond(local)).stdout
    out = site.run("check", *words(standby)).stdout
    for said in (peer, out):
        assert ": switch wal not performed because this is a standby\n" in said
        assert "check command end: completed successfully" in said
    assert "INFO: check stanza 'demo' (standby)\n" in out


def test_what_is_said_of_it_as_data(site, standby):
    quiet = ["--log-level-console=off", "--output=json"]
    found = json.loads(site.run("check", *words(standby), *quiet).stdout)
    assert found["standby"]
    assert [repo["segment"] for repo in found["repos"]] == [None]
    assert "WARN" not in site.run("check", *words(standby), "--no-archive-check").stdout


def test_a_standby_of_another_cluster_than_the_stanza(local, site, new_cluster):
    other = new_cluster("--wal-segsize=1").new_standby()
    try:
        local.pgbackrest("check", *words(other), *beyond(local), code=28)
        out = site.run("check", *words(other), code=28).stdout
    finally:
        other.stop()
    assert "the stanza on repo1 is of another cluster" in out


def test_a_standby_that_runs_elsewhere(site, standby):
    given = [f"--pg1-path={site.cluster.data}", *words(standby)[1:]]
    out = site.run("check", *given, code=58).stdout
    assert f"the server runs in '{standby.data}', but pg1-path is" in out


def test_a_standby_without_a_stanza(site, standby):
    out = site.run("check", *words(standby), f"--repo1-path={site.root}/none", code=55).stdout
    assert "has stanza-create been run?" in out


def test_where_a_primary_should_be_known(local, site, standby):
    """The host of the repository, and whoever names a second host: there the primary is missing."""
    nobody = {**site.cluster.options(2), "pg2-port": "1"}
    both = [*words(standby), *(f"--{name}={value}" for name, value in nobody.items())]
    for place, given, remote in (
        (local, words(standby), []),
        (local, both, beyond(local)),
        (site, both, []),
    ):
        if place is local:
            said = place.pgbackrest("check", *given, *remote, code=27)
            assert "primary database not found" in said.stderr
        if not remote:
            said = place.run("check", *given, code=56)
            assert "unable to find a primary cluster" in said.stdout
