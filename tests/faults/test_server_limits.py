# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH servers that grant little: the work takes longer, and is done."""

from __future__ import annotations

import re

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.outcome import (
    assert_restored_as_by_stock,
    assert_verified,
    labels,
)

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """One for all the servers."""
    made = new_cluster()
    made.psql(
        "create table fact as select i, md5(i::text) a from generate_series(1, 50000) i",
    )
    return made


@pytest.fixture
def site_on(cluster, sites, tmp_path):
    """A function: the site on a server with these lines in its configuration."""
    servers = []

    def make(*lines):
        server = real_sshd.start(tmp_path, *lines)
        servers.append(server)
        site = sites(cluster)
        site.use_sftp(server)
        site.archive()
        site.run("stanza-create")
        return site, server

    yield make
    for server in servers:
        server.stop()


def connects(server):
    return len(re.findall(r"^Connection from ", server.log, re.MULTILINE))


def test_one_session_a_connection(site_on):
    site, server = site_on("MaxSessions 1")
    before = connects(server)
    site.run("backup", "--type=full")
    # Two workers, the parent, and WAL files.
    assert connects(server) - before <= 3 + 4
    assert_verified(site)
    assert_restored_as_by_stock(site, site)


def test_a_server_that_drops_who_comes_together(site_on):
    """MaxStartups: while two log in, the third has even odds; while four do, the fifth has none."""
    site, server = site_on("MaxStartups 2:50:4")
    site.configure(process_max="8")
    before = connects(server)
    site.run("backup", "--type=full")
    # Nine sessions and WAL files; of those that were dropped one comes again after another.
    assert connects(server) - before <= 30
    assert "drop connection" in server.log or "beginning MaxStartups throttling" in server.log
    assert_verified(site)
    assert_restored_as_by_stock(site, site)
    assert len(labels(site)) == 1


@pytest.mark.slow
def test_keys_that_change_every_megabyte(site_on):
    site, server = site_on("RekeyLimit 1M", "LogLevel DEBUG1")
    site.configure(compress_type="none")
    before = connects(server)
    site.run("backup", "--type=full")
    assert server.log.count("rekey out after") > 40, "the limit was never reached"
    assert connects(server) - before <= 3 + 4
    assert_verified(site)
    assert_restored_as_by_stock(site, site)
