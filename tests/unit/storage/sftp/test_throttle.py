# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit is honoured within 10 %, by all connections together."""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import throttle
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.throttle import (
    RateLimit,
)

RATE = 1_000_000


class Clock:
    """Time that passes only when somebody sleeps, or works."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limit(clock):
    return RateLimit(RATE, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize("chunk", [100, 16_384, 32_768])
@pytest.mark.parametrize("work", [0.0, 0.00005])
def test_a_long_transfer_is_as_fast_as_allowed(limit, clock, chunk, work):
    sent = 0
    while sent < 5 * RATE:
        limit.take(chunk)
        clock.now += work  # the transfer itself
        sent += chunk
    seconds = clock.now - 1000.0
    assert 0.9 * RATE <= sent / seconds <= 1.1 * RATE


def test_whoever_oversleeps_makes_up_for_it(clock):
    limit = RateLimit(RATE, clock=clock, sleep=lambda seconds: clock.sleep(seconds + 0.01))
    sent = 0
    while sent < 5 * RATE:
        limit.take(10_000)
        sent += 10_000
    assert sent / (clock.now - 1000.0) >= 0.9 * RATE


def test_a_pause_saves_nothing_up(limit, clock):
    limit.take(32_768)
    clock.now += 60
    began = clock.now
    for _dummy in range(100):
        limit.take(RATE // 100)
    assert clock.now - began >= 0.85


def test_a_slow_line_does_not_wait_at_all(limit, clock):
    for _dummy in range(100):
        clock.now += 0.1
        limit.take(RATE // 20)
    assert clock.now == pytest.approx(1010.0)


def test_forked_processes_share_one_budget(clock):
    limit = RateLimit(RATE, clock=clock, sleep=lambda seconds: None)
    for _dummy in range(4):
        pid = os.fork()
        if pid == 0:
            for _dummy in range(10):
                limit.take(RATE // 10)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    waits = []
    limit._sleep = waits.append
    limit.take(1)
    # Four seconds' worth was taken by four processes at one moment of this clock.
    assert waits == [pytest.approx(4.0, abs=throttle.BURST)]


def test_one_that_is_killed_in_the_middle_does_not_stop_the_others(clock):
    def stuck():
        os.kill(os.getpid(), signal.SIGKILL)

    limit = RateLimit(RATE, clock=clock, sleep=clock.sleep)
    pid = os.fork()
    if pid == 0:
        limit._clock = stuck  # called with the lock held
        limit.take(1)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    limit.take(1)


def test_both_directions_of_a_socket_count(limit, clock):
    left, right = socket.socketpair()
    with left, right:
        counted = limit.on(left)
        assert counted.fileno() == left.fileno()
        for _dummy in range(50):
            assert counted.send(b"x" * 10_000) == 10_000
            right.sendall(right.recv(10_000))
            got = 0
            while got < 10_000:
                got += len(counted.recv(10_000))
    assert clock.now - 1000.0 == pytest.approx(1.0, rel=0.1)


def test_threads_share_it_too(clock):
    limit = RateLimit(RATE, clock=clock, sleep=lambda seconds: None)
    threads = [
        threading.Thread(target=lambda: [limit.take(1000) for _dummy in range(250)])
        for _dummy in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits = []
    limit._sleep = waits.append
    limit.take(1)
    assert waits == [pytest.approx(1.0, abs=throttle.BURST)]


@pytest.mark.parametrize("rate", [None, 0])
def test_no_limit(rate):
    assert throttle.of(rate) is None
