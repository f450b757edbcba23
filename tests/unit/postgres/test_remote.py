# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both sides of the line between two nodes, joined by pipes instead of SSH."""

from __future__ import annotations

import json
import os
import struct
import threading

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    frames,
    node,
    releases,
    remote,
    service,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    BackupStart,
    BackupStop,
    Database,
    ReplayStatus,
    Server,
    ServerFacts,
)

FACTS = ServerFacts(
    150004, "15", "/pg", 2**63 + 1, False, "on", "true", 1 << 24, True, 1, "0/1", 300
)  # fmt: skip


class FakeServer(Server):
    """Answers as a server would, and remembers what it was asked."""

    def __init__(self):
        self.calls = []
        self.closed = False

    def facts(self):
        return FACTS

    def now(self):
        return 1795345637.25

    def in_recovery(self):
        return False

    def start_backup(self, label, fast):
        self.calls.append((label, fast))
        return BackupStart("0/2000028", "000000010000000000000002", 1795345637)

    def stop_backup(self):
        return BackupStop("0/2000100", "000000010000000000000002", "label\n", "", 1795345638)

    def databases(self):
        return [Database("postgres", 5, 4), Database("日本", 2**31 + 1, 4)]

    def tablespaces(self):
        return {1663: "pg_default", 16384: "ts1"}

    def create_restore_point(self, name):
        self.calls.append(name)
        return "0/3"

    def switch_wal(self):
        raise errors.DbQueryError("unable to execute query: no", hint="try again.")

    def current_wal_segment(self):
        return "000000010000000000000002"

    def replay_status(self):
        return ReplayStatus("0/4", None, "0/2", 1)

    def checkpoint(self):
        self.calls.append("checkpoint")

    def close(self):
        self.closed = True


class Transport:
    """The serving side in a thread."""

    def __init__(self, serve):
        self.requests, self.input = os.pipe()
        self.output, self.answers = os.pipe()
        self.said = ""
        self.failure = None
        self._thread = threading.Thread(target=self._run, args=(serve,))
        self._thread.start()

    def _run(self, serve):
        try:
            serve(self.requests, self.answers)
        except Exception as cause:
            self.failure = cause
        finally:
            os.close(self.answers)

    def errors(self):
        return self.said

    def close(self):
        if self.input >= 0:
            os.close(self.input)
            self.input = -1
            self._thread.join(10)
            assert not self._thread.is_alive()
            os.close(self.output)
            os.close(self.requests)


class Host:
    """Two hosts: the one that asks, and the one with the data directory ``data``."""

    def __init__(self, tmp_path, monkeypatch):
        self.data = tmp_path / "data"
        (self.data / "global").mkdir(parents=True)
        (self.data / "base" / "5").mkdir(parents=True)
        self.server = FakeServer()
        self.monkeypatch = monkeypatch
        self.transports = []
        self.theirs = Options(
            "remote",
            stanza="demo",
            pgs=(
                PgOptions(key=1, path=str(self.data)),
                PgOptions(key=2, path="/elsewhere", host="pg2-srv"),
            ),
        )
        monkeypatch.setattr(node, "connect", lambda *_args, **_options: self.server)
        monkeypatch.setattr(remote, "Process", self.start)

    def start(self, command):
        self.command = command
        self.transports.append(
            Transport(lambda receive, send: service.serve(receive, send, self.theirs))
        )
        return self.transports[-1]

    def open(self, stanza="demo", **changes):
        pg = PgOptions(**{"key": 2, "path": str(self.data), "host": "pg1-srv", **changes})
        options = Options("backup", stanza=stanza, protocol_timeout=10.0)
        return remote.RemoteNode(pg, options)


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path, monkeypatch)
    yield made
    for transport in made.transports:
        transport.close()


@pytest.fixture
def far(host):
    opened = host.open()
    yield opened
    opened.close()


def make_control(path):
    release = releases.of_name("15")
    data = bytearray(8192)
    struct.pack_into("<QII", data, 0, 7, release.control_version, release.catalog_version)
    struct.pack_into("<I", data, release.page_size, 8192)
    struct.pack_into("<I", data, release.wal_segment_size, 1 << 24)
    struct.pack_into("<I", data, release.crc, control.crc32c(bytes(data[: release.crc])))
    (path / "global" / "pg_control").write_bytes(data)


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


def garbage(*frames_, say=b""):
    def serve(_receive, send):
        os.write(send, say + b"".join(frames_))

    return serve


@pytest.mark.parametrize(
    ("serve", "error", "message"),
    [
        (garbage(), errors.HostConnectError, "lost the connection to 'pg1-srv'"),
        (garbage(say=b"Welcome to pg1-srv!\n"), errors.ProtocolError,
         "unexpected output instead of a greeting: 'Welcome to pg1-srv!' on 'pg1-srv'"),
        (garbage(say=b"pgsftp-node 99\n"), errors.ProtocolError,
         "the other side speaks 'pgsftp-node 99', this one 'pgsftp-node 1'"),
        (garbage(say=frames.GREETING), errors.HostConnectError, "lost the connection"),
        (garbage(b"\x07\0\0\0\1x", say=frames.GREETING), errors.ProtocolError, "unexpected frame"),
        (garbage(b"\1\xff\xff\xff\xff", say=frames.GREETING), errors.ProtocolError,
         "unexpected frame"),
        (garbage(b"\1\0\0\0\1x", say=frames.GREETING), errors.ProtocolError, "is no JSON"),
        (garbage(b"\1\0\0\0\2[]", say=frames.GREETING), errors.ProtocolError, "is no object"),
        (garbage(b"\1\0\0\0\2{", say=frames.GREETING), errors.HostConnectError,
         "the other side ended the connection"),
    ],
)  # fmt: skip
def test_another_side_that_is_no_engine(host, monkeypatch, serve, error, message):
    def start(_command):
        host.transports.append(Transport(serve))
        return host.transports[-1]

    monkeypatch.setattr(remote, "Process", start)
    with pytest.raises(error) as caught:
        host.open().control_bytes()
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("postgres@pg1-srv: Permission denied (publickey).", "may the key of this user log in"),
        ("Host key verification failed.", "is the host's key in known_hosts"),
        ("ssh: Could not resolve hostname pg1-srv", "is the name of the host right?"),
        ("bash: line 1: pgsftp: command not found", "is the engine installed there?"),
        ("ERROR: [031]: invalid option", "do SSH and the engine work on that host?"),
    ],
)
def test_what_ssh_says_is_told(host, monkeypatch, said, hint):
    def start(_command):
        host.transports.append(Transport(garbage()))
        host.transports[-1].said = said
        return host.transports[-1]

    monkeypatch.setattr(remote, "Process", start)
    with pytest.raises(errors.HostConnectError) as caught:
        host.open().control_bytes()
    assert caught.value.message == f"unable to use the connection to 'pg1-srv': {said}"
    assert caught.value.hint.startswith(hint)


def test_silence_is_bounded(host, monkeypatch):
    wait = threading.Event()

    def start(_command):
        host.transports.append(Transport(lambda *_: wait.wait(10)))
        return host.transports[-1]

    monkeypatch.setattr(remote, "Process", start)
    opened = remote.RemoteNode(
        PgOptions(path="/pg", host="pg1-srv"),
        Options("backup", stanza="demo", protocol_timeout=0.2),
    )
    monkeypatch.setattr(Transport, "close", lambda self: None)
    with pytest.raises(errors.HostConnectError, match=r"no answer for 0\.2s"):
        opened.control_bytes()
    monkeypatch.undo()
    wait.set()


def test_an_unknown_error_of_the_other_side(host, monkeypatch):
    frame = json.dumps({"error": "__import__", "message": "x", "hint": None}).encode()
    serve = garbage(b"\1" + struct.pack(">I", len(frame)) + frame, say=frames.GREETING)

    def start(_command):
        host.transports.append(Transport(serve))
        return host.transports[-1]

    monkeypatch.setattr(remote, "Process", start)
    with pytest.raises(errors.ProtocolError, match="x"):
        host.open().control_bytes()


def test_the_command_of_ssh(host):
    pg = PgOptions(path="/pg", host="pg1-srv")
    words = remote.ssh_command(pg, Options("backup", stanza="demo"))
    assert words[0] == "ssh"
    assert "BatchMode=yes" in words
    assert words[-5:] == ["-l", "postgres", "--", "pg1-srv", "pgsftp --stanza=demo remote"]
    pg = PgOptions(
        path="/pg", host="pg1-srv", host_user="pg", host_port=2222, host_cmd="/opt/a b/pgsftp",
        host_config="/etc/x.conf",
    )  # fmt: skip
    words = remote.ssh_command(pg, Options("backup", stanza="demo", cmd_ssh="/usr/bin/ssh"))
    assert words[0] == "/usr/bin/ssh"
    assert words[words.index("-p") + 1] == "2222"
    assert words[-1] == "'/opt/a b/pgsftp' --config=/etc/x.conf --stanza=demo remote"


@pytest.mark.parametrize(
    "changes", [{"host": "-oProxyCommand=id"}, {"host": "a b"}, {"host_user": "-x"}, {"host": ""}]
)
def test_a_host_that_would_be_an_option(changes):
    pg = PgOptions(**{"path": "/pg", "host": "pg1-srv", **changes})
    with pytest.raises(errors.OptionInvalidValueError):
        remote.ssh_command(pg, Options("backup", stanza="demo"))
