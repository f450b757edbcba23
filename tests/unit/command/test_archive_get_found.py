# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive-get gives of what the repositories have, and what it says when it gives nothing."""

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import archive_get
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import archive_info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive_info import (
    ArchiveDb,
    ArchiveInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    encode,
)
from ansible_collections.pgsftp.backup.tests.support.pg_files import (
    SEGMENT_SIZE,
    SYSTEM_ID,
    DataDirectory,
)

NAME = "000000010000000000000001"
HISTORY = "00000002.history"

OURS = (SYSTEM_ID, "15")


def wal(letter):
    return letter.encode() * SEGMENT_SIZE


class Repositories:
    """Two of them, and the command that asks them."""

    def __init__(self, root):
        self.root = root
        self.target = root / "got"
        self.data = DataDirectory(root / "data")
        for number in (1, 2):
            self.history(number, OURS)

    def history(self, number, *clusters):
        rows = tuple(
            ArchiveDb(row, system_id, version)
            for row, (system_id, version) in enumerate(clusters, 1)
        )
        storage = PosixStorage(str(self.root / f"repo{number}"))
        archive_info.save(storage, "demo", ArchiveInfo(rows, len(rows)), None)

    def put(self, number, content, *, called=None, archive_id="15-1", extension="gz"):
        """Store a segment; its name tells the checksum of what it is ``called`` after."""
        sha1 = hashlib.sha1(content if called is None else called).hexdigest()
        directory = self.root / f"repo{number}/archive/demo/{archive_id}/{NAME[:16]}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{NAME}-{sha1}.{extension}"
        path.write_bytes(encode(content, Encoding(extension)))
        return path

    def get(self, name=NAME):
        words = [
            "--no-config",
            "--stanza=demo",
            f"--repo1-path={self.root}/repo1",
            f"--repo2-path={self.root}/repo2",
            f"--pg1-path={self.data.path}",
            "--archive-timeout=100ms",
            name,
            str(self.target),
        ]
        return archive_get.run(load("archive-get", words, {}))

    def left(self):
        """What is there of the file, half of it included."""
        return sorted(path.name for path in self.root.glob("got*"))


@pytest.fixture
def repositories(tmp_path):
    return Repositories(tmp_path)


def test_what_the_archive_has(repositories):
    repositories.put(1, wal("a"))
    repositories.target.write_bytes(b"of an earlier attempt")
    result = repositories.get()
    assert result.as_dict() == {"name": NAME, "found": True, "repo": 1, "reached": True}
    assert result.exit_code == 0
    assert repositories.target.read_bytes() == wal("a")
    assert repositories.left() == ["got"]


@pytest.mark.parametrize("name", [NAME, f"{NAME}.partial", HISTORY])
def test_what_it_does_not_have(repositories, name):
    result = repositories.get(name)
    assert (result.found, result.reached, result.exit_code) == (False, True, 1)
    assert repositories.left() == []


def test_what_only_the_second_has(repositories, said):
    repositories.put(2, wal("a"))
    (repositories.root / "repo2/archive/demo/15-1" / HISTORY).write_bytes(b"1\t0/3000000\tno\n")
    for name in (NAME, HISTORY):
        assert repositories.get(name).repo == 2
    assert f"found {NAME} in the repo2 archive" in said


def test_what_is_damaged_is_not_given(repositories):
    """Recovery would end at the first byte that is wrong, and say that the archive ends there."""
    path = repositories.put(1, wal("b"), called=wal("a"))
    with pytest.raises(errors.RepoInvalidError, match="is damaged: its content has checksum"):
        repositories.get()
    assert repositories.left() == []
    # PostgreSQL asks for it by a name of its own, which a later segment may have had before.
    repositories.target.write_bytes(b"another one")
    with pytest.raises(errors.RepoInvalidError, match=path.name):
        repositories.get()
    assert repositories.target.read_bytes() == b"another one"


def test_what_is_damaged_in_one_is_taken_from_the_other(repositories, said):
    repositories.put(1, wal("b"), called=wal("a"))
    repositories.put(2, wal("a"))
    assert repositories.get().repo == 2
    assert repositories.target.read_bytes() == wal("a")
    assert [line for line in said if line.startswith("repo1: ") and "is damaged" in line]


def test_two_segments_of_one_name(repositories):
    """Which of them is of this cluster nobody knows."""
    repositories.put(1, wal("a"))
    repositories.put(1, wal("b"))
    with pytest.raises(errors.RepoInvalidError, match=f"duplicates found for WAL segment {NAME}"):
        repositories.get()
    assert repositories.left() == []


def test_the_same_segment_twice(repositories):
    repositories.put(1, wal("a"))
    repositories.put(1, wal("a"), extension="zst")
    assert repositories.get().found
    assert repositories.target.read_bytes() == wal("a")


def test_of_another_cluster_there_is_nothing_to_get(repositories):
    """The stanza was upgraded; the old cluster, which is asked for here, goes on to recover."""
    for number in (1, 2):
        repositories.history(number, OURS, (SYSTEM_ID + 1, "15"))
        repositories.put(number, wal("b"), archive_id="15-2")
    assert not repositories.get().found
    repositories.put(2, wal("a"))
    assert repositories.get().found
    assert repositories.target.read_bytes() == wal("a")


def test_a_stanza_that_never_had_the_cluster(repositories):
    for number in (1, 2):
        repositories.history(number, (SYSTEM_ID + 1, "15"))
        repositories.put(number, wal("b"))
    with pytest.raises(errors.RepoInvalidError, match="has no history of PostgreSQL version 15"):
        repositories.get()
    assert repositories.left() == []


def test_of_two_times_of_one_cluster_the_later_one_counts(repositories):
    repositories.history(1, OURS, (SYSTEM_ID + 1, "15"), OURS)
    repositories.put(1, wal("a"), archive_id="15-1")
    repositories.put(1, wal("b"), archive_id="15-3")
    repositories.get()
    assert repositories.target.read_bytes() == wal("b")


@pytest.mark.parametrize(
    "failure", [errors.HostConnectError, errors.TransportLostError, errors.StorageLimitError]
)
@pytest.mark.parametrize("signal", ["recovery.signal", "standby.signal", None])
def test_a_repository_that_is_away_may_have_it(repositories, monkeypatch, failure, signal):
    """PostgreSQL would end its recovery early if it were told that there is none."""
    opened = archive_get.open_storage

    def open_storage(repo, **more):
        if repo.key == 1:
            raise failure("gone")
        return opened(repo, **more)

    monkeypatch.setattr(archive_get, "open_storage", open_storage)
    if signal is not None:
        (repositories.data.path / signal).touch()
    if signal == "standby.signal":
        result = repositories.get()
        assert (result.found, result.reached, result.exit_code) == (False, False, 1)
    else:
        with pytest.raises(failure, match="repo1: gone"):
            repositories.get()
    repositories.put(2, wal("a"))
    assert repositories.get().repo == 2
    assert os.listdir(repositories.data.path / "pg_wal") == ["archive_status"]
