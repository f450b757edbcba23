# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that lack something, or do it in a way of their own."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (
    FileKind,
    Publish,
)
from ansible_collections.pgsftp.backup.tests.support.extensions import FSYNC, without

# Extensions that are not there, or refused.


@pytest.mark.parametrize("code", [3, 5, 8])
def test_a_refused_fsync_is_done_without(sftp, code):
    storage = sftp(refuse={FSYNC: code})
    storage.write("x", b"1")
    storage.write("x", b"2")
    assert storage.read("x") == b"2"
    assert storage.test_server.count(FSYNC) == 1


def test_a_failed_fsync_is_an_error(sftp):
    storage = sftp(refuse={FSYNC: 4})
    with pytest.raises(errors.StorageError, match="unable to sync 'x' on sftp-srv:"):
        storage.write("x", b"1")
    assert storage.list("") == []


@pytest.mark.parametrize("code", [3, 4, 8])
def test_limits_and_statvfs_that_are_refused(sftp, code):
    storage = sftp(refuse={"limits@openssh.com": code, "statvfs@openssh.com": code})
    storage.write("x", b"1" * 100_000)
    assert storage.free_size() is None
    assert storage.test_server.count("write") == 4


def test_limits_are_kept(sftp):
    storage = sftp(limits=(34000, 16384, 20000, 5))
    storage.info("")  # by then it has said so
    storage.write("x", b"1" * 100_000)
    assert storage.test_server.count("write") == 5
    assert storage.read("x") == b"1" * 100_000
    assert storage.test_server.count("read") == 7
    names = [f"f{number}" for number in range(50)]
    completions = []
    for name in names:
        writer = storage.writer(name, publish=Publish.RENAME)
        writer.write(b"x")
        completions.append(writer.finish())
    storage.wait(completions)
    assert storage.test_server.most_handles <= 5


def test_absurd_limits_are_not_believed(sftp):
    storage = sftp(limits=(0, 0, 1 << 60, 0))
    storage.write("warm", b"")
    storage.write("x", b"1" * 1_000_000)
    assert storage.test_server.count("write") == 4


@pytest.mark.parametrize("version", [2, 6])
def test_another_version(sftp, version):
    with pytest.raises(errors.ProtocolError, match=f"speaks version {version} of SFTP"):
        sftp(version=version)


def test_login_noise(sftp):
    with pytest.raises(errors.ProtocolError, match="the server says 'Hello, user!' where"):
        sftp(noise=b"Hello, user!\n")


# Handles.


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("handles", [1, 2, 10])
@pytest.mark.parametrize("backwards", [False, True])
def test_few_handles(sftp, root, handles, backwards, announced):
    """Also of a server that says so, where everything is asked for before it has."""
    limits = (262144, 261120, 261120, handles)
    said = {"limits": limits} if announced else {"extensions": without("limits@openssh.com")}
    (root / "d").mkdir(parents=True)
    storage = sftp(handles=handles, backwards=backwards, **said)
    names = [f"d/f{number}" for number in range(150)]
    completions = []
    for name in names:
        writer = storage.writer(name, publish=Publish.RENAME)
        writer.write(name.encode() * 1000)
        completions.append(writer.finish())
    storage.wait(completions)
    readers = [storage.reader(name) for name in names]
    assert [reader.read_all() for reader in readers] == [name.encode() * 1000 for name in names]
    assert storage.test_server.most_handles <= handles
    assert len(storage.list_many(["d", "", "d"])[2]) == 150
    storage.remove_tree("d")
    assert storage.list("") == []


def test_handles_that_would_be_needed_at_once(sftp):
    storage = sftp(handles=1, extensions={})
    storage.make_path("d")
    first = storage.writer("d/a", publish=Publish.DIRECT)
    second = storage.writer("d/b", publish=Publish.DIRECT)
    first.write(b"1")
    second.write(b"2")
    with pytest.raises(errors.StorageLimitError, match="more files must be open at once"):
        second.finish().wait()
    first.finish().wait()
    assert storage.read("d/a") == b"1"


def test_directories_can_be_listed_while_many_files_are_open(sftp):
    storage = sftp(limits=(262144, 261120, 261120, 20))
    storage.write("d/x", b"x" * 1000)
    writers = [storage.writer(f"w{number}", publish=Publish.RENAME) for number in range(40)]
    assert [entry.name for entry in storage.list("d")] == ["x"]
    for writer in writers:
        writer.finish()
    storage.wait([writer.finish() for writer in writers])


# What a name stands for, where the server has no modes.


@pytest.mark.parametrize("refusal", [3, 4])
@pytest.mark.parametrize("bare", [False, True])
def test_a_server_without_modes(sftp, root, refusal, bare):
    storage = sftp(no_modes=True, bare_listing=bare, unlink_path=refusal)
    storage.write("a/b/x", b"123")
    storage.link("b", "a/link")
    found = {entry.name: (entry.kind, entry.size) for entry in storage.list("a")}
    assert found == {"b": (FileKind.PATH, 0), "link": (FileKind.LINK, 0)}
    (entry,) = storage.list("a/b")
    assert (entry.name, entry.kind, entry.size) == ("x", FileKind.FILE, 3)
    kinds = [entry and entry.kind for entry in storage.info_many(["a", "a/link", "a/b/x", "none"])]
    assert kinds == [FileKind.PATH, FileKind.LINK, FileKind.FILE, None]
    storage.test_server.requests.clear()
    storage.remove_tree("a")
    assert os.listdir(root) == []
    assert storage.test_server.count("remove") == 2, "a directory was to be removed as a file"


def test_a_link_is_not_followed_when_a_tree_is_removed(sftp, root):
    storage = sftp(no_modes=True)
    storage.write("kept/x", b"x")
    storage.make_path("gone")
    storage.link("../kept", "gone/link")
    storage.remove_tree("gone")
    assert storage.read("kept/x") == b"x"


# Reading.


@pytest.mark.parametrize("size", [None, 100_000])
@pytest.mark.parametrize("no_sizes", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_short_reads_are_completed(sftp, size, no_sizes, backwards):
    storage = sftp(longest_read=999, no_sizes=no_sizes, backwards=backwards)
    data = os.urandom(100_000)
    storage.write("x", data)
    assert storage.reader("x", size=size).read_all() == data
    assert storage.reader("x", offset=500, size=700).read_all() == data[500:1200]


def test_sizes_that_the_server_does_not_know(sftp):
    storage = sftp(no_sizes=True)
    data = os.urandom(3_000_000)
    storage.write("x", data)
    assert storage.read("x") == data
    assert storage.info("x").size == 0 or storage.info("x").size == 3_000_000


def test_a_file_that_shrinks_while_it_is_read(sftp, root):
    storage = sftp()
    storage.write("x", b"x" * 80_000_000)
    reader = storage.reader("x")
    reader.take()
    os.truncate(root / "x", 60_000_000)
    with pytest.raises(errors.FileReadError, match="ends at 60000000 bytes, 80000000 were"):
        reader.read_all()


def test_a_read_that_fails(sftp):
    storage = sftp(refuse={"read": 4})
    storage.write("x", b"x" * 80_000)
    with pytest.raises(errors.StorageError, match="unable to read 'x' on sftp-srv:"):
        storage.read("x")


def test_read_ahead_is_bounded_over_all_readers(sftp):
    storage = sftp()
    storage.write("x", b"x" * 60_000_000)
    readers = [storage.reader("x", size=60_000_000) for _dummy in range(3)]
    assert readers[2].take()
    assert storage.server.read_ahead.used <= 34 << 20
    assert all(len(reader.read_all()) >= 59_000_000 for reader in readers)
    assert storage.server.read_ahead.used == 0
    assert storage.server.handles.held <= 3  # CLOSEs that nobody waited for


def test_bytes_that_nobody_acknowledged_are_bounded(sftp):
    storage = sftp()
    writer = storage.writer("x", publish=Publish.DIRECT)
    for _dummy in range(60):
        writer.write(b"x" * (1 << 20))
        assert storage.server.unacknowledged <= 17 << 20
    writer.finish().wait()
    assert storage.server.unacknowledged == 0


# Listing.


def test_a_listing_without_attributes_asks_for_them(sftp):
    storage = sftp(bare_listing=True)
    for number in range(130):
        storage.write(f"d/{number:03}", b"x" * number)
    entries = storage.list("d")
    assert [entry.size for entry in entries] == list(range(130))
    assert storage.test_server.count("lstat") == 130


def test_a_listing_that_fails_in_the_middle(sftp):
    storage = sftp(refuse={"readdir": 4})
    with pytest.raises(errors.StorageError, match="unable to list path 'd'"):
        storage.make_path("d")
        storage.list("d")
