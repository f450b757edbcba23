# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of the archiver, and what becomes of its session."""

from __future__ import annotations

import os
import queue
import socket
import threading
from multiprocessing import Pipe, reduction

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import (
    forked,
    worker,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.pulse import Voice
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Line, SftpServer

OPTIONS = Options(command="archive-push", stanza="demo")


class Opener:
    """Opens sessions on a directory; ``lines`` are what they are made of."""

    def __init__(self, root):
        self.root = root
        self.lines = []

    def open(self):
        self.lines.append(Line(SftpServer(), 1 << 40))
        line = self.lines[-1]
        return SftpStorage(Channel(line, "sftp-srv", line.close), "sftp-srv", str(self.root))


@pytest.fixture
def opener(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "LOOK", 0.01)
    # The service would be gone, and with it this process.
    monkeypatch.setattr(worker, "_receive", lambda *_: None)
    return Opener(tmp_path)


def heard(connection, kind):
    while connection.poll(10):
        message = connection.recv()
        if isinstance(message, kind):
            return message
    raise AssertionError(f"no {kind.__name__}")


def begin(opener, unfinished=frozenset()):
    ours, theirs = Pipe()
    work = worker.Work(OPTIONS, RepoOptions(key=1), opener, unfinished)
    threading.Thread(target=worker.serve, args=(theirs, work), daemon=True).start()
    heard(ours, worker.Opened)
    return ours


def test_a_session_that_is_lost_while_nobody_asks_is_told_at_once(opener):
    ours = begin(opener)
    assert not any(isinstance(message, worker.Lost) for message in waiting(ours))
    opener.lines[0].closed = True
    error = heard(ours, worker.Lost).error
    assert isinstance(error, errors.TransportLostError)
    assert "connection to sftp-srv lost" in error.message


def waiting(connection):
    while connection.poll(0.2):
        yield connection.recv()


def test_what_a_lost_session_had_on_its_way_is_removed_by_the_next(opener, tmp_path):
    storage = opener.open()
    begun = storage.writer("x", publish=Publish.RENAME)
    begun.write(b"half" * 100000)
    storage.list("")
    (left,) = os.listdir(tmp_path)
    assert storage.unfinished == {left}
    (tmp_path / "x.0123456789abcdef.pgbackrest.tmp").write_bytes(b"another one's")
    begin(opener, storage.unfinished)
    assert os.listdir(tmp_path) == ["x.0123456789abcdef.pgbackrest.tmp"]


@pytest.fixture
def listener():
    """The other end of a process that does nothing but take what a worker is told."""

    class Lending(worker._Lending):
        def lend(self, borrower):
            raise RuntimeError("can't start new thread")

    def life(connection):
        worker._receive(connection, Voice(connection), queue.SimpleQueue(), Lending())

    process = forked.fork(life, lambda: None)
    yield process.connection
    process.end()


def no_thread(connection):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reduction.send_handle(connection, theirs.fileno(), 0)


def no_descriptor(connection):
    """As the kernel leaves it away where the worker may not have more of them."""
    connection.send("000000010000000000000001")


@pytest.mark.parametrize("what", [no_thread, no_descriptor])
def test_a_worker_that_cannot_listen_any_more_says_so_and_ends(listener, what):
    """Names that it is given would be lost, and archive-push would wait for ever."""
    listener.send(worker.Lend())
    what(listener)
    assert "unexpected RuntimeError" in heard(listener, worker.Lost).error.message
    assert listener.poll(10)
    with pytest.raises((EOFError, ConnectionResetError)):
        listener.recv()
