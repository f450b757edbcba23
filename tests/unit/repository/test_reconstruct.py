# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup.info is put right from what lies in the repository."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import TransportLostError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    backup_info,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    reconstruct as rule,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    Manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Reader
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.fixtures import (
    FixtureRepositories,
    FixtureRepository,
)

FULL = "20261122-113150F"
DIFF = FULL + "_20261122-113152D"
INCR = FULL + "_20261122-113154I"


@pytest.fixture
def repository(fixture_repositories: FixtureRepositories, tmp_path: Path) -> FixtureRepository:
    return fixture_repositories["b"].copy_to(tmp_path)


def load(repository: FixtureRepository) -> tuple[PosixStorage, BackupInfo]:
    storage = PosixStorage(str(repository.path))
    return storage, backup_info.load(storage, "demo", None)


def remove(repository: FixtureRepository, name: str) -> None:
    (repository.path / "backup/demo" / name / "backup.manifest").unlink()


def test_nothing_to_do(repository: FixtureRepository) -> None:
    storage, info = load(repository)
    result = rule.load_reconstructed(storage, "demo", None)
    on_disk = {FULL: True, DIFF: True, INCR: True}
    assert result == rule.Reconstruction(info, on_disk=on_disk, history=tuple(on_disk))
    assert not result.changed


def test_a_backup_without_manifest_goes_with_its_dependents(repository: FixtureRepository) -> None:
    remove(repository, DIFF)
    storage, _info = load(repository)
    result = rule.load_reconstructed(storage, "demo", None)
    # The incr is whole but of no use; it stays in the repository and is not listed again.
    assert result.removed == (DIFF, INCR)
    assert result.added == ()
    assert result.invalid == (INCR,)
    assert list(result.info.backups) == [FULL]
    assert result.changed


def test_the_copy_of_a_manifest_is_not_enough(repository: FixtureRepository) -> None:
    remove(repository, FULL)
    storage, _info = load(repository)
    result = rule.load_reconstructed(storage, "demo", None)
    assert result.removed == (FULL, DIFF, INCR)
    assert not result.info.backups


@pytest.mark.parametrize("unlisted", [[INCR], [DIFF, INCR], [FULL, DIFF, INCR]])
def test_what_is_not_listed_is_added(repository: FixtureRepository, unlisted: list[str]) -> None:
    storage, info = load(repository)
    backup_info.save(storage, "demo", info.without_backups(unlisted), None)
    result = rule.load_reconstructed(storage, "demo", None)
    assert result.added == tuple(unlisted)
    assert result.info.backups == info.backups


def test_a_dependent_without_its_full_backup_is_passed_over(repository: FixtureRepository) -> None:
    shutil.rmtree(repository.path / "backup/demo" / FULL)
    storage, info = load(repository)
    backup_info.save(storage, "demo", info.without_backups([FULL, DIFF, INCR]), None)
    result = rule.load_reconstructed(storage, "demo", None)
    assert not result.info.backups
    assert result[1:4] == ((), (), ())


def test_a_backup_of_another_cluster_is_not_added(repository: FixtureRepository) -> None:
    storage, info = load(repository)
    other = dataclasses.replace(
        info.without_backups([FULL, DIFF, INCR]),
        history=(info.current._replace(system_id=1),),
    )
    backup_info.save(storage, "demo", other, None)
    result = rule.load_reconstructed(storage, "demo", None)
    assert result.invalid == (FULL,)
    assert not result.info.backups


def test_a_manifest_that_cannot_be_read_is_not_added(repository: FixtureRepository) -> None:
    storage, info = load(repository)
    backup_info.save(storage, "demo", info.without_backups([INCR]), None)
    for name in ("backup.manifest", "backup.manifest.copy"):
        (repository.path / "backup/demo" / INCR / name).write_text("[backrest]\n")
    result = rule.load_reconstructed(storage, "demo", None)
    assert result.invalid == (INCR,)


class _Lost(PosixStorage):
    def reader(self, path: str, *, offset: int = 0, size: int | None = None) -> Reader:
        if path.endswith("backup.manifest"):
            raise TransportLostError("connection lost")
        return super().reader(path, offset=offset, size=size)


def test_a_lost_connection_changes_nothing(repository: FixtureRepository) -> None:
    storage, info = load(repository)
    backup_info.save(storage, "demo", info.without_backups([INCR]), None)
    with pytest.raises(TransportLostError):
        rule.load_reconstructed(_Lost(str(repository.path)), "demo", None)


def test_only_candidates_are_loaded(repository: FixtureRepository) -> None:
    storage, info = load(repository)
    asked: list[str] = []

    def load_manifest(name: str) -> Manifest | None:
        asked.append(name)
        return manifest.load(storage, "demo", name, None)

    on_disk = {FULL: True, DIFF: True, INCR: True, "20270101-000000F": False}
    rule.reconstruct(info.without_backups([INCR]), on_disk, load_manifest)
    assert asked == [INCR]


def test_an_empty_stanza(tmp_path: Path) -> None:
    assert rule.labels_on_disk(PosixStorage(str(tmp_path)), "demo") == {}


@pytest.mark.parametrize("year", [2001, time.localtime().tm_year - 1, time.localtime().tm_year])
def test_the_history_is_that_of_the_newest_year(tmp_path: Path, year: int) -> None:
    storage = PosixStorage(str(tmp_path))
    years = "backup/demo/backup.history"
    storage.write(f"{years}/1999/19991231-235959F.manifest.gz", b"")
    storage.write(f"{years}/{year}/{year}0203-040506F.manifest.gz", b"")
    storage.write(f"{years}/{year}/{year}0203-040506F_{year}0204-040506I.manifest.gz", b"")
    # Not ours, and behind every year.
    storage.write(f"{years}/lost+found/x", b"")
    assert rule.look(storage, "demo").history == (
        f"{year}0203-040506F",
        f"{year}0203-040506F_{year}0204-040506I",
    )


def test_what_killed_runs_were_writing(repository: FixtureRepository) -> None:
    storage, _info = load(repository)
    found = rule.load_reconstructed(storage, "demo", None)
    assert not found.half_saved and not found.unfinished
    year = max(path.name for path in (repository.path / "backup/demo/backup.history").iterdir())
    years = f"backup/demo/backup.history/{year}"
    dead, alive = (
        f"{years}/{name}.manifest.gz.pgbackrest.tmp" for name in ("20990101-000000F", FULL)
    )
    for path in (dead, alive):
        storage.write(path, b"")
    found = rule.load_reconstructed(storage, "demo", None)
    assert found.orphans([]) == [dead]
    assert sorted(found.orphans([FULL])) == sorted([dead, alive])


@pytest.mark.parametrize("state", ["no copy", "a part of a copy", "a part of itself"])
def test_a_save_that_was_killed_shows(repository: FixtureRepository, state: str) -> None:
    storage, info = load(repository)
    if state == "no copy":
        storage.remove("backup/demo/backup.info.copy")
    else:
        suffix = ".copy" if "copy" in state else ""
        storage.write(f"backup/demo/backup.info{suffix}.pgbackrest.tmp", b"")
    found = rule.load_reconstructed(storage, "demo", None)
    assert found.half_saved
    assert len(found.parts) == (0 if state == "no copy" else 1)
    if state == "no copy":
        backup_info.save(storage, "demo", info, None)
        assert not rule.load_reconstructed(storage, "demo", None).half_saved
