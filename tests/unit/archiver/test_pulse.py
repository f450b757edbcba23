# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that work, that wait, and that hang."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import (
    crew,
    fetcher,
    fetchers,
    forked,
    pulse,
    worker,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)

NAME = "000000010000000000000001"


@pytest.fixture
def forking(monkeypatch):
    """Fork processes that show in hundredths of a second that they live."""
    monkeypatch.setattr(pulse, "LEAST", 0.2)
    made = []

    def begin(life):
        made.append(forked.fork(life, lambda: None))
        return made[-1]

    yield begin
    for process in made:
        process.end()
    forked.reap()


def beats(process, seconds):
    """How many come within that time."""
    count = 0
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if process.connection.poll(left):
            assert isinstance(process.connection.recv(), pulse.Beat)
            count += 1
    return count


def waits_in_short_turns():
    while True:
        time.sleep(0.01)


def locks_itself_out():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def beating(life):
    def run(connection):
        pulse.Voice(connection).beat(0.0)
        life()

    return run


def test_one_that_works_is_heard_within_the_time(forking):
    process = forking(beating(waits_in_short_turns))
    beats(process, 0.3)
    assert beats(process, 1.0) >= 2
    os.kill(process.pid, signal.SIGSTOP)
    beats(process, 0.2)
    assert beats(process, 1.0) == 0
    os.kill(process.pid, signal.SIGCONT)
    assert beats(process, 1.0) >= 2


def test_one_whose_main_thread_does_not_move_is_silent_although_others_of_it_do(forking):
    process = forking(beating(locks_itself_out))
    beats(process, 0.5)
    assert beats(process, 1.0) == 0


def test_what_is_not_read_yet_is_no_silence(forking):
    process = forking(lambda connection: connection.send(pulse.Beat()) or time.sleep(60))
    assert process.connection.poll(10)
    assert not process.is_silent(process.heard + 1000, 10)
    process.connection.recv()
    assert process.is_silent(process.heard + 1000, 10)
    assert not process.is_silent(process.heard + 9, 10)


def test_one_that_cannot_end_is_not_waited_for(forking):
    def stubborn(connection):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        connection.send("ready")
        time.sleep(60)

    process = forking(stubborn)
    process.connection.recv()
    started = time.monotonic()
    process.end(signal.SIGTERM)
    assert time.monotonic() - started < 5
    forked.reap()
    assert process.pid in forked._ending
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while process.pid in forked._ending:
        forked.reap()
        assert time.monotonic() < deadline
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)


def options(tmp_path, **changes):
    repo = RepoOptions(key=1, type="posix", path=str(tmp_path))
    return Options(
        command="archive-push",
        stanza="demo",
        repos=(repo,),
        pgs=(PgOptions(path=str(tmp_path)),),
        spool_path=str(tmp_path),
        **changes,
    )


def test_what_a_worker_that_hangs_had_is_sent_by_another_one(tmp_path, monkeypatch):
    def serve(connection, _work):
        connection.send(worker.Opened())
        locks_itself_out()

    monkeypatch.setattr(worker, "serve", serve)
    chosen = options(tmp_path, io_timeout=20.0)
    some = crew.Crew(chosen, chosen.repo(), lambda: None)
    try:
        some.queue.ask(NAME)
        begun = time.monotonic()
        some.feed(begun)
        (connection,) = some.connections
        assert connection.poll(10)
        some.receive(connection, begun)
        some.feed(begun)
        assert some.queue.sent == {NAME}
        some.watch(begun + 39)
        assert some.sessions == 1
        some.watch(begun + 41)
        assert some.connections == []
        assert (some.queue.sent, some.queue.waiting) == (frozenset(), 1)
        assert some.hung[NAME] == begun + 41
        assert "hung for 40 seconds" in str(some.error)
        some.feed(begun + 100)
        assert len(some.connections) == 1
    finally:
        some.close()


def test_what_a_fetcher_that_hangs_had_is_fetched_by_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fetcher, "serve", lambda *_: locks_itself_out())
    some = fetchers.Fetchers(options(tmp_path, io_timeout=20.0), lambda: None)
    try:
        begun = time.monotonic()
        some._asked = begun
        some.rules.ask(NAME, 1 << 20, 2, begun)
        some.feed(begun)
        assert some.processes >= 1
        some.watch(begun + 39)
        assert some.processes >= 1
        some.watch(begun + 41)
        assert some.processes == 0
        some.feed(begun + 45)
        assert some.processes >= 1
        assert NAME in some._fetchers[0].names
    finally:
        some.close()
