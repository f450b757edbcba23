# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A segment that comes alone is on its way while the archive is asked whether it may come."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import worker
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import archive_push
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import archive_info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.tests.support.archiver_worker import Bench
from ansible_collections.pgsftp.backup.tests.support.pg_files import SYSTEM_ID, DataDirectory
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects

NAMES = [f"0000000100000000000000{number:02X}" for number in range(1, 9)]


@pytest.fixture
def data(tmp_path):
    made = DataDirectory(tmp_path / "data")
    made.ready(NAMES)
    return made


@pytest.fixture
def repo(tmp_path):
    """A directory with a stanza."""
    path = tmp_path / "repo"
    stored(path, archive_info.create(SYSTEM_ID, "15", None))
    return path


def stored(path, info):
    archive_info.save(PosixStorage(str(path)), "demo", info, None)


@pytest.fixture
def bench(data, repo):
    return Bench(repo, data.path)


def names(repo):
    """Of the segments that are stored, each below its cluster."""
    found = (repo / "archive" / "demo").glob("*/*/*")
    return sorted(f"{path.parts[-3]}/{path.name[:24]}" for path in found)


def test_four_round_trips_a_segment(bench):
    first, *further = [bench.trips(name) for name in NAMES]
    # archive.info says where the archive is, and the first one has to make the directory.
    assert first <= 9
    assert further == [4] * len(further)
    assert all(isinstance(told, worker.Stored) and told.sent for told in bench.told)


def test_several_wait_for_the_listing(bench):
    """Or all that is there already would be sent again."""
    bench.trips(NAMES[0])
    assert bench.trips(*NAMES[1:]) <= 6
    assert {told.name for told in bench.told} == set(NAMES)


def test_only_what_is_to_be_compared_is_read_twice(bench, monkeypatch):
    """A segment's digest, with which its name ends, is known when all of it is sent."""
    read = []
    digest = archive_push.digest

    def counted(file):
        read.append(file.name)
        return digest(file)

    monkeypatch.setattr(archive_push, "digest", counted)
    bench.trips(*NAMES[:3])
    assert read == []
    bench.trips(*NAMES[1:4])
    assert read == NAMES[1:3]
    assert [told.sent for told in bench.told[3:]] == [False, False, True]


def test_what_is_there_already_gets_no_second_name(bench, repo):
    bench.trips(NAMES[0])
    before = sorted(repo.rglob("*"))
    bench.trips(NAMES[0])
    assert not bench.told[-1].sent
    assert sorted(repo.rglob("*")) == before


def test_the_name_of_what_is_there_already_is_durable(bench, monkeypatch):
    """Whoever gave it may have been killed before it was."""
    synced = []
    monkeypatch.setattr(SftpStorage, "sync_path", lambda _self, path: synced.append(path))
    bench.trips(NAMES[0])
    assert not synced
    directory = f"archive/demo/15-1/{NAMES[0][:16]}"
    bench.trips(NAMES[0])
    assert synced == [directory]
    bench.trips(*NAMES[:2])
    assert synced == [directory] * 2


def test_where_one_was_there_the_next_is_sent_when_it_is_not(bench, repo, monkeypatch):
    """Of two servers that archive the same, the second would send all of it for nothing."""
    for name in NAMES[:3]:
        bench.trips(name)
    begun = []
    begin = worker._Worker._begin

    def ahead(self, names):
        made = begin(self, names)
        if made is not None:
            begun.append(made.name)
        return made

    monkeypatch.setattr(worker._Worker, "_begin", ahead)
    for name in NAMES[:5]:
        bench.trips(name)
    assert [told.sent for told in bench.told[3:]] == [False] * 3 + [True] * 2
    # The first one was not known to be there; one that was not there came before the last.
    assert begun == [NAMES[0], NAMES[4]]


def test_another_content_is_refused_and_leaves_nothing(bench, data, repo):
    bench.trips(NAMES[0])
    before = sorted(repo.rglob("*"))
    data.wal(NAMES[0], (data.path / "pg_wal" / NAMES[1]).read_bytes())
    bench.trips(NAMES[0])
    assert isinstance(bench.told[-1].error, errors.ArchiveDuplicateError)
    assert sorted(repo.rglob("*")) == before


def test_a_stanza_that_was_upgraded_meanwhile(bench, data, repo):
    """What was begun for the archive of before gets no name there."""
    bench.trips(NAMES[0])
    old = archive_info.create(SYSTEM_ID, "15", None)
    stored(repo, old.upgraded(SYSTEM_ID + 1, "15").upgraded(SYSTEM_ID, "15"))
    bench.trips(NAMES[1])
    assert bench.told[-1].sent
    assert names(repo) == [f"15-1/{NAMES[0]}", f"15-3/{NAMES[1]}"]


def test_a_stanza_of_another_cluster_meanwhile(bench, data, repo):
    bench.trips(NAMES[0])
    stored(repo, archive_info.create(SYSTEM_ID + 1, "15", None))
    before = sorted(repo.rglob("*"))
    bench.trips(NAMES[1])
    assert isinstance(bench.told[-1].error, errors.ArchiveMismatchError)
    assert sorted(repo.rglob("*")) == before


def test_a_stanza_that_is_gone_meanwhile(bench, repo):
    bench.trips(NAMES[0])
    for name in ("archive.info", "archive.info.copy"):
        (repo / "archive" / "demo" / name).unlink()
    before = sorted(repo.rglob("*"))
    bench.trips(NAMES[1])
    assert isinstance(bench.told[-1].error, errors.FileMissingError)
    assert sorted(repo.rglob("*")) == before


def test_a_segment_that_is_not_there(bench, data, repo):
    bench.trips(NAMES[0])
    (data.path / "pg_wal" / NAMES[1]).unlink()
    bench.trips(NAMES[1])
    assert isinstance(bench.told[-1].error, errors.FileMissingError)
    bench.trips(NAMES[2])
    assert bench.told[-1].sent


@pytest.mark.parametrize("handles", [1, 2])
def test_a_server_that_grants_hardly_a_handle(data, repo, handles):
    limits = (262144, 261120, 261120, handles)
    bench = Bench(repo, data.path, Defects(handles=handles, limits=limits))
    for name in NAMES[:3]:
        bench.trips(name)
    assert [told.sent for told in bench.told] == [True] * 3


@pytest.mark.parametrize("announced", [False, True])
def test_one_handle_where_the_first_archive_info_is_gone(data, repo, announced):
    """The copy cannot be opened while the segment that was sent ahead keeps the handle."""
    limits = {"limits": (262144, 261120, 261120, 1)} if announced else {"extensions": {}}
    bench = Bench(repo, data.path, Defects(handles=1, **limits))
    bench.trips(NAMES[0])
    (repo / "archive" / "demo" / "archive.info").unlink()
    bench.trips(NAMES[1])
    assert [type(told) for told in bench.told] == [worker.Stored] * 2
    assert names(repo) == [f"15-1/{name}" for name in NAMES[:2]]


def test_a_repository_without_room(data, repo):
    defects = Defects()
    bench = Bench(repo, data.path, defects)
    bench.trips(NAMES[0])
    before = sorted(repo.rglob("*"))
    defects.room = 0
    bench.trips(NAMES[1])
    assert isinstance(bench.told[-1].error, errors.StorageFullError)
    defects.room = None
    bench.trips(NAMES[2])
    assert bench.told[-1].sent
    assert len(list(repo.rglob("*"))) == len(before) + 1
