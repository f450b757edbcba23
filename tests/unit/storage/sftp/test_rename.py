# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file gets its name when it is whole, whatever the server knows of renaming."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.tests.support.extensions import FSYNC, POSIX_RENAME, without


def requests(storage, action):
    """The names of the requests that ``action`` sends."""
    start = len(storage.test_server.requests)
    action()
    return storage.test_server.requests[start:]


# What a complete server is asked.


def test_a_file_is_renamed_when_all_else_was_acknowledged(sftp):
    storage = sftp()
    assert requests(storage, lambda: storage.write("x", b"data")) == [
        "open",
        "write",
        FSYNC,
        "close",
        POSIX_RENAME,
    ]


def test_a_direct_file_is_not_renamed(sftp, root):
    storage = sftp()
    writer = storage.writer("x", publish=Publish.DIRECT)
    assert (root / "x").exists()
    asked = requests(storage, lambda: writer.finish().wait())
    assert asked == [FSYNC, "close"]


def test_a_rename_that_has_to_wait_is_not_sent_before_the_one_before_is_answered(sftp):
    storage = sftp()
    first = storage.writer("first", publish=Publish.RENAME)
    second = storage.writer("second", publish=Publish.RENAME)
    second.write(b"2")
    waiting = None

    def begin():
        nonlocal waiting
        waiting = second.finish(after=[first])
        storage.list("")

    assert POSIX_RENAME not in requests(storage, begin)
    assert not waiting.ready()
    first.write(b"1")
    first.finish()
    waiting.wait()
    assert storage.read("first") + storage.read("second") == b"12"


# Servers that do not rename over what is there.


@pytest.mark.parametrize("taken", [4, 11])
def test_without_posix_rename_the_target_gives_way(sftp, taken):
    storage = sftp(extensions=without(POSIX_RENAME), rename_taken=taken)
    assert requests(storage, lambda: storage.write("x", b"1"))[-1:] == ["rename"]
    asked = requests(storage, lambda: storage.write("x", b"2"))
    assert asked[-5:] == ["rename", "lstat", "lstat", "remove", "rename"]
    assert storage.read("x") == b"2"


@pytest.mark.parametrize("code", [3, 5, 8])
def test_a_refused_posix_rename_is_done_without(sftp, code):
    storage = sftp(refuse={POSIX_RENAME: code})
    storage.write("x", b"1")
    storage.write("x", b"2")
    assert storage.read("x") == b"2"
    if code != 3:  # which may be about the file
        assert storage.test_server.count(POSIX_RENAME) == 1


def test_the_new_file_stays_when_the_old_one_is_gone_and_the_rename_fails(sftp):
    storage = sftp(extensions=without(POSIX_RENAME))
    storage.write("x", b"old")
    storage.test_server.defects.refuse = {"rename": 4}
    with pytest.raises(errors.StorageError, match=r"unable to rename 'x\.\w+\.pgbackrest\.tmp'"):
        storage.write("x", b"new")
    (left,) = [entry.name for entry in storage.list("")]
    assert storage.read(left) == b"new"
    # It is no garbage to whoever clears up behind a lost session.
    assert not storage.unfinished
    with pytest.raises(errors.StorageError):
        storage.write("y", b"new")
    assert [entry.name for entry in storage.list("")] == [left]


@pytest.mark.parametrize("defects", [{"extensions": {}}, {"refuse": {POSIX_RENAME: 8}}])
def test_one_of_two_twins_is_there_where_replacing_a_file_takes_two_steps(sftp, root, defects):
    storage = sftp(**defects)
    names = ("info", "info.copy")
    for name in names:
        storage.write(name, b"former")
    missing = []
    answer = storage.test_server._answer

    def watched(packet):
        reply = answer(packet)
        missing.append([name for name in names if not (root / name).exists()])
        return reply

    storage.test_server._answer = watched
    writers = [storage.writer(name, publish=Publish.RENAME) for name in names]
    for writer in writers:
        writer.write(b"now")
    first = writers[0].finish()
    storage.wait([first, writers[1].finish(twin=first)])
    assert storage.read(names[0]) + storage.read(names[1]) == b"nownow"
    assert ["info"] in missing
    assert ["info.copy"] in missing
    assert list(names) not in missing
