# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a real cluster, a repository behind a real sshd, and the archiver between them."""

from __future__ import annotations

import pytest

from . import sshd as real_sshd
from .archiver import Archiver, ready, until

__all__ = ["archiver", "cluster", "site", "sshd"]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A server that lets the tests in."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """A running cluster with small segments."""
    return new_cluster("--wal-segsize=1", archive_mode="on", archive_command="false")


@pytest.fixture
def site(sites, sshd, cluster):
    """The cluster, whose WAL nobody archives yet, with a repository of its own."""
    made = sites(cluster)
    made.use_sftp(sshd)
    made.run("stanza-create")
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
