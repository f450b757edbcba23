# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that are full, or forbid something: each refusal has its cause."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.tests.support.extensions import POSIX_RENAME


def test_a_full_repository_says_so_and_how_full(sftp):
    storage = sftp(room=500_000)
    storage.write("old", b"x" * 100_000)
    full = r"no space left .*\(0 bytes free\)"
    with pytest.raises(errors.StorageFullError, match=full) as raised:
        storage.write("new", b"x" * 1_000_000)
    assert raised.value.hint
    assert raised.value.code == errors.FileWriteError.code
    # Nothing that is not whole has a name, and there is no rubbish.
    assert [entry.name for entry in storage.list("")] == ["old"]
    storage.test_server.defects.room = None
    storage.write("new", b"x" * 1_000_000)


def test_a_full_repository_in_the_middle_of_a_large_file(sftp):
    storage = sftp(room=30 << 20)
    writer = storage.writer("x", publish=Publish.DIRECT)
    with pytest.raises(errors.StorageFullError):
        for _dummy in range(100):
            writer.write(b"x" * (1 << 20))
    with pytest.raises(errors.StorageFullError):
        writer.finish().wait()
    assert storage.list("") == []


@pytest.mark.parametrize("message", ["No space left on device", "Disk quota exceeded"])
def test_a_server_that_says_that_it_is_full(sftp, message):
    storage = sftp(room=10, message=message, extensions={})
    with pytest.raises(errors.StorageFullError, match=message.lower()):
        storage.write("x", b"x" * 100)


def test_files_that_are_refused_at_once_have_one_cause(sftp):
    storage = sftp(room=2 << 20, frees=True)
    writers = [storage.writer(f"f{number}", publish=Publish.RENAME) for number in range(3)]
    for _dummy in range(10):
        for writer in writers:
            writer.write(b"x" * 255 * 1024)
    for writer in writers:
        with pytest.raises(errors.StorageFullError, match=r"\(0 bytes free\)"):
            writer.finish().wait()
    # There is room now; what is refused later has another cause.
    storage.test_server.defects.refuse = {"write": 4}
    with pytest.raises(errors.StorageError, match="the server gives no reason"):
        storage.write("x", b"x" * 100)


@pytest.mark.parametrize("verb", ["write", "make_path", "remove", "remove_tree", "rename"])
def test_a_file_system_that_cannot_be_written(sftp, root, verb):
    storage = sftp()
    storage.write("d/x", b"x")
    storage.test_server.defects.read_only = True
    arguments = {"write": ("y", b"y"), "make_path": ("e",), "rename": ("d/x", "z")}
    with pytest.raises(errors.StorageAccessError, match="read-only file system") as raised:
        getattr(storage, verb)(*arguments.get(verb, ("d/x" if verb == "remove" else "d",)))
    assert "see the server's log" in raised.value.hint
    assert storage.read("d/x") == b"x"


def test_no_inodes_left(sftp):
    storage = sftp(inodes=1)
    storage.write("x", b"x")
    with pytest.raises(errors.StorageFullError, match=r"no inodes left on the server \(\d+ bytes"):
        storage.write("y", b"y")
    storage.remove("x")


def test_a_failure_that_is_not_a_full_disk(sftp):
    storage = sftp(refuse={"write": 4})
    with pytest.raises(errors.StorageError, match="the server gives no reason"):
        storage.write("x", b"x" * 100)
    assert storage.list("") == []


@pytest.mark.parametrize("step", ["open", "write", "close", POSIX_RENAME])
def test_no_step_may_fail_silently(sftp, step):
    storage = sftp(refuse={step: 4})
    completions = []
    for number in range(10):
        writer = storage.writer(f"f{number}", publish=Publish.RENAME)
        writer.write(b"x" * 400_000)
        completions.append(writer.finish())
    for completion in completions:
        with pytest.raises(errors.StorageError):
            completion.wait()
        assert completion.ready()
    storage.test_server.defects.refuse = {}
    assert storage.list("") == []


def test_permission_denied_is_not_missing(sftp, root):
    storage = sftp(refuse_paths={str(root / "secret"): 3})
    for action in (
        lambda: storage.read("secret/x"),
        lambda: storage.write("secret/x", b""),
        lambda: storage.info("secret/x"),
        lambda: storage.list("secret"),
        lambda: storage.remove("secret/x"),
        lambda: storage.make_path("secret/y"),
        lambda: storage.rename("secret/x", "secret/y"),
    ):
        with pytest.raises(errors.StorageAccessError, match="permission denied"):
            action()


def test_a_repository_that_may_not_be_made(sftp, root):
    storage = sftp(refuse={"mkdir": 3})
    with pytest.raises(errors.StorageAccessError, match="unable to create path 'archive/demo' on"):
        storage.write("archive/demo/archive.info", b"")


def test_a_tree_that_may_not_be_removed_as_a_whole(sftp, root):
    storage = sftp(refuse_paths={str(root / "t/b"): 3})
    for name in ("t/a/x", "t/c/x"):
        storage.write(name, b"")
    os.makedirs(root / "t/b/y")
    with pytest.raises(errors.StorageAccessError, match="'t/b'"):
        storage.remove_tree("t")
    assert [entry.name for entry in storage.list("t")] == ["b"]


def test_a_name_that_stays_missing_is_asked_for_twice(sftp):
    """Its directory was made meanwhile: the server will not say anything else, however often."""
    storage = sftp(refuse={"open": 2})
    with pytest.raises(errors.StorageMissingError, match="unable to open"):
        storage.write("d/x", b"1")
    assert storage.test_server.count("open") == 2
