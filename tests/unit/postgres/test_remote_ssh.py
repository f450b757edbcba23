# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How another node is reached, and what is said when what answers is no engine."""

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
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import frames, remote
from ansible_collections.pgsftp.backup.tests.support.two_nodes import Transport


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
