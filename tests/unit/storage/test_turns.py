# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that connect to one server: all at once, or in turns while it refuses."""

from __future__ import annotations

import fcntl
import os
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import turns
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.turns import (
    CALM,
    NEWS,
    Turns,
    pause_after,
)
from ansible_collections.pgsftp.backup.tests.support.clock import Clock

BUSY = errors.HostBusyError("unable to connect to 'sftp-srv:22': closed before SSH began")


class Server:
    """Grants ``most`` sessions at once; counts in a file, so that processes can share it."""

    def __init__(self, path, most):
        self._path, self._most = path, most
        path.touch()

    def attempts(self):
        """The time of each, and whether it was granted."""
        rows = [line.split() for line in self._path.read_text().splitlines()]
        return [(float(when), word) for when, word in rows]

    def connect(self):
        with self._path.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            words = [word for _dummy, word in self.attempts()]
            granted = words.count("granted") - words.count("left")
            word = "granted" if granted < self._most else "refused"
            stream.write(f"{time.monotonic()} {word}\n")
        if word == "refused":
            raise BUSY
        return word

    def leave(self):
        with self._path.open("a") as stream:
            stream.write(f"{time.monotonic()} left\n")


def scripted(*outcomes):
    """Attempts that end like this, one after another."""
    waiting = list(outcomes)

    def attempt():
        outcome = waiting.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt


def forked(work):
    """Run it in a process; a function that gives its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except errors.HostBusyError:
            code = 3
        finally:
            os._exit(code)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def quick(monkeypatch):
    """Pauses of a test."""
    monkeypatch.setattr(turns, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(turns, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(turns, "LOOK", 0.01)


def test_pauses_grow_and_are_bounded():
    assert pause_after(0) == 0
    for times, least in enumerate((1.0, 4.0, 16.0, 20.0, 20.0), 1):
        assert least <= pause_after(times) <= least * 1.25
    assert pause_after(10**9) <= 25


def test_as_long_as_nobody_is_refused_all_connect_at_once(tmp_path):
    server = Server(tmp_path / "log", most=20)
    shared = Turns()

    def connect():
        server.connect()
        # None of them goes on before all are there.
        while len(server.attempts()) < 8:
            time.sleep(0.01)

    ends = [forked(lambda: shared.connect(connect, patience=9)) for _dummy in range(8)]
    assert [end() for end in ends] == [0] * 8
    assert not shared.tight


def test_sixteen_processes_where_four_are_granted(tmp_path, quick):
    """A first burst, since nobody knows yet; from then on the pauses of one."""
    server = Server(tmp_path / "log", most=4)
    shared = Turns()
    ends = [forked(lambda: shared.connect(server.connect, patience=2.0)) for _dummy in range(16)]
    assert sorted(end() for end in ends) == [0] * 4 + [3] * 12
    attempts = server.attempts()
    assert sum(word == "granted" for _dummy, word in attempts) == 4
    # Twelve of the burst at most, and then one for each pause of a fifth of a second.
    assert 6 <= sum(word == "refused" for _dummy, word in attempts) <= 12 + 11


def test_those_that_wait_come_one_after_another_when_there_is_room(tmp_path, quick):
    server = Server(tmp_path / "log", most=2)
    shared = Turns()

    def work():
        shared.connect(server.connect, patience=30.0)
        time.sleep(0.3)
        server.leave()

    ends = [forked(work) for _dummy in range(8)]
    assert [end() for end in ends] == [0] * 8


def test_a_loss_comes_before_what_never_was(quick):
    """Somebody's work hangs on it."""
    shared = Turns()
    order = []
    shared.refused(shared.clock())

    def connect(name, hurried):
        shared.connect(lambda: order.append(name), patience=30.0, hurried=hurried)

    late = threading.Thread(target=connect, args=("new", False))
    late.start()
    time.sleep(0.05)
    connect("lost", hurried=True)
    late.join()
    assert order == ["lost", "new"]


def test_a_process_that_dies_in_its_turn_gives_it_up(quick):
    shared = Turns()
    shared.refused(shared.clock())
    died = forked(lambda: shared.connect(lambda: os._exit(9), patience=9, hurried=False))
    assert died() == 9
    assert shared.connect(lambda: "mine", patience=9) == "mine"


def test_patience_ends_without_one_more_pause():
    clock = Clock()
    shared = Turns(clock=clock, sleep=clock.sleep)
    with pytest.raises(errors.HostBusyError):
        shared.connect(scripted(*[BUSY] * 9), patience=30)
    assert clock() <= 1030


def test_who_never_had_a_turn_says_so():
    clock = Clock()
    shared = Turns(clock=clock, sleep=clock.sleep)
    for _dummy in range(9):
        clock.sleep(0.01)
        shared.refused(clock())
    with pytest.raises(errors.HostBusyError, match="no turn to connect for 5 s"):
        shared.connect(scripted("mine"), patience=5)


def test_what_does_not_pass_is_raised_at_once():
    clock = Clock()
    shared = Turns(clock=clock, sleep=clock.sleep)
    with pytest.raises(errors.ServiceError):
        shared.connect(scripted(errors.ServiceError("public key refused")), patience=30)
    assert clock() == 1000
    assert not shared.tight


def test_refusals_of_one_moment_are_one_lesson():
    clock = Clock()
    shared = Turns(clock=clock, sleep=clock.sleep)
    started = clock()
    clock.sleep(1)
    for _dummy in range(12):
        shared.refused(started)
    assert shared.connect(scripted("mine"), patience=30) == "mine"
    assert 1002 <= clock() <= 1003


def test_after_a_while_it_is_calm_again():
    clock = Clock()
    shared = Turns(clock=clock, sleep=clock.sleep)
    shared.refused(clock())
    assert shared.tight
    clock.sleep(CALM)
    assert not shared.tight


@pytest.mark.parametrize("others, given_up_at", [(0, 1030), (200, 1230)])
def test_nobody_gives_up_while_others_get_on(others, given_up_at):
    clock = Clock()

    def sleep(seconds):
        clock.sleep(seconds)
        if clock() <= 1000 + others:
            shared.achieved()

    shared = Turns(clock=clock, sleep=sleep)
    with pytest.raises(errors.HostBusyError):
        shared.connect(scripted(*[BUSY] * 99), patience=30, hurried=False)
    assert given_up_at - 30 <= clock() <= given_up_at
    with pytest.raises(errors.HostBusyError):
        shared.connect(scripted(*[BUSY] * 99), patience=30, hurried=False)
    # That others got on is heard of to a second.
    assert given_up_at - NEWS <= clock() <= given_up_at + 30


def test_what_one_process_achieves_another_hears_of():
    shared = Turns()
    assert forked(shared.achieved)() == 0
    assert 0 <= shared.clock() - shared._state().achieved_at < 10
