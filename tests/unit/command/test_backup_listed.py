# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup is listed when all of it is durable, however many requests are on their way together."""

from __future__ import annotations

import errno
import hashlib
import os
import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.finish import (
    StoredFiles,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.steps import (
    Backup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    backup_info,
    layout,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    PG_CONTROL,
    BackupFacts,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestOptions,
    ManifestPath,
    Target,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.resilient import (
    ResilientStorage,
)
from ansible_collections.pgsftp.backup.tests.support.sessions import sessions
from ansible_collections.pgsftp.backup.tests.support.sftp_server import SftpServer

LABEL = "20260101-000000F"
CLUSTER = (7, "15", 202209061, 1300)
COPIED = "pg_data/base/5/1259"


def row(name, data):
    made = ManifestFile(name, len(data), len(data), 1, 0o600, None, None)
    return made._replace(checksum=hashlib.sha1(data).hexdigest())


class Ending:
    """The end of a backup: one file was copied, pg_control is on its way."""

    def __init__(self, root):
        self.root = root
        self.storage = ResilientStorage(sessions(root))
        self.storage.write(layout.data_path("demo", LABEL, COPIED), b"copied")

    def run(self, *, checksum=None):
        control = row(PG_CONTROL, b"control")
        copied = row(COPIED, b"copied")
        made = Manifest(
            BackupFacts(LABEL, "full", 1, 1, 2, (LABEL,)),
            ManifestDb(1, *CLUSTER),
            ManifestOptions(compress_type="none"),
            [Target("pg_data", "path", "/data")],
            [copied if checksum is None else copied._replace(checksum=checksum), control],
            [ManifestPath("pg_data", 0o700, None, None)],
        )
        source = types.SimpleNamespace(cluster=None)
        backup = Backup(Options("backup", stanza="demo"), RepoOptions(), self.storage, source, None)
        writer = self.storage.writer(
            layout.data_path("demo", LABEL, PG_CONTROL), publish=Publish.RENAME
        )
        writer.write(b"control")
        extra = StoredFiles([control], [writer.finish()])
        info = backup_info.create(BackupDb(1, *CLUSTER), None)
        backup._list(made, info, extra, types.SimpleNamespace(announcement=None))

    def has(self, name):
        return (self.root / "backup/demo" / name).exists()


@pytest.fixture
def ending(tmp_path):
    return Ending(tmp_path / "repo")


def test_all_of_it_is_there(ending):
    ending.run()
    listed = backup_info.load(ending.storage, "demo", None).backups
    assert list(listed) == [LABEL]
    for name in ("backup.manifest", "backup.manifest.copy", PG_CONTROL, COPIED):
        assert ending.has(f"{LABEL}/{name}")


@pytest.mark.parametrize("name", [PG_CONTROL, "backup.manifest.copy", "backup.manifest"])
def test_what_does_not_get_its_name_keeps_back_all_that_follows(ending, monkeypatch, name):
    def rename(server, fields):
        source, target = server._path(fields), server._path(fields)
        if target.endswith(f"{LABEL}/{name}".encode()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.rename(source, target)
        return server._ok()

    monkeypatch.setattr(SftpServer, "_do_posix_rename", rename)
    with pytest.raises(errors.StorageError):
        ending.run()
    assert not ending.has(f"{LABEL}/backup.manifest")
    assert not ending.has("backup.info")
    assert not ending.has("backup.info.copy")


def test_what_somebody_has_removed_meanwhile_keeps_it_back(ending):
    ending.storage.remove(layout.data_path("demo", LABEL, COPIED))
    with pytest.raises(errors.FileInvalidError, match="so it is not listed"):
        ending.run()
    assert not ending.has(f"{LABEL}/backup.manifest")
    assert not ending.has("backup.info")


def test_what_no_restore_could_use_is_not_listed(ending):
    with pytest.raises(errors.FormatError, match="missing checksum for file"):
        ending.run(checksum="")
    assert not ending.has(f"{LABEL}/backup.manifest")
    assert not ending.has("backup.info")
