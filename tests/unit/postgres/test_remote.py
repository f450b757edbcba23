# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both sides of the line between two nodes: what is asked, what is served, and what is refused."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    node,
    remote,
    service,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    ReplayStatus,
)
from ansible_collections.pgsftp.backup.tests.support.two_nodes import FACTS, make_control


def test_every_verb_of_a_server(host, far):
    far.connect()
    assert far.db.facts() == FACTS
    assert far.db.now() == 1795345637.25
    assert far.db.in_recovery() is False
    assert far.db.start_backup("pgBackRest backup started at x", True).lsn == "0/2000028"
    assert far.db.stop_backup() == host.server.stop_backup()
    assert far.db.databases() == host.server.databases()
    assert far.db.tablespaces() == host.server.tablespaces()
    assert far.db.create_restore_point("here") == "0/3"
    assert far.db.current_wal_segment() == "000000010000000000000002"
    assert far.db.archived_wal() == "000000010000000000000001"
    host.server.closed = True
    assert far.db.archived_wal() is None
    assert far.db.replay_status() == ReplayStatus("0/4", None, "0/2", 1)
    far.db.checkpoint()
    assert host.server.calls == [("pgBackRest backup started at x", True), "here", "checkpoint"]
    with pytest.raises(errors.DbQueryError) as caught:
        far.db.switch_wal()
    assert caught.value.message == "unable to execute query: no"
    assert caught.value.hint == "try again."
    assert far.db.now() > 0  # an error does not end the line


def test_the_session_with_the_server_ends_with_the_line(host, far):
    far.connect()
    far.close()
    assert host.server.closed
    assert host.transports[0].failure is None


def test_locks_are_held_for_as_long_as_the_line(host):
    make_control(host.data)
    claim = ["1-00000000", ["backup"], [1]]
    holding, other = host.open(claim=claim), host.open()
    holding.control_bytes()
    other.control_bytes()
    other.close()
    assert host.locks.claims == [claim]
    holding.close()
    assert host.locks.claims == []


@pytest.mark.parametrize("kind", [errors.LockAcquireError, errors.StopError])
def test_a_refused_lock_says_where(host, kind):
    host.locks.refusal = kind("unable", hint="is somebody there?")
    with pytest.raises(kind) as caught:
        host.open(claim=["1-00000000", ["backup"], [1]]).control_bytes()
    assert caught.value.message == "unable on 'pg1-srv'"
    assert caught.value.hint == "is somebody there?"
    # Nothing is served either.
    assert host.transports[0].input == -1


def test_control_and_scan(host, far):
    make_control(host.data)
    (host.data / "base" / "5" / "1").write_bytes(b"x")
    (host.data / "skip").touch()
    assert far.control().system_id == 7
    here = node.LocalNode(PgOptions(path=str(host.data)), Options("backup"))
    options = {"online": True, "exclude": ["skip"], "tablespaces": {1663: "pg_default"}}
    assert far.scan(**options) == here.scan(**options)
    assert far.scan(online=False) == here.scan(online=False)


def test_a_scan_of_many_files(host, far, monkeypatch):
    make_control(host.data)
    monkeypatch.setattr(service, "BATCH", 10)
    for number in range(95):
        (host.data / "base" / "5" / str(number)).touch()
    found = far.scan(online=True)
    assert len(found.files) == 96
    assert [entry.name for entry in found.files] == sorted(entry.name for entry in found.files)


@pytest.mark.parametrize("size", [0, 1, 8192, remote.CHUNK - 1, remote.CHUNK, 5_000_000])
@pytest.mark.parametrize("piece", [1 << 20, 100_000])
def test_a_file(host, far, size, piece):
    content = os.urandom(size)
    (host.data / "base" / "5" / "1").write_bytes(content)
    with far.open_file("base/5/1") as file:
        parts = iter(lambda: file.read(piece), b"")
        assert b"".join(parts) == content
        assert file.read(piece) == b""
        assert file.pread(10, 20) == content[10:30]
        file.seek(5)
        assert file.read(10) == content[5:15]
        assert file.pread(0, 3) == content[:3]


def test_files_one_after_the_other_and_at_once(host, far):
    for number in range(200):
        (host.data / "base" / "5" / str(number)).write_bytes(b"%d" % number)
    for number in range(200):
        with far.open_file(f"base/5/{number}") as file:
            assert file.read(1 << 20) == b"%d" % number
    with far.open_file("base/5/7") as one, far.open_file("base/5/8") as two:
        assert (two.read(10), one.read(10)) == (b"8", b"7")


def test_a_file_that_vanished(far):
    for _dummy in range(3):
        with pytest.raises(FileNotFoundError):
            far.open_file("base/5/1")


def test_a_file_that_cannot_be_read(host, far):
    with pytest.raises(errors.FileReadError), far.open_file("base") as file:
        file.read(10)
    assert far.session.ask("close", handle=99) is None


def test_a_path_outside_is_refused_by_both_sides(host, far):
    for path in ("/etc/passwd", "../outside", "base/../../outside"):
        with pytest.raises(errors.DbMismatchError):
            far.open_file(path)
        with pytest.raises(errors.DbMismatchError, match="not a path below the data directory"):
            far.session.ask("open", handle=7, path=path)


@pytest.mark.parametrize(
    "message",
    [
        {"verb": "system", "command": "id"},
        {"verb": None},
        {"verb": "server", "call": "execute", "statement": "drop table x"},
        {"verb": "server", "call": "_execute"},
        {"verb": "server", "call": "start_backup", "label": 7},
        {"verb": "server", "call": "create_restore_point", "name": ""},
        {"verb": "open", "handle": "1", "path": "x"},
        {"verb": "open", "handle": 1, "path": ""},
        {"verb": "read", "handle": 1, "offset": -1, "size": 1},
        {"verb": "read", "handle": 1, "offset": 0, "size": True},
    ],
)
def test_a_request_that_is_none(far, message):
    far.connect()
    with pytest.raises(errors.ProtocolError):
        far.session.ask(**message)


def test_a_verb_of_no_server_is_named(far):
    far.connect()
    with pytest.raises(errors.ProtocolError, match="'vacuum' is no verb of a server"):
        far.session.ask("server", call="vacuum")


def test_how_much_may_be_asked_for(host, far):
    (host.data / "x").write_bytes(bytes(service.READ_LIMIT + 1))
    far.session.ask("open", handle=1, path="x")
    read = far.session.ask("read", handle=1, offset=0, size=2**40)
    assert len(read) == service.READ_LIMIT
    for handle in range(2, service.HANDLE_LIMIT + 1):
        far.session.ask("open", handle=handle, path="x")
    with pytest.raises(errors.ProtocolError, match="one more file"):
        far.session.ask("open", handle=1000, path="x")
    far.session.ask("close", handle=1)
    far.session.ask("open", handle=1000, path="x")
    with pytest.raises(errors.ProtocolError):
        far.session.ask("open", handle=1000, path="x")


@pytest.mark.parametrize("verb", ["control", "scan", "connect", "open"])
def test_hello_comes_first(host, verb):
    opened = host.open()
    session = opened._open()
    with pytest.raises(errors.ProtocolError, match="hello comes first"):
        session.ask(verb, handle=1, path="x")


def test_a_cluster_that_is_not_of_that_host(host):
    with pytest.raises(errors.DbMismatchError) as caught:
        host.open(path="/etc").control_bytes()
    assert caught.value.message == (
        f"'/etc' is not a data directory of stanza 'demo' on this host; it has {host.data}"
    )
    with pytest.raises(errors.DbMismatchError):
        host.open(path="/elsewhere").control_bytes()  # configured there, but of a third host
    with pytest.raises(errors.DbMismatchError, match="serves stanza 'demo' but was asked for 'x'"):
        host.open(stanza="x").control_bytes()
