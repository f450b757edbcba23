# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests in the repository: where they lie, and when they get their names."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    FormatError,
    StorageFullError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (
    Publish,
    Writer,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.server import (
    WRITE_AHEAD,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.tests.support.manifests import (
    LABEL,
    example,
    file,
)
from ansible_collections.pgsftp.backup.tests.support.sftp_server import (
    ALL_EXTENSIONS,
    Defects,
    Line,
    SftpServer,
)


def test_where_it_is_saved(storage: PosixStorage, tmp_path: Path) -> None:
    whole = example()
    manifest.save(storage, "demo", whole, None)
    directory = tmp_path / "backup/demo" / LABEL
    text = (directory / "backup.manifest").read_text()
    assert text == manifest.render(whole)
    assert (directory / "backup.manifest.copy").read_text() == text
    history = tmp_path / "backup/demo/backup.history/2026" / f"{LABEL}.manifest.gz"
    assert gzip.decompress(history.read_bytes()).decode() == text


def test_a_checkpoint_is_no_backup(storage: PosixStorage, tmp_path: Path) -> None:
    manifest.save_checkpoint(storage, "demo", example([file("pg_data/a", checksum=None)]), None)
    names = [path.name for path in (tmp_path / "backup/demo" / LABEL).iterdir()]
    assert names == ["backup.manifest.copy"]


class _Full(PosixStorage):
    def writer(self, path: str, *, publish: Publish, most: int = 0) -> Writer:
        if path.endswith(".copy"):
            raise StorageFullError("full")
        return super().writer(path, publish=publish)


def test_the_manifest_comes_last(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError):
        manifest.save(_Full(str(tmp_path)), "demo", example(), None)
    assert not list((tmp_path / "backup/demo").glob("2*/*"))


def few(root: Path, handles: int, *, told: bool) -> SftpStorage:
    """An SFTP server that has only so many handles, whether or not it says so."""
    limits = (262144, 261120, 261120, handles)
    extensions = ALL_EXTENSIONS if told else {}
    line = Line(SftpServer(Defects(handles=handles, limits=limits, extensions=extensions)))
    return SftpStorage(Channel(line, "sftp-srv", line.close), "sftp-srv", str(root))


@pytest.mark.parametrize("cipher_pass", [None, "manifest-pass"])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("handles", [1, 2])
def test_a_large_manifest_with_few_handles(
    tmp_path: Path, handles: int, told: bool, cipher_pass: str | None
) -> None:
    whole = example([file(f"pg_data/{number:04}{'x' * 8000}") for number in range(2300)])
    storage = few(tmp_path, handles, told=told)
    announcement = manifest.begin_checkpoint(storage, "demo", example(), cipher_pass)
    looked: list[bool] = []
    saving = manifest.begin_save(
        storage, "demo", whole, cipher_pass, after=[_Look(looked)], announcement=announcement
    )
    saving.wait()
    assert looked == [True]
    directory = tmp_path / "backup/demo" / LABEL
    assert (directory / "backup.manifest").stat().st_size > WRITE_AHEAD
    history = tmp_path / "backup/demo/backup.history/2026" / f"{LABEL}.manifest.gz"
    found = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert found == [directory / "backup.manifest", directory / "backup.manifest.copy", history]
    assert manifest.load(storage, "demo", LABEL, cipher_pass).files == whole.files
    if cipher_pass is None:
        text = (directory / "backup.manifest").read_bytes()
        assert (directory / "backup.manifest.copy").read_bytes() == text
        assert gzip.decompress(history.read_bytes()) == text


class _Look:
    """The last look before the backup is listed."""

    def __init__(self, looked: list[bool]) -> None:
        self._looked = looked

    def ready(self) -> bool:
        return False

    def wait(self) -> None:
        self._looked.append(True)


def test_a_directory_must_keep_its_name(storage: PosixStorage, tmp_path: Path) -> None:
    manifest.save(storage, "demo", example(), None)
    (tmp_path / "backup/demo" / LABEL).rename(tmp_path / "backup/demo/20261122-110721F")
    with pytest.raises(FormatError, match="has the manifest of backup '20261122-110720F'"):
        manifest.load(storage, "demo", "20261122-110721F", None)
