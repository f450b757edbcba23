"""Storages to test: every verb on both kinds, and SFTP with any defect."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
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
