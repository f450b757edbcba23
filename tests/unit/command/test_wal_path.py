# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL gives as %p is below the data directory that it runs in, and that of pg1-path."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import wal_path
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)

WAL = "pg_wal/000000010000000000000001"


@pytest.fixture
def options(tmp_path):
    (tmp_path / "data").mkdir()
    return Options("archive-push", pgs=(PgOptions(path=str(tmp_path / "data")),))


def test_in_the_data_directory(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "data")
    assert wal_path.resolve(WAL, options) == f"{tmp_path}/data/{WAL}"


def test_through_a_link(options, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("data")
    monkeypatch.chdir(tmp_path / "link")
    assert wal_path.resolve(WAL, options) == f"{tmp_path}/data/{WAL}"


def test_an_absolute_path_is_what_it_is(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert wal_path.resolve(f"/elsewhere/{WAL}", options) == f"/elsewhere/{WAL}"
    assert wal_path.resolve(f"/elsewhere/{WAL}", Options("archive-push")) == f"/elsewhere/{WAL}"


def test_in_another_directory(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        errors.OptionInvalidValueError, match="is not the same as option pg1-path"
    ) as no:
        wal_path.resolve(WAL, options)
    assert no.value.code == 32  # pgBackRest's
    assert f"working directory '{tmp_path}'" in no.value.message


def test_in_a_directory_that_is_gone(options, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(errors.OptionInvalidValueError, match=r"working directory '\(removed\)'"):
        wal_path.resolve(WAL, options)


def test_of_no_cluster():
    with pytest.raises(errors.OptionRequiredError, match="'pg1-path' must be specified"):
        wal_path.resolve(WAL, Options("archive-push"))
