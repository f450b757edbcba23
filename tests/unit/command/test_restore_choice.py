# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery finds in several repositories, as archive-get asks them."""

from __future__ import annotations

import dataclasses
import os
import time
import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    choice,
    times,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import timeline, wal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.goal import Goal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    contents,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive_info import (
    ArchiveDb,
    ArchiveInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import open as opening
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.wal_archive import BACKUP, SIZE, Repo

CLUSTER = ("15", 6)
STRANGER = ("15", 7)
OLD = ("14", 5)
ENTRY = dataclasses.replace(BACKUP, db_id=2)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes repositories, each with the history of its stanza; the first one has the backup."""
    control = types.SimpleNamespace(wal_segment_size=SIZE)
    monkeypatch.setattr(choice, "stored_control", lambda *_arguments: control)
    repos, openers = [], {}

    def add(*history):
        rows = tuple(
            ArchiveDb(number, system_id, version)
            for number, (version, system_id) in enumerate(history, 1)
        )
        found = Repo(tmp_path / f"repo{len(repos) + 1}")
        found.top = found.top.with_name(rows[-1].archive_id)
        found.top.mkdir(exist_ok=True)
        info = ArchiveInfo(rows, rows[-1].id)
        archive_info.save(PosixStorage(str(found.root)), "demo", info, None)
        repos.append(RepoOptions(len(repos) + 1, path=str(found.root)))
        openers[len(repos)] = opening.prepare(repos[-1])
        return found

    add.choice = lambda: choice.Choice(
        Options("restore", stanza="demo", repos=tuple(repos)), repos, openers
    )
    yield add


def chosen():
    manifest = contents.Manifest(
        backup=contents.BackupFacts(ENTRY.label, "full", 1, 2, 3, (ENTRY.label,)),
        db=contents.ManifestDb(2, 6, "15", 3, 4),
        options=contents.ManifestOptions(compress_type="none"),
        targets=[],
        files=[],
        paths=[],
    )
    return choice.Chosen(RepoOptions(1), ENTRY, manifest, timeline.path(1, []))


def way(asked):
    clusters = (BackupDb(1, 5, "14", 3, 4), BackupDb(2, 6, "15", 3, 4))
    info = BackupInfo(clusters, 2, {ENTRY.label: ENTRY})
    _entry, path = asked._reachable(RepoOptions(1), info, Goal("default"))
    return [stretch.timeline for stretch in path]


def test_the_other_repository_counts_its_clusters_by_itself(made, said):
    """It came after a stanza-upgrade: what is number 2 in the first is number 1 there."""
    made(OLD, CLUSTER).segments(2, 3, 4, 7)
    made(CLUSTER).segments(5, 6)
    with made.choice() as asked:
        asked.check_reach(chosen(), Goal("default"))
        assert asked.reach(chosen(), Goal("default")).count == 6
    assert not any("repo2" in line for line in said)


def test_a_gap_is_not_filled_with_the_segments_of_another_cluster(made, said):
    made(OLD, CLUSTER).segments(2, 3, 4, 7)
    made(OLD, STRANGER).segments(5, 6)
    with made.choice() as asked, pytest.raises(errors.FileMissingError, match="2 WAL segments are"):
        asked.check_reach(chosen(), Goal("default"))
    assert [line for line in said if "repo2: the archive has no history of" in line]


@pytest.mark.parametrize("kind", ["time", "default"])
def test_a_repository_that_was_away_is_not_the_end_of_the_archive(made, kind):
    """There is no gap in what it has, and the other goes on."""
    first, second = made(OLD, CLUSTER), made(OLD, CLUSTER)
    first.segments(2, 3, 4)
    second.segments(2, 3, 4, 5, 6)
    now = int(time.time())
    for top in (first.top, second.top):
        for path in top.glob("*/*"):
            os.utime(path, (now - (60 if path.name[23] in "56" else 9999),) * 2)
    aim = Goal(kind, "then", time=now - 600 if kind == "time" else None)
    with made.choice() as asked:
        asked.check_reach(chosen(), aim)
        assert asked.reach(chosen(), aim).last.endswith("6")


def test_the_other_is_not_asked_for_what_the_first_has(made):
    made(OLD, CLUSTER).segments(2, 3, 4)
    made(OLD, CLUSTER).segments(2, 3, 4, 5)
    with made.choice() as asked:
        assert asked.reach(chosen(), Goal("time", "then", time=1)).last.endswith("4")


def test_a_timeline_that_began_while_the_repository_was_away(made, said):
    """Its history is in the other one only, and the server follows it."""
    made(OLD, CLUSTER).segments(2, 3, 4)
    made(CLUSTER).history(2, (1, 4 * SIZE))
    with made.choice() as asked:
        assert way(asked) == [1, 2]
    assert said == []


def test_a_repository_that_fails_is_asked_nothing_more(made, said, monkeypatch):
    """Neither when a timeline began, which decides where recovery may leave another one."""
    first = made(OLD, CLUSTER)
    first.segments(2, 3, 4, 5)
    first.segments(4, line=2)
    second = made(CLUSTER)
    for repo in (first, second):
        repo.history(2, (1, 4 * SIZE))
    asked_for = []

    class Failing(choice.ClusterArchive):
        def segments(self, within):
            if self.ids == ["15-1"]:
                raise errors.TransportLostError("gone")
            return super().segments(within)

        def began(self, timeline):
            asked_for.append(self.ids)
            return super().began(timeline)

    monkeypatch.setattr(choice, "ClusterArchive", Failing)
    monkeypatch.setattr(times, "trusted", lambda *_arguments: True)
    now = int(time.time())
    for stored in first.top.glob("*/*"):
        os.utime(stored, (now - 9999, now - 9999))
    path = timeline.path(2, [wal.Fork(1, 4 * SIZE, "")])
    aim = Goal("time", "then", time=now - 5000)
    with made.choice() as asked:
        found = asked.reach(chosen()._replace(path=path), aim)
        with pytest.raises(errors.DbMismatchError, match="lies before the history of timeline 2"):
            found.check_branches(aim, named=False)
    assert "repo2: gone" in said
    assert asked_for == [["15-2"]]


def test_a_repository_that_is_lost_when_it_is_asked_when_a_timeline_began(made, said, monkeypatch):
    first = made(OLD, CLUSTER)
    first.segments(2, 3, 4)
    made(CLUSTER).segments(5)

    def began(self, _timeline):
        if self.ids == ["15-1"]:
            raise errors.TransportLostError("gone")
        return 1000

    monkeypatch.setattr(choice.ClusterArchive, "began", began)
    with made.choice() as asked:
        assert asked.reach(chosen(), Goal("default"))._began(2) == 1000
    assert said == ["gone"]


def test_a_repository_that_cannot_be_asked_is_told_once(made, said):
    made(OLD, CLUSTER).segments(2, 3, 4)
    for path in (made(CLUSTER).root / "archive/demo").glob("archive.info*"):
        path.unlink()
    with made.choice() as asked:
        assert way(asked) == [1]
        asked.check_reach(chosen(), Goal("default"))
    assert len([line for line in said if line.startswith("repo2: ")]) == 1
