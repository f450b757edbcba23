# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verb means the same on every storage."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import base
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (
    FileKind,
    Missing,
    Publish,
)


@pytest.fixture(autouse=True)
def plain_umask():
    old = os.umask(0)
    yield
    os.umask(old)


def test_what_is_written_is_read(storage, root):
    storage.write("archive/demo/archive.info", b"some text\n")
    assert storage.read("archive/demo/archive.info") == b"some text\n"
    assert (root / "archive/demo/archive.info").read_bytes() == b"some text\n"
    assert os.listdir(root / "archive/demo") == ["archive.info"]


def test_modes_are_those_of_a_repository(storage, root):
    storage.write("archive/demo/archive.info", b"")
    storage.make_path("backup/demo")
    modes = [os.stat(root / path).st_mode & 0o777 for path in ("archive", "archive/demo", "backup")]
    assert modes == [0o750] * 3
    assert os.stat(root / "archive/demo/archive.info").st_mode & 0o777 == 0o640


def test_writing_replaces(storage):
    for data in (b"first and longer", b"second", b""):
        storage.write("x/info", data)
        assert storage.read("x/info") == data
    assert [entry.name for entry in storage.list("x")] == ["info"]


@pytest.mark.parametrize("publish", list(Publish))
def test_a_large_file_in_odd_pieces(storage, publish):
    data = os.urandom(1_100_003)
    writer = storage.writer("a/b/large", publish=publish)
    position = 0
    for size in (0, 1, 255 * 1024, 7, 32768, 600_000, 1_000_000):
        writer.write(memoryview(data)[position : position + size])
        position += size
    completion = writer.finish()
    completion.wait()
    assert completion.ready()
    assert storage.read("a/b/large") == data
    for offset, size in ((0, 10), (255 * 1024 - 1, 2), (1_100_000, 3), (5, 1_000_000), (7, 0)):
        assert (
            storage.reader("a/b/large", offset=offset, size=size).read_all()
            == (data[offset : offset + size])
        )
    assert storage.reader("a/b/large", offset=1_000_000).read_all() == data[1_000_000:]


def test_a_buffer_may_be_used_again(storage):
    buffer = bytearray(300_000)
    writer = storage.writer("x", publish=Publish.RENAME)
    for value in (1, 2, 3):
        buffer[:] = bytes([value]) * len(buffer)
        writer.write(buffer)
    writer.finish().wait()
    assert storage.read("x") == b"\1" * 300_000 + b"\2" * 300_000 + b"\3" * 300_000


def test_nothing_has_a_name_before_it_is_finished(storage, root):
    writer = storage.writer("x", publish=Publish.RENAME)
    writer.write(b"abc" * 200_000)
    assert storage.info("x") is None
    writer.finish().wait()
    assert storage.info("x").size == 600_000


@pytest.mark.parametrize("directory", ["", "d/e/"])
def test_what_it_is_called_may_come_with_the_last_byte(storage, root, directory):
    writer = storage.writer(f"{directory}begun", publish=Publish.RENAME)
    writer.write(b"x")
    writer.finish(name="called").wait()
    assert os.listdir(root / directory) == ["called"]
    assert storage.read(f"{directory}called") == b"x"


def test_what_is_aborted_leaves_nothing(storage):
    storage.write("there", b"old")
    for name, publish in (("there", Publish.RENAME), ("new", Publish.DIRECT)):
        writer = storage.writer(name, publish=publish)
        writer.write(b"abc" * 200_000)
        writer.abort()
        writer.abort()
    assert [entry.name for entry in storage.list("")] == ["there"]
    assert storage.read("there") == b"old"


def test_aborting_what_is_published_does_nothing(storage):
    writer = storage.writer("x", publish=Publish.DIRECT)
    writer.write(b"abc")
    writer.finish().wait()
    writer.abort()
    assert storage.read("x") == b"abc"


def test_a_missing_file(storage):
    storage.write("there/x", b"")
    for path in ("missing", "missing/too", "there/missing"):
        with pytest.raises(errors.StorageMissingError, match="unable to open"):
            storage.read(path)
        assert storage.info(path) is None
    with pytest.raises(errors.StorageMissingError):
        storage.list("missing")


def test_a_file_that_ends_too_early(storage):
    storage.write("x", b"0123456789")
    reader = storage.reader("x", offset=5, size=6)
    with pytest.raises(errors.FileReadError, match="ends at 10 bytes, 11 were expected"):
        reader.read_all()
    with pytest.raises(errors.FileReadError):
        storage.reader("x", offset=20, size=1).read_all()
    assert storage.reader("x", offset=20).read_all() == b""


def test_a_reader_may_be_left_early(storage):
    storage.write("x", os.urandom(2_000_000))
    for _dummy in range(20):
        with storage.reader("x") as reader:
            assert reader.take()
        assert reader.take() == b""
    storage.reader("missing").close()
    assert len(storage.read("x")) == 2_000_000


def test_list_says_what_is_there(storage, root):
    storage.write("d/b", b"12345")
    storage.write("d/a", b"")
    storage.make_path("d/sub/dir")
    os.symlink("b", root / "d/link")
    os.mkfifo(root / "d/pipe")
    os.utime(root / "d/b", (1, 1_600_000_000))
    entries = storage.list("d")
    assert [(entry.name, entry.kind, entry.size) for entry in entries] == [
        ("a", FileKind.FILE, 0),
        ("b", FileKind.FILE, 5),
        ("link", FileKind.LINK, 0),
        ("pipe", FileKind.SPECIAL, 0),
        ("sub", FileKind.PATH, 0),
    ]
    assert entries[1].mtime == 1_600_000_000
    assert entries[1].mode == 0o640
    assert storage.list("d/sub/dir") == []
    assert [entry.name for entry in storage.list("")] == ["d"]


def test_list_of_many_entries(storage, root):
    storage.make_path("many")
    names = sorted(f"{number:x}" for number in range(1500))
    for name in names:
        (root / "many" / name).touch()
    assert [entry.name for entry in storage.list("many")] == names


def test_list_many_gives_errors_where_they_belong(storage):
    storage.write("a/x", b"")
    storage.write("b/y", b"")
    first, missing, last = storage.list_many(["a", "missing", "b"])
    assert [entry.name for entry in first] == ["x"]
    assert isinstance(missing, errors.StorageMissingError)
    assert [entry.name for entry in last] == ["y"]
    assert list(storage.list_many([])) == []


def test_info_of_names(storage, root):
    storage.write("d/x", b"123")
    os.symlink("nowhere", root / "d/link")
    found = storage.info_many(["d", "d/x", "d/missing", "d/link", ""])
    assert [entry and entry.kind for entry in found] == [
        FileKind.PATH,
        FileKind.FILE,
        None,
        FileKind.LINK,
        FileKind.PATH,
    ]
    assert found[1].name == "x"
    assert found[1].size == 3


def test_remove(storage):
    for name in ("a", "b", "c"):
        storage.write(name, b"")
    storage.remove("a")
    storage.remove("a")
    with pytest.raises(errors.StorageMissingError, match="unable to remove 'a'"):
        storage.remove("a", missing=Missing.ERROR)
    assert storage.remove_many(["a", "b", "c"]) == 2
    assert storage.list("") == []


def test_remove_tries_all(storage):
    storage.write("a/x", b"")
    storage.write("b", b"")
    with pytest.raises(errors.EngineError, match="unable to remove"):
        storage.remove_many(["a", "b"])
    assert [entry.name for entry in storage.list("")] == ["a"]


def test_remove_tree(storage, root):
    for name in ("t/1/2/3/x", "t/1/y", "t/z", "other/t"):
        storage.write(name, b"data")
    storage.make_path("t/empty/empty")
    os.symlink("../other", root / "t/link")
    storage.remove_tree("t")
    storage.remove_tree("t")
    assert [entry.name for entry in storage.list("")] == ["other"]
    assert storage.read("other/t") == b"data"
    storage.write("t/1/2/3/x", b"again")
    assert storage.read("t/1/2/3/x") == b"again"


def test_make_path(storage, root):
    storage.make_path("a/b/c")
    storage.make_path("a/b/c")
    storage.make_paths(["a/b/d", "a/e", "a", "f/g/h", "f/g/i"])
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    assert found == ["a", "a/b", "a/b/c", "a/b/d", "a/e", "f", "f/g", "f/g/h", "f/g/i"]


def test_make_path_where_a_file_is(storage):
    storage.write("a", b"")
    with pytest.raises(errors.EngineError, match="unable to create path"):
        storage.make_path("a")
    with pytest.raises(errors.EngineError, match="unable to create path"):
        storage.make_path("a/b")


def test_rename_replaces(storage):
    storage.write("a", b"new")
    storage.write("b", b"old")
    storage.rename("a", "b")
    assert storage.read("b") == b"new"
    assert [entry.name for entry in storage.list("")] == ["b"]
    # What is not there replaces nothing, whatever the server answers.
    with pytest.raises(errors.EngineError, match="unable to rename"):
        storage.rename("a", "b")
    assert storage.read("b") == b"new"


def test_link(storage, root):
    storage.write("a/x", b"")
    storage.link("a", "latest")
    assert os.readlink(root / "latest") == "a"


def test_names_that_are_not_utf8(storage, root):
    name = os.fsdecode(b"caf\xe9")
    storage.write(f"d/{name}", b"x")
    assert os.listdir(os.fsencode(root / "d")) == [b"caf\xe9"]
    assert [entry.name for entry in storage.list("d")] == [name]


def test_many_files_at_once(storage):
    completions = []
    for number in range(300):
        writer = storage.writer(f"deep/{number % 7}/file{number}", publish=Publish.RENAME)
        writer.write(b"%d" % number * 100)
        completions.append(writer.finish())
    storage.wait(completions)
    readers = [storage.reader(f"deep/{number % 7}/file{number}") for number in range(300)]
    for number, reader in enumerate(readers):
        assert reader.read_all() == b"%d" % number * 100


def test_sync_path_and_free_size_never_hurt(storage):
    storage.make_path("a")
    storage.sync_path("a")
    assert storage.free_size() is None or storage.free_size() > 0


def test_the_repository_itself_may_have_to_be_made(storage, root):
    root.rmdir()
    storage.write("a/x", b"1")
    assert storage.read("a/x") == b"1"


def test_closing_twice(storage):
    with storage as same:
        assert same is storage
    storage.close()


# Names that must come one after another.


def chain(storage, names, data=b"x"):
    writers = [storage.writer(name, publish=Publish.RENAME) for name in names]
    for writer in writers:
        writer.write(data)
    last = []
    for writer in writers:
        last = [writer.finish(after=last)]
    return last[0]


def test_names_come_in_the_order_that_was_asked_for(storage, root):
    chain(storage, ["d/first", "d/second", "third"]).wait()
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == [
        "d/first",
        "d/second",
        "third",
    ]


def test_what_follows_a_file_that_failed_gets_no_name(storage, root):
    (root / "d").mkdir()
    (root / "d/first").mkdir()  # nothing can be renamed over a directory
    with pytest.raises(errors.EngineError, match="d/first"):
        chain(storage, ["d/first", "d/second", "third"]).wait()
    storage.list("d")
    # Without an atomic rename a temporary file may be all there is, so it stays.
    names = [path.name for path in root.rglob("*") if path.is_file()]
    assert [name for name in names if not name.endswith(".pgbackrest.tmp")] == []


# Two processes that write the same file, as two archivers or a push by hand beside PostgreSQL's.


def begun(storage, data):
    """A writer of whose bytes some are at the storage."""
    writer = storage.writer("d/x", publish=Publish.RENAME)
    writer.write(data)
    storage.list("")
    return writer


def test_whoever_is_first_what_gets_the_name_is_whole(two, root):
    first, second = (begun(storage, letter * 600_000) for storage, letter in zip(two, (b"a", b"b")))
    first.finish().wait()
    assert (root / "d/x").read_bytes() == b"a" * 600_000
    second.write(b"c" * 600_000)
    assert (root / "d/x").read_bytes() == b"a" * 600_000
    second.finish().wait()
    assert (root / "d/x").read_bytes() == b"b" * 600_000 + b"c" * 600_000
    assert os.listdir(root / "d") == ["x"]


def test_one_that_gives_up_takes_nothing_from_the_other(two, root):
    first, second = (begun(storage, letter * 600_000) for storage, letter in zip(two, (b"a", b"b")))
    second.abort()
    first.write(b"c" * 600_000)
    first.finish().wait()
    assert (root / "d/x").read_bytes() == b"a" * 600_000 + b"c" * 600_000
    assert os.listdir(root / "d") == ["x"]


def test_one_that_is_killed_leaves_a_name_that_readers_pass_over(two, root):
    first, second = (begun(storage, letter * 600_000) for storage, letter in zip(two, (b"a", b"b")))
    del second  # what it had on its way stays as it is
    first.finish().wait()
    assert (root / "d/x").read_bytes() == b"a" * 600_000
    (left,) = [path.name for path in (root / "d").iterdir() if path.name != "x"]
    assert left.startswith("x.")
    assert left.endswith(".pgbackrest.tmp")


def test_a_writer_does_not_take_a_file_that_is_there(two, root, monkeypatch):
    monkeypatch.setattr(base, "_token", lambda: "same")
    first = begun(two[0], b"a" * 600_000)
    with pytest.raises(errors.EngineError):
        begun(two[1], b"b").finish().wait()
    first.finish().wait()
    assert (root / "d/x").read_bytes() == b"a" * 600_000
