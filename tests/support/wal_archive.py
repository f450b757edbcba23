# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of empty segments and real histories, and the entry of a backup to go with it."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import cluster_archive
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive_info import (
    ArchiveDb,
    ArchiveInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

SIZE = 16 << 20
SHA1 = "0" * 40
INFO = ArchiveInfo((ArchiveDb(1, 6, "15"),), 1)
# From segment 2 to 3.
BACKUP = BackupEntry(
    "20260101-000000F", "full", 1, 1, 2, 1, 1, 1, 1,
    "000000010000000000000002", "000000010000000000000003", "0/2000028", "0/3000100",
)  # fmt: skip


class Repo:
    def __init__(self, root):
        self.root = root
        self.top = root / "archive/demo/15-1"
        self.top.mkdir(parents=True)

    def segments(self, *numbers, line=1, suffix=""):
        for number in numbers:
            name = f"{line:08X}{0:08X}{number:08X}"
            path = self.top / name[:16]
            path.mkdir(exist_ok=True)
            (path / f"{name}{suffix}-{SHA1}.gz").touch()

    def history(self, line, *forks):
        text = "".join(f"{old}\t0/{lsn:X}\tno reason\n" for old, lsn in forks)
        (self.top / f"{line:08X}.history").write_text(text)

    @property
    def archive(self):
        return self.of_version("15")

    def of_version(self, version):
        """What it has for a cluster of this version."""
        return cluster_archive.ClusterArchive(
            PosixStorage(str(self.root)), "demo", INFO, version=version, system_id=6
        )
