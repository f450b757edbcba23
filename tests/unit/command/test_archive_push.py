# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive-push without a server: what is stored, refused and dropped."""

from __future__ import annotations

import logging
import os
import struct
import tracemalloc

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import archive_push
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ArchiveDuplicateError,
    ArchiveMismatchError,
    CommandError,
    FileMissingError,
    FileReadError,
    StopError,
    VersionNotSupportedError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    lock,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.resilient import (
    ResilientStorage,
)
from ansible_collections.pgsftp.backup.tests.support.pg_files import SYSTEM_ID, DataDirectory
from ansible_collections.pgsftp.backup.tests.support.sessions import Opener, sessions

NAMES = [f"0000000100000000000000{number:02X}" for number in range(1, 5)]


def test_a_segment_that_changes_while_it_is_read_gets_no_name(data, push, tmp_path, monkeypatch):
    (path,) = data.ready(NAMES[:1])

    class Changing(archive_push.Encoder):
        def finish(self):
            os.utime(path, ns=(0, 0))
            return super().finish()

    monkeypatch.setattr(archive_push, "Encoder", Changing)
    with pytest.raises(FileReadError, match=f"{NAMES[0]}' changed while it was pushed"):
        push(path)
    monkeypatch.undo()
    assert not list((tmp_path / "repo").rglob(f"{NAMES[0]}*"))
    assert push(path).stored


OTHERS = {
    "00000002.history": b"1\t0/3000000\tno recovery target specified\n",
    "000000010000000000000003.00000028.backup": b"START WAL LOCATION: 0/3000028\n",
}


def new_stanza(repo, sub_key=None, cipher_pass=None, *, system_id=SYSTEM_ID, version="15"):
    info = archive_info.create(system_id, version, sub_key)
    archive_info.save(PosixStorage(str(repo)), "demo", info, cipher_pass)


@pytest.fixture
def data(tmp_path):
    return DataDirectory(tmp_path / "data")


@pytest.fixture
def push(data, tmp_path):
    """Run archive-push with some options."""
    repo = tmp_path / "repo"
    new_stanza(repo)

    def run(path, *arguments, repo=repo, environ=None):
        words = [
            "--no-config",
            "--stanza=demo",
            f"--repo1-path={repo}",
            f"--pg1-path={data.path}",
            f"--lock-path={tmp_path}/lock",
            *arguments,
            str(path),
        ]
        return archive_push.run(load("archive-push", words, environ or {}))

    return run


@pytest.mark.parametrize("other", [{"system_id": SYSTEM_ID + 1}, {"version": "14"}])
def test_the_stanza_of_another_cluster_takes_nothing(data, push, tmp_path, other):
    """A copy of the configuration on a host with a cluster of its own, for one."""
    new_stanza(tmp_path / "repo", **other)
    history = data.wal("00000002.history", OTHERS["00000002.history"])
    for path in (*data.ready(NAMES[:1]), history):
        with pytest.raises(ArchiveMismatchError, match=f"PostgreSQL version 15, .*{SYSTEM_ID} do"):
            push(path)
        assert not list((tmp_path / "repo").rglob(f"{path.name}*"))


def test_a_segment_of_another_cluster_is_refused(data, push, tmp_path):
    """It lies where the own ones do, and would be taken for one of them in a recovery."""
    (path,) = data.ready(NAMES[:1])
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, 24, SYSTEM_ID + 1)
    path.write_bytes(content)
    with pytest.raises(
        ArchiveMismatchError, match=f"{NAMES[0]}' version 15, system-id {SYSTEM_ID + 1}"
    ):
        push(path)
    assert not list((tmp_path / "repo").rglob(f"{NAMES[0]}*"))
    assert push(path, "--no-archive-header-check").stored


def test_a_command_that_was_stopped_stores_nothing_and_drops_nothing(data, push, tmp_path):
    lock.create_stop(f"{tmp_path}/lock", "demo")
    paths = data.ready(NAMES)
    with pytest.raises(StopError, match="stop file exists for stanza demo"):
        push(paths[0], "--archive-push-queue-max=1MiB")
    lock.remove_stop(f"{tmp_path}/lock", "demo")
    assert push(paths[0]).stored


def test_a_queue_that_overflows_is_emptied_and_that_is_said(data, push, caplog):
    paths = data.ready(NAMES)
    with caplog.at_level(logging.WARNING):
        result = push(paths[0], "--archive-push-queue-max=3MiB")
    assert result.as_dict() == {"name": NAMES[0], "stored": False, "dropped": True}
    said = f"dropped WAL file '{NAMES[0]}' because archive queue exceeded 3MB"
    assert said in caplog.text
    assert "full" in caplog.text


def test_dropping_asks_no_repository(data, push):
    paths = data.ready(NAMES)
    assert push(paths[0], "--archive-push-queue-max=3MiB", repo="/proc/nowhere").dropped
    with pytest.raises(FileMissingError):
        push(paths[0], repo="/proc/nowhere")


def test_what_there_is_room_for_is_stored(data, push):
    paths = data.ready(NAMES)
    assert push(paths[0], "--archive-push-queue-max=4MiB").stored
    assert push(paths[1]).stored


def test_what_is_no_wal_is_tried_before_it_is_dropped(data, push):
    data.ready(NAMES)
    history = data.wal("00000002.history", OTHERS["00000002.history"])
    assert push(history, "--archive-push-queue-max=0").stored


@pytest.mark.parametrize("name", ["00000002.history", f"{NAMES[0]}.00000028.backup"])
def test_what_is_no_wal_holds_up_no_more_wal_than_the_queue_may_hold(data, push, caplog, name):
    """PostgreSQL asks for nothing else before it is done, so that no WAL could be dropped."""
    data.ready(NAMES)
    path = data.wal(name, b"small")
    with pytest.raises(FileMissingError):
        push(path, "--archive-push-queue-max=4MiB", repo="/proc/nowhere")
    with caplog.at_level(logging.WARNING):
        assert push(path, "--archive-push-queue-max=3MiB", repo="/proc/nowhere").dropped
    assert f"dropped WAL file '{name}' because archive queue exceeded 3MB" in caplog.text
    assert f"WAL file '{name}' could not be stored: unable to load info file" in caplog.text
    assert ("full one" in caplog.text) is name.endswith(".history")


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("handles", [1, 2])
def test_a_server_that_grants_hardly_a_handle(data, tmp_path, handles, announced):
    """The listing comes before the file that is written, which keeps its handle to the end."""
    repo = tmp_path / "repo"
    new_stanza(repo)
    paths = data.ready([*NAMES, "00000002.history"])
    words = ["--no-config", "--stanza=demo", f"--repo1-path={repo}", f"--pg1-path={data.path}"]
    options = load("archive-push", [*words, str(paths[0])], {})
    limits = {"limits": (262144, 261120, 261120, handles)} if announced else {"extensions": {}}
    for again in (False, True):
        storage = ResilientStorage(sessions(repo, defects={"handles": handles, **limits}))
        archive = archive_info.load(storage, "demo", None)
        for path in map(str, paths):
            segment = archive_push.examine(path)
            repo1 = options.repos[0]
            assert archive_push.push(storage, "demo", archive, segment, options, repo1) is not again
        storage.close()


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"short", FileReadError, "WAL segment has only 5 bytes"),
        (b"\xff" * 8192, VersionNotSupportedError, "unexpected WAL magic 0xFFFF"),
        (b"", FileReadError, "WAL segment has only 0 bytes"),
    ],
)
def test_what_is_no_segment_is_refused_by_its_name(data, push, content, error, said):
    """PostgreSQL asks for it until somebody looks at it, and so has to be told which one it is."""
    path = data.wal(NAMES[0], content)
    with pytest.raises(error) as caught:
        push(path)
    assert str(path) in caught.value.message
    assert said in caught.value.message
    assert caught.value.hint


def test_a_segment_is_not_kept_in_memory(data, push, tmp_path):
    """There is one of a gigabyte, and a process for it on every server that archives."""
    path = data.wal(NAMES[0])
    os.truncate(path, 48 << 20)
    tracemalloc.start()
    try:
        assert push(path, "--compress-type=none").stored
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 16 << 20
    (stored,) = (tmp_path / "repo").rglob(f"{NAMES[0]}-*")
    assert stored.stat().st_size == 48 << 20


def test_whatever_a_lost_session_had_done_the_segment_is_stored_once(
    data, push, tmp_path, monkeypatch, caplog
):
    """Also when it had its name already: then it is no duplicate of somebody else's."""
    path = data.wal(NAMES[0])
    wanted = path.read_bytes()
    lost = 0
    for cut in range(1, 60):
        repo = tmp_path / f"cut {cut}"
        new_stanza(repo)
        opener = Opener(repo, [cut], [], None, {})
        monkeypatch.setattr(archive_push, "prepare", lambda *_, made=opener, **__: made)
        assert push(path, "--compress-type=none").stored
        stored = [found for found in repo.rglob("*") if found.name.startswith(NAMES[0])]
        assert [found.read_bytes() for found in stored] == [wanted]
        assert ".tmp" not in stored[0].name
        if opener.opened == 1:
            break
        lost += 1
    assert lost > 5
    assert "connecting again" in caplog.text
    assert "already exists" not in caplog.text


@pytest.mark.parametrize("check", [True, False])
def test_a_segment_that_is_there_already_is_told_unless_nobody_wants_to_know(
    data, push, caplog, check
):
    (path,) = data.ready(NAMES[:1])
    assert push(path).stored
    with caplog.at_level(logging.WARNING):
        assert not push(path, *(() if check else ("--no-archive-mode-check",))).stored
    said = f"WAL file '{NAMES[0]}' already exists in the repo1 archive with the same checksum"
    assert (said in caplog.text) is check


@pytest.mark.parametrize("name", [NAMES[0], "00000002.history"])
def test_the_name_of_what_is_there_already_is_durable(data, push, monkeypatch, name):
    """Who gave it may have been killed before it was; a crash of the host would take it back."""
    path = data.wal(name, OTHERS.get(name))
    synced = []
    monkeypatch.setattr(PosixStorage, "sync_path", lambda _self, path: synced.append(path))
    assert push(path).stored
    assert not synced
    assert not push(path).stored
    directory = "archive/demo/15-1"
    assert synced == [f"{directory}/{name[:16]}" if name == NAMES[0] else directory]


@pytest.fixture
def stored(tmp_path):
    """The only file of that name in the archive."""

    def find(name):
        (path,) = (tmp_path / "repo").rglob(name)
        return path

    return find


@pytest.mark.parametrize("name", OTHERS)
def test_the_same_file_again_is_fine_and_is_not_stored_again(data, push, stored, name):
    path = data.wal(name, OTHERS[name])
    assert push(path).stored
    before = stored(name).stat()
    assert not push(path).stored
    assert stored(name).stat().st_ino == before.st_ino
    assert len(list(stored(name).parent.iterdir())) == 1


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("other", [b"", b"1\t0/2000000\tanother one\n", b"longer" * 100])
def test_another_file_of_that_name_is_refused_and_the_stored_one_stays(
    data, push, stored, name, other
):
    """Two standbys were promoted to one timeline: the first to say so owns its name."""
    push(data.wal(name, OTHERS[name]))
    with pytest.raises(ArchiveDuplicateError) as caught:
        push(data.wal(name, other))
    assert caught.value.message == (
        f"WAL file '{name}' already exists in the repo1 archive with different content"
    )
    assert "are multiple primaries archiving" in caught.value.hint
    assert stored(name).read_bytes() == OTHERS[name]
    assert len(list(stored(name).parent.iterdir())) == 1


def test_an_empty_file_that_a_crash_left_is_replaced(data, push, stored):
    name, content = next(iter(OTHERS.items()))
    path = data.wal(name, content)
    push(path)
    stored(name).write_bytes(b"")
    assert push(path).stored
    assert stored(name).read_bytes() == content


def test_what_is_encrypted_is_compared_by_its_content(data, push, stored, tmp_path):
    name, content = next(iter(OTHERS.items()))
    new_stanza(tmp_path / "repo", "sub key", "a pass")
    environ = {"PGBACKREST_REPO1_CIPHER_PASS": "a pass"}

    def sealed(data):
        return push(data, "--repo1-cipher-type=aes-256-cbc", environ=environ)

    path = data.wal(name, content)
    assert sealed(path).stored
    before = stored(name).read_bytes()
    assert before.startswith(b"Salted__")
    assert not sealed(path).stored
    with pytest.raises(ArchiveDuplicateError):
        sealed(data.wal(name, content[:-1] + b"!"))
    assert stored(name).read_bytes() == before
    # One that is cut off is no reason to replace what somebody else may have meant.
    stored(name).write_bytes(before[:-5])
    with pytest.raises(ArchiveDuplicateError) as caught:
        sealed(data.wal(name, content))
    assert "is damaged: encrypted stream ends inside a block" in caught.value.message
    assert f"remove 'archive/demo/15-1/{name}' from the repository" in caught.value.hint
    stored(name).unlink()
    assert sealed(path).stored


def test_what_every_repository_refuses_is_told_as_one_of_them_would(data, push, tmp_path):
    """An operator who is told that PostgreSQL asks again waits for what never comes."""
    new_stanza(tmp_path / "second")
    (path,) = data.ready(NAMES[:1])
    second = f"--repo2-path={tmp_path}/second"
    assert push(path, second).stored
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ArchiveDuplicateError, match="failed on 2 of 2 repositories") as caught:
        push(path, second)
    assert "repo2: WAL file" in caught.value.message
    assert "are multiple primaries archiving" in caught.value.hint
    # One that lacks its stanza may get it, and the file with the next attempt.
    (tmp_path / "second" / "archive").rename(tmp_path / "away")
    with pytest.raises(CommandError, match="failed on 2 of 2 repositories") as caught:
        push(path, second)
    assert "asks again" in caught.value.hint
