# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stanza-delete, and the other hosts of the cluster."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import stanza_delete
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    FileOpenError,
    HostConnectError,
    LockAcquireError,
    PostgresRunningError,
    StopError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import remote
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    lock,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage


@pytest.fixture
def options(tmp_path, host):
    """Of a host that was stopped, with a standby that does not run; the primary is the other."""
    found = Options(
        "stanza-delete",
        stanza="demo",
        lock_path=str(tmp_path / "lock"),
        protocol_timeout=10.0,
        repos=(RepoOptions(path=str(tmp_path / "repo")),),
        pgs=(
            PgOptions(key=1, path=str(tmp_path / "standby")),
            PgOptions(key=2, path=str(host.data), host="pg1-srv"),
        ),
    )
    storage = PosixStorage(found.repos[0].path)
    archive_info.save(storage, "demo", archive_info.create(7, "15", None), None)
    lock.create_stop(found.lock_path, "demo")
    return found


@pytest.fixture
def is_there(options):
    """Whether there still is a stanza."""
    return lambda: PosixStorage(options.repos[0].path).info("archive/demo") is not None


def test_the_other_host_holds_the_locks_meanwhile(options, host, is_there, monkeypatch):
    delete = stanza_delete.delete
    held = []

    def look_and_delete(*arguments):
        held.extend(host.locks.claims)
        delete(*arguments)

    monkeypatch.setattr(stanza_delete, "delete", look_and_delete)
    assert stanza_delete.run(options).changed
    assert not is_there()
    ((_exec_id, types, repos),) = held
    assert (types, repos) == (["archive", "backup", "restore"], [1])
    assert host.transports[0].input == -1


@pytest.mark.parametrize("stopped", [False, True])
def test_a_server_that_runs_there(options, host, is_there, stopped):
    (host.data / "postmaster.pid").touch()
    if stopped:
        host.locks.refusal = StopError("stop file exists for stanza demo")
    with pytest.raises(PostgresRunningError) as caught:
        stanza_delete.run(options)
    assert caught.value.message == (
        f"PostgreSQL is running in '{host.data}' on 'pg1-srv': found postmaster.pid"
    )
    assert is_there()
    assert stanza_delete.run(dataclasses.replace(options, force=True)).changed


def test_where_commands_are_stopped_nothing_begins(options, host, is_there):
    host.locks.refusal = StopError("stop file exists for stanza demo")
    assert stanza_delete.run(options).changed
    assert not is_there()


def test_somebody_works_there(options, host, is_there):
    host.locks.refusal = LockAcquireError("unable to acquire lock")
    with pytest.raises(LockAcquireError, match="unable to acquire lock on 'pg1-srv'"):
        stanza_delete.run(options)
    assert is_there()


def test_a_host_that_is_not_reached(options, is_there, monkeypatch):
    def refuse(_command):
        raise HostConnectError("no way there", hint="where is it?")

    monkeypatch.setattr(remote, "Process", refuse)
    with pytest.raises(HostConnectError, match="unable to tell whether PostgreSQL is running"):
        stanza_delete.run(options)
    assert is_there()
    assert stanza_delete.run(dataclasses.replace(options, force=True)).changed


def test_what_is_not_known_of_this_host_is_not_taken_for_well(options, tmp_path, is_there):
    (tmp_path / "standby").mkdir()
    (tmp_path / "standby" / "postmaster.pid").symlink_to("postmaster.pid")
    with pytest.raises(FileOpenError):
        stanza_delete.run(options)
    assert is_there()


def test_what_would_keep_it_is_foreseen(options, host, is_there, caplog):
    (host.data / "postmaster.pid").touch()
    host.locks.refusal = LockAcquireError("nothing is to be locked")
    assert stanza_delete.preview(options).changed
    assert "found postmaster.pid" in caplog.text
    assert is_there()
