"""Servers that lack something, refuse something, or go away in the middle."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.tests.support import sftp_server

POSIX_RENAME = "posix-rename@openssh.com"
FSYNC = "fsync@openssh.com"


def without(*names):
    return {key: value for key, value in sftp_server.ALL_EXTENSIONS.items() if key not in names}


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


# Extensions that are not there, or refused.


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
    storage.write("warm", b"")
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


@pytest.mark.parametrize("handles", [1, 2, 10])
@pytest.mark.parametrize("backwards", [False, True])
def test_few_handles_and_no_word_about_it(sftp, handles, backwards):
    storage = sftp(handles=handles, extensions=without("limits@openssh.com"), backwards=backwards)
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


# Full, and forbidden.


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


# The transport.


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("how", ["cut_after", "silent_after"])
def test_a_lost_session_is_that_and_nothing_else(sftp, root, after, how):
    """Whatever the moment: TransportLostError, never "not found", and never half a file."""
    try:
        storage = sftp(**{how: after})
        storage.write("d/old", b"old")
        storage.write("d/old", b"new")
        storage.read("d/old")
        storage.info("d/old")
    except errors.EngineError as error:
        assert error.__class__ is errors.TransportLostError
        assert error.code == errors.HostConnectError.code
        assert "connection to sftp-srv lost" in error.message
    else:
        pytest.fail("the session was not lost")
    if (root / "d/old").exists():
        assert (root / "d/old").read_bytes() in (b"old", b"new")


def test_everything_under_way_fails_with_the_session(sftp):
    storage = sftp(cut_after=30)
    writers = [storage.writer(f"f{number}", publish=Publish.RENAME) for number in range(20)]
    completions = []
    with pytest.raises(errors.TransportLostError):
        for writer in writers:
            writer.write(b"x" * 100_000)
            completions.append(writer.finish())
        storage.wait(completions)
    for completion in completions:
        assert completion.ready()
        with pytest.raises(errors.TransportLostError):
            completion.wait()
    for action in (
        lambda: storage.read("f1"),
        lambda: storage.list(""),
        lambda: storage.info("f1"),
        lambda: storage.writer("y", publish=Publish.RENAME),
    ):
        with pytest.raises(errors.TransportLostError):
            action()
    for writer in writers:
        writer.abort()
    storage.close()


def test_silence_is_a_lost_session(sftp):
    storage = sftp(silent_after=3)
    with pytest.raises(errors.TransportLostError, match="no answer in time"):
        storage.write("x", b"data")


def test_an_answer_to_nothing(sftp):
    storage = sftp()
    storage.line._due.append(bytes.fromhex("000000096500ffffff00000000"))
    with pytest.raises(errors.ProtocolError, match=r"that is not open \(sftp-srv\)"):
        storage.list("")
    with pytest.raises(errors.ProtocolError):
        storage.list("")


def test_a_closed_storage_says_so(sftp):
    storage = sftp()
    storage.close()
    with pytest.raises(errors.TransportLostError, match="is closed"):
        storage.read("x")


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


def test_a_rename_that_has_to_wait_is_not_sent_before_the_one_before_is_answered(sftp):
    storage = sftp()
    first = storage.writer("first", publish=Publish.RENAME)
    second = storage.writer("second", publish=Publish.RENAME)
    second.write(b"2")
    waiting = None

    def begin():
        nonlocal waiting
        waiting = second.finish(after=first)
        storage.list("")

    assert POSIX_RENAME not in requests(storage, begin)
    assert not waiting.ready()
    first.write(b"1")
    first.finish()
    waiting.wait()
    assert storage.read("first") + storage.read("second") == b"12"


def test_what_has_arrived_is_given_although_the_session_is_lost(sftp):
    storage = sftp()
    storage.write("x", b"x" * 600_000)
    reader = storage.reader("x", size=600_000)
    first = reader.take()
    storage.test_server.ended = True
    with pytest.raises(errors.TransportLostError):
        storage.list("")
    assert first + reader.read_all() == b"x" * 600_000


def test_the_new_file_stays_when_the_old_one_is_gone_and_the_rename_fails(sftp):
    storage = sftp(extensions=without(POSIX_RENAME))
    storage.write("x", b"old")
    storage.test_server.defects.refuse = {"rename": 4}
    with pytest.raises(errors.StorageError, match=r"unable to rename 'x.pgbackrest.tmp'"):
        storage.write("x", b"new")
    assert storage.read("x.pgbackrest.tmp") == b"new"
    with pytest.raises(errors.StorageError):
        storage.write("y", b"new")
    assert [entry.name for entry in storage.list("")] == ["x.pgbackrest.tmp"]
