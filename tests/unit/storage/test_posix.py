# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a local directory does."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import posix_calls
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage


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
    error = posix_calls.failure("open", str(tmp_path / "x"), OSError(number, os.strerror(number)))
    assert error.__class__ is kind
    assert error.message.startswith(f"unable to open '{tmp_path}/x': {os.strerror(number).lower()}")


def test_a_full_disk_says_how_full(tmp_path):
    cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    error = posix_calls.failure("write", str(tmp_path / "missing/x"), cause)
    assert "bytes free)" in error.message
    assert error.hint


def test_a_full_disk_in_the_middle(tmp_path, monkeypatch):
    storage = PosixStorage(str(tmp_path))
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
    storage = PosixStorage(str(tmp_path))
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
    storage = PosixStorage(str(tmp_path))
    storage.make_path("link/sub")
    assert (tmp_path / "real/sub").is_dir()


def test_new_directories_are_durable_with_all_their_parents(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(posix_calls, "sync_path", synced.append)
    storage = PosixStorage(str(tmp_path))
    storage.make_paths(["a/b/c", "a/d", "a/d"])
    assert synced == [f"{tmp_path}{below}" for below in ("", "/a", "/a/b", "/a")]


def test_a_file_is_durable_before_its_name_and_its_name_before_that_is_said(tmp_path, monkeypatch):
    storage = PosixStorage(str(tmp_path))
    storage.make_path("a")
    done = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor):
        done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def renamed(source, target):
        done.append(("rename", target))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    writer = storage.writer("a/temporary", publish=Publish.RENAME)
    writer.write(b"whole")
    (temporary,) = os.listdir(tmp_path / "a")
    assert writer.finish(name="file").ready()
    assert done == [
        ("sync", f"{tmp_path}/a/{temporary}"),
        ("rename", f"{tmp_path}/a/file"),
        ("sync", f"{tmp_path}/a"),
    ]


@pytest.mark.parametrize("what", ["unlink", "rmdir"])
def test_a_tree_that_somebody_else_removes_meanwhile(tmp_path, monkeypatch, what):
    storage = PosixStorage(str(tmp_path))
    for path in ("t/a", "t/b/x", "t/c/x", "t/d"):
        storage.write(path, b"1")
    remove = getattr(os, what)

    def slow(name, **where):
        remove(name, **where)
        remove(name, **where)

    monkeypatch.setattr(os, what, slow)
    storage.remove_tree("t")
    assert os.listdir(tmp_path) == []


def test_a_tree_that_cannot_be_removed(tmp_path, monkeypatch):
    storage = PosixStorage(str(tmp_path))
    storage.write("t/a/x", b"1")

    def refused(name, **_where):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(errors.StorageAccessError, match=r"unable to remove .*x.: permission"):
        storage.remove_tree("t")
