# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup whose files are not all in the repository is not listed."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import whole
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FileInvalidError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    BackupFacts,
    Block,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestOptions,
    ManifestPath,
    Target,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import FileKind
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

FULL = "20260101-000000F"
DIFF = "20260101-000000F_20260102-000000D"
LABEL = "20260101-000000F_20260103-000000I"

# What the repository holds of the backup, and the manifests of what it builds on.
STORED = {
    f"{LABEL}/pg_data/base/5/alone.zst": 20,
    f"{LABEL}/pg_data/base/5/blocks.pgbi": 30,
    f"{LABEL}/bundle/1": 150,
    f"{DIFF}/backup.manifest": 5,
    f"{FULL}/backup.manifest": 5,
}


def row(name, size, repo_size, **changes):
    made = ManifestFile(f"pg_data/base/5/{name}", size, repo_size, 1, 0o600, None, None)
    return made._replace(checksum="0" * 40, **changes)


FILES = [
    row("alone", 100, 20),
    row("blocks", 100, 30, block=Block(8192, map_size=10)),
    row("two", 100, 50, bundle_id=1, bundle_offset=100),
    row("one", 100, 100, bundle_id=1),
    row("nothing", 0, 0),
    row("there", 100, 100, bundle_id=7, reference=FULL),
]


def incremental(files=None, **changes):
    facts = BackupFacts(LABEL, "incr", 1, 1, 2, (FULL, DIFF, LABEL), prior=DIFF, bundle=True)
    return Manifest(
        facts,
        ManifestDb(1, 7, "15", 202209061, 1300),
        ManifestOptions(compress_type="zst"),
        [Target("pg_data", "path", "/data")],
        FILES if files is None else files,
        [ManifestPath("pg_data", 0o700, None, None)],
        **changes,
    )


@pytest.fixture
def storage(tmp_path):
    made = PosixStorage(str(tmp_path))
    for path, size in STORED.items():
        made.write(f"backup/demo/{path}", bytes(size))
    return made


def test_what_is_looked_for():
    found = whole.files("demo", incremental())
    assert {path: row.size for path, row in found.items()} == {
        f"backup/demo/{path}": 1 if path.endswith("manifest") else size
        for path, size in STORED.items()
    }


def test_a_whole_backup(storage):
    whole.Check(storage, "demo", incremental()).wait()
    # What was resumed of a bundle may be followed by what was not.
    storage.write(f"backup/demo/{LABEL}/bundle/1", bytes(151))
    whole.Check(storage, "demo", incremental()).wait()


@pytest.mark.parametrize("path", STORED)
def test_a_file_that_is_gone(storage, path):
    storage.remove(f"backup/demo/{path}")
    with pytest.raises(FileInvalidError) as caught:
        whole.Check(storage, "demo", incremental()).wait()
    assert caught.value.message == (
        f"backup {LABEL} is not whole in the repository, so it is not listed: '{path}' is missing"
    )
    assert caught.value.hint.startswith("did another host")


@pytest.mark.parametrize(
    "path, size",
    [("pg_data/base/5/alone.zst", 19), ("pg_data/base/5/blocks.pgbi", 31), ("bundle/1", 149)],
)
def test_a_file_of_another_size(storage, path, size):
    storage.write(f"backup/demo/{LABEL}/{path}", bytes(size))
    with pytest.raises(FileInvalidError, match=rf"{path}' has {size} bytes instead of"):
        whole.Check(storage, "demo", incremental()).wait()


def test_a_directory_in_its_place(storage):
    storage.remove(f"backup/demo/{LABEL}/bundle/1")
    storage.make_path(f"backup/demo/{LABEL}/bundle/1")
    with pytest.raises(FileInvalidError, match="bundle/1' is no file"):
        whole.Check(storage, "demo", incremental()).wait()


def test_many_that_are_gone(storage):
    files = [row(f"gone{number}", 1, 1) for number in range(803)]
    with pytest.raises(FileInvalidError, match=r"gone4\.zst' is missing and 798 more"):
        whole.Check(storage, "demo", incremental(files)).wait()


def test_a_server_that_keeps_sizes_to_itself(storage, monkeypatch):
    """It does not even say what kind of file something is. That it is there shows nevertheless."""
    infos = type(storage).info_many

    def without_sizes(self, paths):
        rows = infos(self, paths)
        return [row and row._replace(kind=FileKind.SPECIAL, size=0) for row in rows]

    monkeypatch.setattr(type(storage), "info_many", without_sizes)
    whole.Check(storage, "demo", incremental()).wait()
    storage.remove(f"backup/demo/{LABEL}/bundle/1")
    with pytest.raises(FileInvalidError, match="bundle/1' is missing"):
        whole.Check(storage, "demo", incremental()).wait()
