# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stanza-create and stanza-upgrade in a repository in which something is there already."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.stanza import (
    Former,
    create,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.stanza_upgrade import (
    planned,
    upgrade,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import RepoOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    FileInvalidError,
    FileMissingError,
    PathNotEmptyError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.control import (
    ControlData,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.control import control_of

REPO = RepoOptions()

FILES = (
    "archive/demo/archive.info",
    "archive/demo/archive.info.copy",
    "backup/demo/backup.info",
    "backup/demo/backup.info.copy",
)


def cluster(version: str = "15", system_id: int = 2**63 + 5) -> ControlData:
    return control_of(version=version, system_id=system_id)


@pytest.fixture
def storage(tmp_path: Path) -> PosixStorage:
    return PosixStorage(str(tmp_path))


def contents(tmp_path: Path) -> dict[str, bytes]:
    return {name: (tmp_path / name).read_bytes() for name in FILES if (tmp_path / name).exists()}


def test_the_first_time_and_the_second(storage: PosixStorage, tmp_path: Path) -> None:
    assert create(storage, REPO, "demo", cluster())
    made = contents(tmp_path)
    assert list(made) == list(FILES)
    assert not create(storage, REPO, "demo", cluster())
    assert contents(tmp_path) == made


@pytest.mark.parametrize("gone", FILES)
def test_a_twin_that_is_gone_is_written_again(
    storage: PosixStorage, tmp_path: Path, gone: str
) -> None:
    create(storage, REPO, "demo", cluster())
    made = contents(tmp_path)
    (tmp_path / gone).unlink()
    assert create(storage, REPO, "demo", cluster())
    assert contents(tmp_path) == made


@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_run_that_broke_off_is_finished(
    storage: PosixStorage, tmp_path: Path, written: int
) -> None:
    create(storage, REPO, "demo", cluster())
    made = contents(tmp_path)
    for name in FILES[written:]:
        (tmp_path / name).unlink()
    # What it was about to write lies about.
    (tmp_path / (FILES[written] + ".pgbackrest.tmp")).write_bytes(b"half")
    assert create(storage, REPO, "demo", cluster())
    assert contents(tmp_path) == made


@pytest.mark.parametrize(
    ("gone", "kept"), [(FILES[:2], "backup.info exists but archive.info"), (FILES[2:], "archive.")]
)
def test_half_of_a_stanza_in_use_is_an_error(
    storage: PosixStorage, tmp_path: Path, gone: tuple[str, ...], kept: str
) -> None:
    create(storage, REPO, "demo", cluster())
    storage.write("archive/demo/15-1/00000002.history", b"")
    storage.write("backup/demo/20261122-110720F/backup.manifest", b"")
    for name in gone:
        (tmp_path / name).unlink()
    before = contents(tmp_path)
    with pytest.raises(FileMissingError, match=kept):
        create(storage, REPO, "demo", cluster())
    assert contents(tmp_path) == before


def test_a_run_that_broke_off_between_the_files_is_finished_when_wal_has_come(
    storage: PosixStorage, tmp_path: Path
) -> None:
    """archive-push needs no backup.info: a server archives as soon as there is an archive.info."""
    create(storage, REPO, "demo", cluster())
    made = contents(tmp_path)
    for name in FILES[2:]:
        (tmp_path / name).unlink()
    segment = "archive/demo/15-1/0000000100000000/000000010000000000000001-" + 40 * "a"
    storage.write(segment, b"wal")
    assert create(storage, REPO, "demo", cluster())
    assert contents(tmp_path) == made
    assert storage.read(segment) == b"wal"


@pytest.mark.parametrize("other", [cluster("16"), cluster(system_id=7)])
def test_what_another_cluster_has_begun_is_not_finished(
    storage: PosixStorage, tmp_path: Path, other: ControlData
) -> None:
    create(storage, REPO, "demo", cluster())
    for name in FILES[2:]:
        (tmp_path / name).unlink()
    storage.make_path("archive/demo/15-1")
    before = contents(tmp_path)
    with pytest.raises(FileInvalidError):
        create(storage, REPO, "demo", other)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("path", ["archive/demo/15-1", "backup/demo/20261122-110720F"])
def test_what_is_in_its_place_is_not_taken_for_a_new_stanza(
    storage: PosixStorage, tmp_path: Path, path: str
) -> None:
    storage.make_path(path)
    with pytest.raises(PathNotEmptyError, match=path.rsplit("/", 1)[1]):
        create(storage, REPO, "demo", cluster())
    assert not contents(tmp_path)


@pytest.mark.parametrize("other", [cluster("16"), cluster(system_id=7)])
def test_of_another_cluster(storage: PosixStorage, tmp_path: Path, other: ControlData) -> None:
    create(storage, REPO, "demo", cluster())
    before = contents(tmp_path)
    with pytest.raises(FileInvalidError, match="is of another cluster"):
        create(storage, REPO, "demo", other)
    assert contents(tmp_path) == before


def test_two_files_of_different_clusters(storage: PosixStorage, tmp_path: Path) -> None:
    create(storage, REPO, "demo", cluster())
    create(storage, REPO, "other", cluster(system_id=7))
    for name in FILES[2:]:
        (tmp_path / name.replace("demo", "other")).replace(tmp_path / name)
    with pytest.raises(FileInvalidError, match="do not match on repo1"):
        create(storage, REPO, "demo", cluster())


def test_an_upgrade_that_broke_off_is_finished(storage: PosixStorage) -> None:
    """Each of the two files is looked at by itself."""
    create(storage, REPO, "demo", cluster())
    new = cluster("17", system_id=9)
    half = archive_info.load(storage, "demo", None).upgraded(9, "17")
    archive_info.save(storage, "demo", half, None)
    # What it was of is said as the file tells it that has not been written.
    assert upgrade(storage, REPO, "demo", new) == Former(2**63 + 5, "15")
    archive = archive_info.load(storage, "demo", None)
    backup = backup_info.load(storage, "demo", None)
    assert archive.current.id == backup.current.id == 2
    assert (backup.current.system_id, backup.current.version) == (9, "17")
    assert upgrade(storage, REPO, "demo", new) is None
    assert not create(storage, REPO, "demo", new)


def test_an_upgrade_is_foreseen_without_writing(storage: PosixStorage, tmp_path: Path) -> None:
    create(storage, REPO, "demo", cluster())
    before = contents(tmp_path)
    foreseen = planned(storage, REPO, "demo", cluster("17", system_id=9))
    assert foreseen.former == Former(2**63 + 5, "15")
    assert planned(storage, REPO, "demo", cluster()).former is None
    assert contents(tmp_path) == before
    with pytest.raises(FileMissingError):
        planned(storage, REPO, "other", cluster())
