# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup.info is put right from what lies in the repository."""

from __future__ import annotations

import dataclasses
import shutil
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
    assert result == rule.Reconstruction(info, on_disk={FULL: True, DIFF: True, INCR: True})
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
