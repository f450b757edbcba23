# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archive has of one cluster, under all ids that it ever had."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive_info import (
    ArchiveDb,
    ArchiveInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.cluster_archive import (  # noqa: E501
    ClusterArchive,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.wal_archive import SIZE, Repo


@pytest.fixture
def repo(tmp_path):
    made = Repo(tmp_path)
    made.segments(2, 3)
    return made


def test_of_a_cluster_that_was_upgraded_and_taken_back(repo):
    info = ArchiveInfo((ArchiveDb(1, 6, "15"), ArchiveDb(2, 7, "16"), ArchiveDb(3, 6, "15")), 3)
    later = repo.root / "archive/demo/15-3"
    later.mkdir()
    (later / "00000002.history").write_text(f"1\t0/{3 * SIZE:X}\tno reason\n")
    found = ClusterArchive(PosixStorage(str(repo.root)), "demo", info, version="15", system_id=6)
    assert found.ids == ["15-3", "15-1"]
    assert sorted(found.timelines()) == [2]
    assert [fork.timeline for fork in found.forks(2)] == [1]
    assert len(found.segments(lambda _directory: True)) == 2
    with pytest.raises(errors.RepoInvalidError, match="version 14, system-id 6"):
        ClusterArchive(PosixStorage(str(repo.root)), "demo", info, version="14", system_id=6)


@pytest.mark.parametrize(("mtime", "written"), [(1_700_000_000, 1_700_000_000), (0, None)])
def test_when_a_segment_came(repo, mtime, written):
    """Some servers keep times to themselves."""
    os.utime(next(repo.top.glob("*/*02-*")), (mtime, mtime))
    name, segment = min(repo.archive.segments(lambda _directory: True).items())
    assert name.endswith("02")
    assert segment.written_at == written


@pytest.mark.parametrize(("mtime", "began"), [(1_700_000_000, 1_700_000_000), (0, None)])
def test_when_a_timeline_began(repo, mtime, began):
    assert repo.archive.began(2) is None
    repo.history(2, (1, 3 * SIZE))
    os.utime(repo.top / "00000002.history", (mtime, mtime))
    assert repo.archive.began(2) == began


@pytest.mark.parametrize(
    ("mtime", "lag"), [(1_700_000_000, 3600), (1_700_003_600, 0), (1_800_000_000, 0), (0, 0)]
)
def test_how_far_the_clock_of_the_repository_is_behind(repo, mtime, lag):
    label = "20231114-221320F"
    path = repo.root / "backup/demo" / label / "backup.manifest"
    assert repo.archive.clock_lag(label, 1_700_003_600) == 0
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (mtime, mtime))
    assert repo.archive.clock_lag(label, 1_700_003_600) == lag
