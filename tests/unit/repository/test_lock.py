# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks: pgBackRest's files, held by flock; and stop files."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    FileOpenError,
    LockAcquireError,
    ProtocolError,
    StopError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import lock
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.lock import (
    Locks,
    LockState,
    LockType,
)

FREE = LockState(held=False)


def take(directory: Path, *types_: LockType, keys: t.Sequence[int] = (1,)) -> Locks:
    return Locks().acquire(str(directory), "demo", types_ or (LockType.BACKUP,), keys)


def state(directory: Path, lock_type: LockType = LockType.BACKUP) -> LockState:
    return lock.read_state(str(directory), "demo", lock_type, 1)


def test_names_and_content(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    with take(directory, LockType.BACKUP, LockType.ARCHIVE, keys=[1, 2]) as held:
        assert sorted(path.name for path in directory.iterdir()) == [
            "demo-archive-1.lock",
            "demo-archive-2.lock",
            "demo-archive.lock",
            "demo-backup-1.lock",
            "demo-backup-2.lock",
            "demo-backup.lock",
        ]
        path = directory / "demo-backup-1.lock"
        assert path.read_text() == f'{{"execId":"{held.exec_id}","pid":{os.getpid()}}}'
        assert path.stat().st_mode & 0o777 == 0o640
        held.progress(25975317, 17948511)
        assert json.loads(path.read_text()) == {
            "execId": held.exec_id,
            "pctCplt": 6909,
            "pid": os.getpid(),
            "sz": 25975317,
            "szCplt": 17948511,
        }
        held.progress(0, 0)
        assert json.loads(path.read_text())["pctCplt"] == 10000
    assert not list(directory.iterdir())


def test_a_full_disk_ends_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems want room for every byte, also for one that takes another's place."""

    def full(*_told: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with take(tmp_path) as held:
        monkeypatch.setattr(os, "pwrite", full)
        held.progress(2, 1)
        monkeypatch.undo()
        assert state(tmp_path) == LockState(True, os.getpid())


def test_a_lock_excludes(tmp_path: Path) -> None:
    with take(tmp_path):
        with pytest.raises(LockAcquireError, match="unable to acquire lock on file") as caught:
            take(tmp_path)
        assert "demo-backup-1.lock" in caught.value.message
        assert caught.value.hint == "is another pgsftp or pgBackRest process running?"
        # Another type is another lock.
        take(tmp_path, LockType.RESTORE).release()
    take(tmp_path).release()


def test_a_file_that_its_former_holder_removes_meanwhile_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes next would make a file of its own, and lock that."""
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        (tmp_path / "demo-backup-1.lock").unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with take(tmp_path):
        with pytest.raises(LockAcquireError, match="unable to acquire lock on file"):
            take(tmp_path)
    assert not list(tmp_path.iterdir())


def test_all_or_none(tmp_path: Path) -> None:
    with take(tmp_path, keys=[2]):
        with pytest.raises(LockAcquireError):
            take(tmp_path, LockType.ARCHIVE, LockType.BACKUP, keys=[1, 2])
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == ["demo-backup-2.lock", "demo-backup.lock"]


def test_an_older_pgbackrest_is_kept_away_and_keeps_away(tmp_path: Path) -> None:
    """Before 2.53 it has one lock for all repositories; ours of two repositories go together."""
    path = tmp_path / "demo-backup.lock"
    first, second = take(tmp_path, keys=[1]), take(tmp_path, keys=[2])
    second.progress(10, 5)
    assert "sz" not in path.read_text()
    for held in (first, second):
        with path.open() as older:
            with pytest.raises(BlockingIOError):
                fcntl.flock(older, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.release()
    assert not list(tmp_path.iterdir())
    with path.open("w") as older:
        fcntl.flock(older, fcntl.LOCK_EX)
        older.write('{"execId":"1-aaaaaaaa","pid":17}')
        older.flush()
        assert state(tmp_path) == LockState(True, 17)
        with pytest.raises(LockAcquireError, match=r"demo-backup.lock'"):
            take(tmp_path)
        assert [path] == list(tmp_path.iterdir())


@pytest.fixture
def host(tmp_path: Path) -> t.Any:
    """The options of another host."""
    return types.SimpleNamespace(lock_path=str(tmp_path / "there"), require_stanza=lambda: "demo")


def through_json(claim: t.Any) -> t.Any:
    return json.loads(json.dumps(claim))


def test_what_a_command_claims_is_taken_on_another_host(tmp_path: Path, host: t.Any) -> None:
    assert Locks().claim is None
    with take(tmp_path / "here", *lock.ALL, keys=[1, 2]) as held:
        claim = through_json(held.claim)
        with lock.granted(host, claim) as there:
            names = [sorted(os.listdir(tmp_path / name)) for name in ("here", "there")]
            assert names[0] == names[1]
            # A second session of the same command.
            lock.granted(host, claim).release()
            assert state(tmp_path / "there").pid == os.getpid()
            with pytest.raises(LockAcquireError, match=r"there/demo-backup-1.lock'"):
                take(tmp_path / "there")
            other = through_json(lock.Claim("1-00000000", ("backup",), (1,)))
            with pytest.raises(LockAcquireError):
                lock.granted(host, other)
        assert there.exec_id == held.exec_id
    lock.granted(host, other).release()


def test_a_stopped_host_grants_nothing(tmp_path: Path, host: t.Any) -> None:
    lock.create_stop(host.lock_path, "demo")
    with pytest.raises(StopError, match="stop file exists for stanza demo"):
        lock.granted(host, ["1-00000000", ["backup"], [1]])


@pytest.mark.parametrize(
    "claim",
    [
        None,
        "1-00000000",
        ["1-00000000", ["backup"]],
        ["1-00000000", ["../backup"], [1]],
        ["1-00000000", ["backup"], [0]],
        ["1-00000000", ["backup"], ["../1"]],
        ["1-00000000", "backup", [1]],
        ["1-00000000", ["backup"], 1],
        ["1 x", ["backup"], [1]],
        [1, ["backup"], [1]],
    ],
)
def test_what_is_no_claim(host: t.Any, claim: object) -> None:
    with pytest.raises(ProtocolError, match="is no claim of locks"):
        lock.granted(host, claim)
    assert not os.path.exists(host.lock_path)


def test_the_same_run_may_have_it_already(tmp_path: Path) -> None:
    with take(tmp_path) as held:
        helper = Locks(held.exec_id).acquire(str(tmp_path), "demo", [LockType.BACKUP], [1])
        helper.release()
        assert state(tmp_path).held


def test_a_file_that_was_left_behind_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / "demo-backup-1.lock").write_text('{"execId":"1-aaaaaaaa","pid":1}')
    assert state(tmp_path) == FREE
    with take(tmp_path):
        assert state(tmp_path).pid == os.getpid()


def test_states(tmp_path: Path) -> None:
    assert state(tmp_path) == FREE
    with take(tmp_path) as held:
        assert state(tmp_path) == LockState(True, os.getpid())
        held.progress(200, 50)
        assert state(tmp_path) == LockState(True, os.getpid(), 200, 50)
        (tmp_path / "demo-backup-1.lock").write_text("garbage")
        assert state(tmp_path) == LockState(True)
    assert state(tmp_path) == FREE


def test_looking_for_a_moment_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = os.open(tmp_path / "demo-backup-1.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    pauses = []

    def look_away(seconds: float) -> None:
        pauses.append(seconds)
        os.close(descriptor)

    monkeypatch.setattr(lock.time, "sleep", look_away)
    take(tmp_path).release()
    assert len(pauses) == 1


def test_a_worker_inherits_the_lock(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    held = take(tmp_path)
    path = tmp_path / "demo-backup-1.lock"
    copy = tmp_path / "same"
    os.link(path, copy)
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    held.release()
    # The file is gone, its lock lives as long as the worker.
    descriptor = os.open(copy, os.O_RDWR)
    with pytest.raises(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(writer)
    os.waitpid(child, 0)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    os.close(reader)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("precious")
    (tmp_path / "demo-backup-1.lock").symlink_to(target)
    with pytest.raises(LockAcquireError, match=r"demo-backup-1.lock"):
        take(tmp_path)
    assert target.read_text() == "precious"
    assert state(tmp_path) == FREE


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LockAcquireError, match="unable to acquire lock on file"):
        take(tmp_path / "file")


def test_the_locks_of_a_command(tmp_path: Path) -> None:
    options = types.SimpleNamespace(
        lock_path=str(tmp_path),
        require_stanza=lambda: "demo",
        repos=[types.SimpleNamespace(key=1), types.SimpleNamespace(key=3)],
    )
    with lock.acquire(t.cast(t.Any, options), *lock.ALL):
        assert len(list(tmp_path.glob("*-[13].lock"))) == 6
    assert not list(tmp_path.iterdir())


def test_stop_files(tmp_path: Path) -> None:
    directory = str(tmp_path / "new")
    lock.check_stop(directory, "demo")
    assert lock.create_stop(directory, "demo")
    assert not lock.create_stop(directory, "demo")
    path = tmp_path / "new" / "demo.stop"
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes() == b""
    with pytest.raises(StopError, match=r"^stop file exists for stanza demo\n"):
        lock.check_stop(directory, "demo")
    lock.check_stop(directory, "other")
    assert lock.remove_stop(directory, "demo")
    assert not lock.remove_stop(directory, "demo")
    lock.create_stop(directory, None)
    with pytest.raises(StopError, match=r"^stop file exists for all stanzas\n"):
        lock.check_stop(directory, "demo")
    assert lock.remove_stop(directory, None)
    lock.check_stop(directory, "demo")


def test_stop_files_that_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileOpenError, match="unable to create"):
        lock.create_stop(str(tmp_path / "file"), "demo")
    (tmp_path / "demo.stop").mkdir()
    with pytest.raises(FileOpenError, match="unable to remove"):
        lock.remove_stop(str(tmp_path), "demo")
