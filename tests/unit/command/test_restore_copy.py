# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore fetches together, and that damage never passes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.copy import (
    Fetcher,
    Keep,
    Login,
    RestoreFile,
    RestoreJob,
    worker_setup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.blockmap import Chain
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.stored import Stored
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    Framing,
    encode,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker.pool import WorkerPool

ENCODING = Encoding("zst", 3)


def stored_at(path, offset, size):
    return Stored(path, offset, size, Framing.WHOLE)


def file_at(path, offset, size, *, name="f", target="", data=b"", mtime=1000):
    return RestoreFile(
        name,
        target,
        len(data),
        hashlib.sha1(data).hexdigest(),
        stored_at(path, offset, size),
        None,
        0o600,
        os.geteuid(),
        os.getegid(),
        mtime,
    )


@pytest.fixture
def bundle(tmp_path):
    """A bundle of three files with a gap, and what a job needs to restore them."""
    contents = {"one": b"1" * 3000, "two": b"2" * 200000, "three": os.urandom(5000)}
    repo = tmp_path / "repo"
    (repo / "bundle").mkdir(parents=True)
    data = b""
    files = []
    for name, content in contents.items():
        packed = encode(content, ENCODING)
        target = str(tmp_path / name)
        files.append(
            file_at("bundle/1", len(data), len(packed), name=name, target=target, data=content)
        )
        data += packed + b"gap"
    (repo / "bundle/1").write_bytes(data)
    return repo, contents, files


def job(files, keep=Keep.NONE):
    return RestoreJob(Chain("demo", ("L",), ENCODING), keep, 2000, tuple(files))


def restore(repo, files, keep=Keep.NONE):
    sizes = []
    handler = Fetcher(lambda: PosixStorage(str(repo)), sizes.append)
    return handler(job(files, keep)).result(), sum(sizes)


def test_parts_of_a_bundle_become_files(bundle, tmp_path):
    repo, contents, files = bundle
    restored, reported = restore(repo, files)
    assert {row.name: row.fetched for row in restored} == dict.fromkeys(contents, True)
    assert reported == sum(map(len, contents.values()))
    for name, content in contents.items():
        assert (tmp_path / name).read_bytes() == content
        assert int((tmp_path / name).stat().st_mtime) == 1000
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_delta_fetches_only_what_differs(bundle, tmp_path):
    repo, contents, files = bundle
    restore(repo, files)
    (tmp_path / "one").write_bytes(b"other" * 600)
    with open(tmp_path / "two", "ab") as grown:
        grown.write(b"more")
    restored, _dummy = restore(repo, files, Keep.SAME_CHECKSUM)
    # What only grew is cut to its size and is right again.
    assert {row.name for row in restored if row.fetched} == {"one"}
    for name, content in contents.items():
        assert (tmp_path / name).read_bytes() == content


def test_where_nothing_differs_no_repository_is_asked(bundle):
    repo, _contents, files = bundle
    restore(repo, files)

    def connect():
        raise AssertionError("there is nothing to fetch")

    rows = Fetcher(connect, lambda size: None)(job(files, Keep.SAME_CHECKSUM)).result()
    assert not any(row.fetched for row in rows)


def test_what_is_right_already_is_not_touched(bundle, tmp_path):
    repo, contents, files = bundle
    restore(repo, files)
    (tmp_path / "two").chmod(0o644)
    before = {name: (tmp_path / name).stat().st_ctime_ns for name in contents}
    restore(repo, files, Keep.SAME_CHECKSUM)
    after = {name: (tmp_path / name).stat().st_ctime_ns for name in contents}
    assert {name for name in contents if before[name] != after[name]} == {"two"}
    assert (tmp_path / "two").stat().st_mode & 0o777 == 0o600


def test_a_file_of_the_same_time_is_trusted_only_when_asked(bundle, tmp_path):
    repo, contents, files = bundle
    restore(repo, files)
    place = tmp_path / "one"
    place.write_bytes(b"x" * len(contents["one"]))
    os.utime(place, (1000, 1000))
    restore(repo, files, Keep.SAME_SIZE_AND_TIME)
    assert place.read_bytes() != contents["one"]
    restore(repo, files, Keep.SAME_CHECKSUM)
    assert place.read_bytes() == contents["one"]


@pytest.mark.parametrize("position", [8, -10])
def test_one_flipped_byte_fails_and_names_the_file(bundle, position):
    repo, _dummy, files = bundle
    path = repo / "bundle/1"
    data = bytearray(path.read_bytes())
    data[files[2].stored.offset + position if position > 0 else position] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        (errors.ChecksumError, errors.FormatError), match="'three' in the repository is damaged"
    ):
        restore(repo, files[2:])


def test_a_bundle_that_was_cut_fails(bundle):
    repo, _dummy, files = bundle
    path = repo / "bundle/1"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises((errors.FileReadError, errors.FormatError), match="'three'"):
        restore(repo, files)


def test_a_bomb_does_not_fill_the_disk(tmp_path):
    """No more is written than the file has, whatever the stored bytes stand for."""
    (tmp_path / "repo").mkdir()
    stored = encode(bytes(64 << 20), ENCODING)
    (tmp_path / "repo" / "f").write_bytes(stored)
    target = tmp_path / "target"
    file = file_at("f", 0, len(stored), target=str(target), data=bytes(100_000))
    with pytest.raises(errors.FormatError, match=r"'f' in the repository is damaged: .* 100000 b"):
        restore(tmp_path / "repo", [file])
    assert target.stat().st_size <= 100_000


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(bundle, tmp_path):
    repo, contents, files = bundle
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "one").symlink_to(victim)
    restore(repo, files)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "one").is_symlink()
    assert (tmp_path / "one").read_bytes() == contents["one"]


def test_another_name_of_a_file_keeps_what_it_has(bundle, tmp_path):
    repo, contents, files = bundle
    (tmp_path / "one").write_text("precious")
    os.link(tmp_path / "one", tmp_path / "kept")
    restore(repo, files)
    assert (tmp_path / "kept").read_text() == "precious"
    assert (tmp_path / "one").read_bytes() == contents["one"]


def test_a_directory_in_the_place_of_a_file_is_named(bundle, tmp_path):
    repo, _dummy, files = bundle
    (tmp_path / "one").mkdir()
    with pytest.raises(errors.FileOpenError, match="/one': Is a directory"):
        restore(repo, files)


@pytest.mark.parametrize("again", [Keep.NONE, Keep.SAME_CHECKSUM])
def test_what_is_not_durable_is_not_taken_for_restored(bundle, monkeypatch, again):
    """A restore that was ended, or lost power, before the disk had all of it."""
    repo, contents, files = bundle
    if again is Keep.SAME_CHECKSUM:
        restore(repo, files)
        for file in files:
            os.utime(file.target)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((errors.FileWriteError, OSError)):
        restore(repo, files, again)
    monkeypatch.undo()
    restored, _dummy = restore(repo, files, Keep.SAME_SIZE_AND_TIME)
    assert {row.name: row.fetched for row in restored} == dict.fromkeys(contents, True)


class OneSession:
    """An opener of a server that takes any session beside the first for a wrong key."""

    def __init__(self, repo, place):
        self._repo, self._place = repo, place

    def owning(self):
        return self

    def patient_storage(self):
        # The session is the process's, and ends with it.
        self._held = self._place.open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise errors.ServiceError("public key refused", hint="is it?") from None
        return PosixStorage(str(self._repo))


@pytest.mark.parametrize("login", Login)
@pytest.mark.parametrize("repositories", [1, 2])
def test_a_server_that_lets_in_fewer_than_all_workers_is_enough(
    bundle, tmp_path, login, repositories
):
    """Whether they log in at once or, in a delta restore, for the first file that differs."""
    repo, contents, files = bundle
    opener = OneSession(repo, tmp_path / "session")
    openers = dict.fromkeys(range(1, repositories + 1), opener)
    jobs = [job([file], Keep.SAME_CHECKSUM) for file in files]
    with WorkerPool(3, worker_setup(openers)) as pool:
        pool.begin(login)
        events = list(pool.run(lambda _worker: jobs.pop() if jobs else None, for_good=True))
    restored = [row for event in events if hasattr(event, "result") for row in event.result]
    assert {row.name: row.fetched for row in restored} == dict.fromkeys(contents, True)
    for name, content in contents.items():
        assert (tmp_path / name).read_bytes() == content
