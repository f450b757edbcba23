# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who lends, and what becomes of that when a server refuses a session or a worker ends."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import (
    crew,
    lending,
    worker,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import protocol

# A server's first packet: version 3, no extensions.
GREETING = b"\0\0\0\5\2\0\0\0\3"


class Line:
    """A channel on which the server says its greeting, and then nothing until it is closed."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.ours.sendall(GREETING)
        self.closed = False
        self.said = b""

    def sendall(self, data):
        self.said += data
        self.theirs.sendall(data)

    def recv(self, size):
        return self.theirs.recv(size)

    def settimeout(self, timeout):
        self.theirs.settimeout(timeout)

    def close(self):
        self.closed = True
        for end in (self.ours, self.theirs):
            end.close()


class Server:
    """Grants channels, or refuses them."""

    def __init__(self):
        self.refuses = False
        self.asked = 0
        self.lines = []

    def open(self):
        self.asked += 1
        if self.refuses:
            raise OSError("administratively prohibited")
        self.lines.append(Line())
        return self.lines[-1]


@pytest.fixture
def server():
    before = set(threading.enumerate())
    made = Server()
    yield made
    # Threads that prepare the next one may still be at work, and others wait for what it says.
    made.refuses = True
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        for line in list(made.lines):
            line.close()
        time.sleep(0.01)
    for line in made.lines:
        line.close()


def answer(lender):
    """What somebody is told who wants a session."""
    ours, theirs = socket.socketpair()
    lender.lend(theirs)
    with ours:
        ours.settimeout(60)
        with contextlib.suppress(BrokenPipeError):  # refused already
            ours.sendall(protocol.init())
        said = b""
        while not said.endswith(b"\n"):
            said += ours.recv(1)
    return said.decode().partition(" ")[0]


def test_a_refusal_is_forgotten_after_a_while(server):
    now = [1000.0]
    server.refuses = True
    lender = lending.Lender(lending.Sibling(server.open, "x", "y"), clock=lambda: now[0])
    assert answer(lender) == "alone"
    asked = server.asked
    server.refuses = False
    now[0] += lending.REFUSAL_STANDS - 1
    # The server is not bothered by everybody who comes.
    assert answer(lender) == "alone"
    assert server.asked == asked
    now[0] += 1
    assert answer(lender) == "lent"
    assert server.asked > asked


def test_two_are_ready_before_anybody_asks(server):
    asked = threading.Event()

    def open_():
        # Whoever comes first finds two; a third one has to be asked for.
        if server.asked >= 2:
            asked.wait(10)
        return server.open()

    lender = lending.Lender(lending.Sibling(open_, "x", "y"))
    assert [answer(lender), answer(lender)] == ["lent", "lent"]
    assert server.asked == 2
    asked.set()
    assert answer(lender) == "lent"


def test_what_the_server_has_ended_meanwhile_is_not_lent(server):
    lender = lending.Lender(lending.Sibling(server.open, "x", "y"))
    assert answer(lender) == "lent"
    deadline = time.monotonic() + 10
    # The one that replaces what was lent, too.
    while len(server.lines) < 3 or len(lender._spares) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for line in server.lines:
        line.closed = True
    ours, theirs = socket.socketpair()
    lender.lend(theirs)
    with ours:
        ours.sendall(protocol.init() + b"question")
        while not (heard := [line for line in server.lines if b"question" in line.said]):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert heard[0] in server.lines[3:]


def test_who_comes_when_none_is_left_gets_the_next_one(server):
    lender = lending.Lender(lending.Sibling(server.open, "x", "y"))
    said = []
    many = [threading.Thread(target=lambda: said.append(answer(lender))) for _number in range(8)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join(60)
    assert said == ["lent"] * 8


class NoThread(threading.Thread):
    """One that the system does not give to who wants to run ``refuses``."""

    refuses = ""

    def __init__(self, *, target, **options):
        super().__init__(target=target, **options)
        self._for = target.__name__

    def start(self):
        if self._for == self.refuses:
            raise RuntimeError("can't start new thread")
        super().start()


@pytest.fixture
def no_thread(monkeypatch):
    """Sets for whom there is none."""
    monkeypatch.setattr(lending.threading, "Thread", NoThread)

    def set_(name):
        monkeypatch.setattr(NoThread, "refuses", name)

    return set_


def test_without_a_thread_to_open_one_there_is_none_to_lend(server, no_thread):
    now = [1000.0]
    no_thread("_open")
    lender = lending.Lender(lending.Sibling(server.open, "x", "y"), clock=lambda: now[0])
    # And not for ever: nobody would open what is waited for.
    assert answer(lender) == "alone"
    no_thread("")
    now[0] += lending.REFUSAL_STANDS
    assert answer(lender) == "lent"


@pytest.mark.parametrize("threads", ["_serve", "_carry_back"])
def test_a_borrower_that_cannot_be_served_does_not_wait(server, no_thread, threads):
    lender = lending.Lender(lending.Sibling(server.open, "x", "y"))
    no_thread(threads)
    ours, theirs = socket.socketpair()
    with ours:
        lender.lend(theirs)
        ours.settimeout(10)
        with contextlib.suppress(BrokenPipeError):
            ours.sendall(protocol.init())
        while ours.recv(4096):
            pass


@pytest.fixture
def some(tmp_path, monkeypatch):
    """A crew of workers that leave a file when they are told to lend."""

    def serve(connection, _work):
        connection.send(worker.Opened())
        while True:
            if isinstance(connection.recv(), worker.BeginToLend):
                (tmp_path / f"told-{os.getpid()}").touch()

    monkeypatch.setattr(worker, "serve", serve)
    repo = RepoOptions(key=1, type="posix", path=str(tmp_path))
    options = Options(command="archive-push", stanza="demo", process_max=2, repos=(repo,))
    made = crew.Crew(options, repo, lambda: None)
    yield made
    made.close()


def opened(some, count):
    """Have that many workers open."""
    for number in range(16):
        some.queue.ask(f"00000001000000000000000{number:X}")
    deadline = time.monotonic() + 20
    while some.sessions < count:
        assert time.monotonic() < deadline
        some.feed(time.monotonic())
        for connection in some.connections:
            if connection.poll(0.05):
                some.receive(connection, time.monotonic())


def lends(some):
    return [row.process.pid for row in some._workers if row.lends]


def test_when_the_one_who_lends_ends_another_one_does(some, tmp_path):
    opened(some, 2)
    (pid,) = lends(some)
    os.kill(pid, signal.SIGKILL)
    (gone,) = [row for row in some._workers if row.lends]
    while gone in some._workers:
        assert gone.connection.poll(10)
        some.receive(gone.connection, time.monotonic())
    assert lends(some) == []
    # Nothing more is wanted, so that no worker is started for another reason.
    some.feed(time.monotonic())
    (successor,) = [row for row in some._workers if row.lends]
    told = tmp_path / f"told-{successor.process.pid}"
    deadline = time.monotonic() + 10
    while not told.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_one_who_lends_is_not_let_go(some):
    opened(some, 2)
    first, second = some._workers
    first.lends, second.lends = False, True
    for row in (first, second):
        for name in row.names:
            some.queue.store(name, None)
        row.names.clear()
    while (name := some.queue.next(time.monotonic())) is not None:
        some.queue.store(name, None)
    some.feed(time.monotonic() + 2 * crew.IDLE)
    assert some._workers == [second]


def refuse(*_arguments):
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_worker_that_does_not_get_the_borrower_it_was_promised_is_replaced(some, monkeypatch):
    """It would take what it is told next for him, and what it is given to send would be lost."""
    opened(some, 2)
    (lender,) = [row for row in some._workers if row.lends]
    assert lender.names
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(crew.reduction, "sendfds", refuse)
        assert not some.lend(theirs)
    assert lender not in some._workers
    assert not lender.names & some.queue.sent


def test_without_a_descriptor_to_pass_a_borrower_on_the_worker_hears_nothing_of_him(
    some, monkeypatch
):
    opened(some, 1)
    (lender,) = some._workers
    said = []
    monkeypatch.setattr(lender.connection, "send", said.append)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(crew.socket, "fromfd", refuse)
        assert not some.lend(theirs)
    assert some._workers == [lender]
    assert said == []
