# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""start, stop, stanza-delete and stanza-upgrade: what they change, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import (
    info,
    stanza_delete,
    stanza_upgrade,
    stop,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
    lock,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.control import control_of
from ansible_collections.pgsftp.backup.tests.support.peer import COMMAND

# start and stop


def test_a_stopped_stanza_is_stopped_for_both_tools(place_of):
    place = place_of("a")
    assert stop.stop(place.options("stop")).changed
    assert not stop.stop(place.options("stop")).changed
    done = subprocess.run(
        [
            COMMAND,
            f"--config={place.config}",
            "--stanza=demo",
            "--repo1-retention-full=9",
            "expire",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == errors.StopError.code
    assert stop.start(place.options("start")).changed
    assert not stop.start(place.options("start")).changed
    place.peer("stop")
    with pytest.raises(errors.StopError, match="for stanza demo"):
        lock.check_stop(str(place.root / "lock"), "demo")
    assert stop.start(place.options("start")).changed


def test_all_stanzas(place_of):
    place = place_of("a")
    stop.stop(place.options("stop", stanza=None))
    with pytest.raises(errors.StopError, match="for all stanzas"):
        lock.check_stop(str(place.root / "lock"), "demo")


HOLDER = """
import fcntl, json, os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o640)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.write(descriptor, json.dumps({"execId": "1-a", "pid": os.getpid()}).encode())
print("held", flush=True)
time.sleep(60)
"""


def test_force_ends_who_holds_a_lock_and_nobody_else(place_of):
    place = place_of("a")
    directory = place.root / "lock"
    directory.mkdir()
    (directory / "demo-archive-1.lock").write_text(json.dumps({"pid": os.getpid()}))
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(directory / name)], stdout=subprocess.PIPE
        )
        for name in ("demo-backup-1.lock", "demo-2-backup-1.lock")
    ]
    try:
        for holder in holders:
            holder.stdout.readline()
        result = stop.stop(place.options("stop", "--force"))
        assert result.terminated == (holders[0].pid,)
        assert holders[0].wait(10) == -signal.SIGTERM
        assert holders[1].poll() is None
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            holder.stdout.close()


# stanza-delete


def everything(path):
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_a_stanza_is_removed_and_nothing_else(place_of):
    place = place_of("b")
    other = place.repository.path / "backup" / "other" / "backup.info"
    other.parent.mkdir()
    other.write_text("not ours")
    stop.stop(place.options("stop"))
    result = stanza_delete.run(place.options("stanza-delete"))
    assert result.changed
    assert list(result.backups) == sorted(place.labels)
    assert everything(place.repository.path) == [
        "archive",
        "backup",
        "backup/other",
        "backup/other/backup.info",
    ]
    assert not (place.root / "lock" / "demo.stop").exists()
    assert not stanza_delete.run(place.options("stanza-delete")).changed


def test_without_a_stop_file_nothing_is_removed(place_of):
    place = place_of("a")
    before = everything(place.repository.path)
    with pytest.raises(errors.FileMissingError, match="stop file does not exist"):
        stanza_delete.run(place.options("stanza-delete"))
    assert everything(place.repository.path) == before


def test_a_stanza_whose_cluster_runs_is_removed_only_by_force(place_of):
    place = place_of("a")
    (place.root / "data").mkdir()
    (place.root / "data" / "postmaster.pid").write_text("1\n")
    stop.stop(place.options("stop"))
    with pytest.raises(errors.PostgresRunningError):
        stanza_delete.run(place.options("stanza-delete"))
    assert stanza_delete.run(place.options("stanza-delete", "--force")).changed


class Failing(PosixStorage):
    """A storage that fails at one operation and at all after it."""

    def __init__(self, path, number):
        super().__init__(path)
        self.left = number

    def _count(self):
        self.left -= 1
        if self.left < 0:
            raise errors.TransportLostError("the connection is gone")

    def remove_many(self, paths):
        found = 0
        for path in paths:
            self._count()
            found += super().remove_many([path])
        return found

    def remove_tree(self, path):
        self._count()
        super().remove_tree(path)


@pytest.mark.parametrize("number", range(0, 20, 3))
def test_an_interrupted_removal_leaves_no_stanza_and_is_completed_by_the_next(place_of, number):
    place = place_of("b")
    try:
        stanza_delete.delete(Failing(str(place.repository.path), number), "demo")
    except errors.TransportLostError:
        assert everything(place.repository.path / "backup" / "demo")
    shown = info.run(place.options("info"))
    assert number == 0 or shown.stanzas[0]["status"]["code"] != 0
    stop.stop(place.options("stop"))
    stanza_delete.run(place.options("stanza-delete"))
    assert everything(place.repository.path) == ["archive", "backup"]


# stanza-upgrade


def control(system_id, version):
    return control_of(version=version, system_id=system_id, catalog_version=202307071)


def upgraded(place, new):
    storage = PosixStorage(str(place.repository.path))
    secret = place.repository.cipher_pass
    repo = place.options("info").repo()
    changed = stanza_upgrade.upgrade(storage, repo, "demo", new)
    return (
        changed,
        archive_info.load(storage, "demo", secret),
        backup_info.load(storage, "demo", secret),
    )


@pytest.mark.parametrize("letter", ["a", "c"])
def test_an_upgrade_adds_to_the_history_and_keeps_all_else(place_of, letter):
    place = place_of(letter)
    storage = PosixStorage(str(place.repository.path))
    before = backup_info.load(storage, "demo", place.repository.cipher_pass)
    changed, archive, backup = upgraded(place, control(77, "16"))
    assert changed
    assert archive.current == (2, 77, "16")
    assert backup.current == (2, 77, "16", 202307071, 1300)
    assert backup.backups == before.backups
    assert backup.cipher_pass == before.cipher_pass
    changed, archive, backup = upgraded(place, control(77, "16"))
    assert not changed
    assert len(archive.history) == len(backup.history) == 2
    assert b'"system-id":77' in place.peer("info", "--output=json")


def test_an_upgrade_that_was_interrupted_between_the_files_is_completed(place_of):
    place = place_of("a")
    storage = PosixStorage(str(place.repository.path))
    archive_info.save(
        storage, "demo", archive_info.load(storage, "demo", None).upgraded(77, "16"), None
    )
    changed, archive, backup = upgraded(place, control(77, "16"))
    assert changed
    assert archive.current[:3] == backup.current[:3] == (2, 77, "16")
