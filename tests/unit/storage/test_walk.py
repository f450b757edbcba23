# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All files below a directory, whatever is removed meanwhile."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import StorageAccessError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.walk import files_below


@pytest.fixture
def storage(tmp_path):
    for name in ("top/a", "top/b/c", "top/b/d/e", "beside/f"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (len(name), len(name)))
    (tmp_path / "top" / "empty").mkdir()
    return PosixStorage(str(tmp_path))


def test_files_of_all_levels_and_no_directories(storage):
    found = {path: (info.size, info.mtime) for path, info in files_below(storage, "top")}
    assert found == {name: (len(name), len(name)) for name in ("top/a", "top/b/c", "top/b/d/e")}


def test_what_is_not_there_has_no_files(storage, tmp_path):
    assert list(files_below(storage, "nowhere")) == []
    rows = files_below(storage, "top")
    assert next(rows)[0] == "top/a"
    (tmp_path / "top/b/d/e").unlink()
    (tmp_path / "top/b/c").unlink()
    (tmp_path / "top/b/d").rmdir()
    (tmp_path / "top/b").rmdir()
    assert list(rows) == []


def test_one_level_is_asked_for_at_once(storage, monkeypatch):
    asked = []
    list_many = storage.list_many
    monkeypatch.setattr(
        storage, "list_many", lambda paths: asked.append(sorted(paths)) or list_many(paths)
    )
    list(files_below(storage, "top"))
    assert asked == [["top"], ["top/b", "top/empty"], ["top/b/d"]]


def test_what_cannot_be_listed_is_an_error(storage, monkeypatch):
    error = StorageAccessError("no")
    monkeypatch.setattr(storage, "list_many", lambda paths: [error for _path in paths])
    with pytest.raises(StorageAccessError):
        list(files_below(storage, "top"))
