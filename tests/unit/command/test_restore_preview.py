# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a restore would fetch is estimated without reading what is there."""

from __future__ import annotations

import os
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import preview
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.copy import (
    Keep,
    RestoreFile,
    RestoreJob,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.plan import (
    NOWHERE,
)

SIZES = {"same": 1, "old": 2, "shorter": 3, "missing": 4}
TIME = 1000


def fetched(
    place: Path, keep: Keep, *, replace: bool = False, copy_start: int = TIME + 1
) -> list[int]:
    """Of four files, three of which are there; nobody could tell one by its checksum."""
    files = []
    for name, size in SIZES.items():
        path = place / name
        if name != "missing":
            path.write_bytes(bytes(size - (name == "shorter")))
            os.utime(path, (TIME - (name == "old"),) * 2)
        files.append(RestoreFile(name, str(path), size, "", NOWHERE, None, 0o600, 0, 0, TIME))
    job = RestoreJob(t.cast(t.Any, ()), keep, copy_start, tuple(files))
    work: t.Any = types.SimpleNamespace(jobs=[job])
    return list(preview._fetched(work, replace))


@pytest.mark.parametrize("keep", [Keep.SAME_CHECKSUM, Keep.SAME_SIZE_AND_TIME])
def test_what_has_size_and_time_of_the_backup_is_taken_for_the_same(
    tmp_path: Path, keep: Keep
) -> None:
    assert fetched(tmp_path, keep) == [2, 3, 4]


def test_what_may_have_changed_while_it_was_copied_is_not_known_by_its_time(
    tmp_path: Path,
) -> None:
    """Where the time is all that a restore goes by; else it reads the file, which is not done."""
    for keep, sizes in ((Keep.SAME_SIZE_AND_TIME, [1, 2, 3, 4]), (Keep.SAME_CHECKSUM, [2, 3, 4])):
        assert fetched(tmp_path, keep, copy_start=TIME) == sizes


def test_where_nothing_stays_all_is_fetched(tmp_path: Path) -> None:
    assert fetched(tmp_path, Keep.NONE) == [1, 2, 3, 4]
    assert fetched(tmp_path, Keep.SAME_CHECKSUM, replace=True) == [1, 2, 3, 4]
