"""What only a local directory does."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import posix
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, errors.StorageMissingError),
        (errno.EACCES, errors.StorageAccessError),
        (errno.EROFS, errors.StorageAccessError),
        (errno.ENOSPC, errors.StorageFullError),
        (errno.EDQUOT, errors.StorageFullError),
        (errno.EMFILE, errors.StorageLimitError),
        (errno.EIO, errors.StorageError),
    ],
)
def test_causes_are_told_apart(number, kind, tmp_path):
    error = posix.failure("open", str(tmp_path / "x"), OSError(number, os.strerror(number)))
    assert error.__class__ is kind
    assert error.message.startswith(f"unable to open '{tmp_path}/x': {os.strerror(number).lower()}")


def test_a_full_disk_says_how_full(tmp_path):
    cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    error = posix.failure("write", str(tmp_path / "missing/x"), cause)
    assert "bytes free)" in error.message
    assert error.hint


def test_a_full_disk_in_the_middle(tmp_path, monkeypatch):
    storage = posix.PosixStorage(str(tmp_path))
    storage.write("x", b"old")
    writer = storage.writer("x", publish=Publish.RENAME)
    writer.write(b"new")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.StorageFullError):
        writer.finish().wait()
    assert storage.read("x") == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_entries_tell_owner_and_destination(tmp_path):
    storage = posix.PosixStorage(str(tmp_path))
    storage.write("x", b"")
    storage.link("x", "latest")
    link, file = storage.list("")
    assert link.destination == "x"
    assert file.user is not None
    storage.link("y", "latest")
    assert storage.info("latest").destination == "y"


def test_what_is_there_as_a_link_is_a_directory(tmp_path):
    os.mkdir(tmp_path / "real")
    os.symlink("real", tmp_path / "link")
    storage = posix.PosixStorage(str(tmp_path))
    storage.make_path("link/sub")
    assert (tmp_path / "real/sub").is_dir()


def test_two_processes_that_write_the_same_file_do_not_meet(tmp_path):
    """As a hung archiver and the archive-push that gave up on it."""
    first = posix.PosixStorage(str(tmp_path)).writer("a", publish=Publish.RENAME)
    second = posix.PosixStorage(str(tmp_path), 1).writer("b", publish=Publish.RENAME)
    third = posix.PosixStorage(str(tmp_path)).writer("b", publish=Publish.RENAME)
    second.write(b"half")
    third.write(b"whole of it")
    third.finish().wait()
    assert (tmp_path / "b").read_bytes() == b"whole of it"
    second.write(b" and half")
    second.finish().wait()
    assert (tmp_path / "b").read_bytes() == b"half and half"
    first.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_a_former_generation_left_is_removed(tmp_path):
    posix.PosixStorage(str(tmp_path), 1).writer("a", publish=Publish.RENAME).write(b"left behind")
    storage = posix.PosixStorage(str(tmp_path), 2)
    storage.write("a", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
