# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages to test: every verb on both kinds, and SFTP with any defect."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.server import (
    MOST_READ_AHEAD,
    Budget,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects, Line, SftpServer


@pytest.fixture
def root(tmp_path):
    """The directory that is the repository."""
    return tmp_path / "repo"


@pytest.fixture
def sftp(root):
    """Make an SFTP storage: ``sftp(cut_after=5)``. Its server and line hang on it."""

    def make(*, window=1 << 40, **defects):
        root.mkdir(exist_ok=True)
        server = SftpServer(Defects(**defects))
        line = Line(server, window)
        storage = SftpStorage(Channel(line, "sftp-srv", line.close), "sftp-srv", str(root))
        # A line without time is as good as a long one.
        storage.server.read_ahead = Budget(MOST_READ_AHEAD)
        storage.test_server = server
        storage.line = line
        return storage

    return make


@pytest.fixture(params=["posix", "sftp", "sftp without extensions", "sftp of an odd server"])
def storage(request, root, sftp):
    """One storage of each kind, on ``root``."""
    if request.param == "posix":
        root.mkdir()
        return PosixStorage(str(root))
    if request.param == "sftp":
        return sftp()
    if request.param == "sftp without extensions":
        return sftp(extensions={}, rename_taken=11, no_messages=True)
    return sftp(
        refuse={"fsync@openssh.com": 8, "posix-rename@openssh.com": 8, "limits@openssh.com": 8},
        longest_read=1000,
        names_per_answer=3,
        bare_listing=True,
        no_sizes=False,
        backwards=True,
        window=5000,
        handles=2,
    )


@pytest.fixture(params=["posix", "sftp", "sftp without extensions"])
def two(request, root, sftp):
    """Two processes' storages on ``root``, neither of which knows of the other."""
    if request.param == "posix":
        root.mkdir()
        return PosixStorage(str(root)), PosixStorage(str(root))
    lacking = {"extensions": {}, "rename_taken": 11} if request.param != "sftp" else {}
    return sftp(**lacking), sftp(**lacking)
