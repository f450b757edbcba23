# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules find to be true already."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import directory, state
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    run as backup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    OptionInvalidValueError,
    StopError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
    lock,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import open_storage

SYSTEM_ID = 7575628193218412370
HOUR = 3600


@pytest.fixture
def options(tmp_path: Path) -> Options:
    (tmp_path / "repo").mkdir()
    (tmp_path / "data").mkdir()
    return Options(
        command="backup",
        stanza="demo",
        repos=(RepoOptions(path=str(tmp_path / "repo")),),
        pgs=(PgOptions(path=str(tmp_path / "data")),),
        type="full",
    )


def _entry(
    hours: float, kind: str = "full", *, standby: bool = False, db_id: int = 2
) -> BackupEntry:
    stop = int(time.time() - hours * HOUR)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(stop))
    full = f"{stamp}F"
    return BackupEntry(
        label=full if kind == "full" else f"20200101-000000F_{stamp}{kind[0].upper()}",
        backup_type=kind,
        db_id=db_id,
        timestamp_start=stop - 3,
        timestamp_stop=stop,
        size=100,
        size_delta=100,
        repo_size=10,
        repo_size_delta=10,
        archive_start="000000010000000000000003",
        archive_stop="000000010000000000000003",
        option_backup_standby=standby,
    )


def _store(options: Options, *entries: BackupEntry) -> None:
    clusters = (
        BackupDb(1, SYSTEM_ID - 1, "16", 202307071, 1300),
        BackupDb(2, SYSTEM_ID, "17", 202406281, 1700),
    )
    info = backup_info.BackupInfo(clusters, 2, {})
    for entry in entries:
        info = info.with_backup(entry)
    with open_storage(options.repos[0]) as storage:
        archive_info.save(storage, "demo", archive_info.create(SYSTEM_ID, "17", None), None)
        backup_info.save(storage, "demo", info, None)


def test_a_repository_without_the_stanza_is_named(options: Options) -> None:
    assert state.repositories_without_stanza(options) == [1]
    _store(options)
    assert state.repositories_without_stanza(options) == []


def test_no_stanza_means_no_young_backup(options: Options) -> None:
    assert state.young_backup(options, "1d") is None


def test_without_a_stanza_only_the_type_of_a_backup_is_known(options: Options) -> None:
    incremental = dataclasses.replace(options, type="incr")
    assert state.backup_plan(incremental) == {"type": "full"}


@pytest.mark.parametrize("stored", [False, True])
def test_no_backup_is_foretold_where_a_stop_file_is(
    options: Options, tmp_path: Path, stored: bool
) -> None:
    stopped = dataclasses.replace(options, lock_path=str(tmp_path / "lock"))
    if stored:
        _store(stopped)
    lock.create_stop(stopped.lock_path, "demo")
    for foresee in (state.backup_plan, backup.preview, backup.run):
        with pytest.raises(StopError):
            foresee(stopped)


def test_a_young_backup_is_told_as_a_backup_tells_itself(options: Options) -> None:
    _store(options, _entry(30), _entry(5), _entry(2))
    found = state.young_backup(options, "6h")
    assert found is not None
    assert (found["type"], found["duration"], found["repository_size"]) == ("full", 3, 10)
    assert found["timestamp_stop"] > time.time() - 3 * HOUR


@pytest.mark.parametrize(
    ("wanted", "there", "enough"),
    [
        ("full", "full", True),
        ("full", "diff", False),
        ("full", "incr", False),
        ("diff", "full", True),
        ("diff", "diff", True),
        ("diff", "incr", False),
        ("incr", "full", True),
        ("incr", "incr", True),
    ],
)
def test_a_stronger_backup_serves_as_well(
    options: Options, wanted: str, there: str, enough: bool
) -> None:
    _store(options, _entry(1, there))
    found = state.young_backup(dataclasses.replace(options, type=wanted), "1d")
    assert (found is not None) is enough


def test_an_old_one_does_not_serve(options: Options) -> None:
    _store(options, _entry(25))
    assert state.young_backup(options, "1d") is None


@pytest.mark.parametrize(
    ("backup_standby", "standby", "enough"),
    [
        ("n", False, True),
        ("n", True, False),
        ("y", True, True),
        ("y", False, False),
        ("prefer", True, True),
        # It fell back to the primary.
        ("prefer", False, True),
    ],
)
def test_it_must_have_been_taken_the_same_way(
    options: Options, backup_standby: str, standby: bool, enough: bool
) -> None:
    _store(options, _entry(1, standby=standby))
    found = state.young_backup(dataclasses.replace(options, backup_standby=backup_standby), "1d")
    assert (found is not None) is enough


def test_a_damaged_one_does_not_serve(options: Options) -> None:
    """Pages were bad when it was taken: the one before it counts, or another is taken."""
    _store(options, _entry(30), dataclasses.replace(_entry(1), error=True))
    assert state.young_backup(options, "1d") is None
    found = state.young_backup(options, "2d")
    assert found is not None
    assert found["timestamp_stop"] < time.time() - 29 * HOUR


def test_one_of_the_cluster_before_an_upgrade_does_not_serve(options: Options) -> None:
    """However young it is: the new cluster has none."""
    _store(options, _entry(1, db_id=1))
    assert state.young_backup(options, "1d") is None


@pytest.mark.parametrize("text", ["", "soon", "1 fortnight", "-1d"])
def test_an_age_that_is_none_is_refused(options: Options, text: str) -> None:
    _store(options, _entry(1))
    with pytest.raises(OptionInvalidValueError):
        state.young_backup(options, text)


def test_directories_are_told_apart(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    assert directory.examine(options) is directory.Directory.EMPTY
    (data / "backup.manifest").touch()
    assert directory.examine(options) is directory.Directory.INTERRUPTED
    (data / "global").mkdir()
    (data / "global" / "pg_control").touch()
    assert directory.examine(options) is directory.Directory.OTHER
    (data / "standby.signal").touch()
    _store(options)
    system_id = SYSTEM_ID

    class Control:
        @property
        def system_id(self) -> int:
            return system_id

    monkeypatch.setattr(directory.control, "load", lambda path: Control())
    assert directory.examine(options) is directory.Directory.STANDBY
    system_id += 1
    assert directory.examine(options) is directory.Directory.OTHER


def test_a_directory_that_does_not_exist_is_empty(options: Options, tmp_path: Path) -> None:
    (tmp_path / "data").rmdir()
    assert directory.examine(options) is directory.Directory.EMPTY
