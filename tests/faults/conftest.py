# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that break something on purpose."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.engine import (
    host_command,
    sites,
)
from ansible_collections.pgsftp.backup.tests.support.lab import deployed_lab
from ansible_collections.pgsftp.backup.tests.support.postgres import new_cluster

# Fixtures for the tests of this directory.
__all__ = ["deployed_lab", "host_command", "new_cluster", "sites"]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A server that lets the tests in."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()
