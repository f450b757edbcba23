# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When what a backup has so far is saved."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import alive
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import checkpoint
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Done

MIB = 1024 * 1024


class Storage:
    """A repository whose session may be lost, and is ``waited`` for where somebody does."""

    def __init__(self):
        self.ended = False
        self.lost = False
        self.waited = True

    @contextlib.contextmanager
    def at_once(self):
        self.waited = False
        yield
        self.waited = True

    def use(self):
        if self.lost:
            assert not self.waited
            self.ended = True
            raise errors.TransportLostError("connection to sftp-srv lost")


STORAGE = Storage()


class Announcement:
    def ready(self):
        return True

    def wait(self):
        STORAGE.use()


@pytest.fixture(autouse=True)
def _storage():
    STORAGE.__init__()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def saved(monkeypatch, clock):
    """The times of saves; each takes ``clock.cost`` seconds."""
    clock.cost = 0.0
    times = []

    def save(*_arguments):
        STORAGE.use()
        times.append(clock.now)
        clock.now += clock.cost
        return Announcement()

    monkeypatch.setattr(checkpoint.manifest, "save_checkpoint", save)
    monkeypatch.setattr(checkpoint.manifest, "begin_checkpoint", save)
    return times


def made(clock, saved, *, threshold=10 * MIB, total=100 * MIB):
    """A checkpoint that collects; its first save is forgotten."""
    point = checkpoint.Checkpoint(STORAGE, "demo", None, None, clock=clock)
    point.collect(lambda: None, threshold=threshold, total=total)
    saved.clear()
    return point


def test_a_backup_begins_with_one(clock, saved, monkeypatch):
    manifests = []
    for name in ("begin_checkpoint", "save_checkpoint"):
        monkeypatch.setattr(
            checkpoint.manifest, name, lambda _storage, *told: manifests.append(told) or Done()
        )
    point = checkpoint.Checkpoint(STORAGE, "demo", "pass", "first", clock=clock)
    assert manifests == [("demo", "first", "pass")]
    # Nobody can go on with a differential one: it says no more.
    clock.now = 100.0
    point.add(10**12)
    point.save()
    assert len(manifests) == 1
    point.collect(lambda: "so far", threshold=1, total=1)
    point.add(1)
    assert manifests[1:] == [("demo", "so far", "pass")]


def test_a_backup_shows_that_it_goes_on(clock, saved):
    point = checkpoint.Checkpoint(STORAGE, "demo", None, None, clock=clock)
    point.show()
    for second in range(600):
        clock.now = float(second)
        point.beat()
    assert saved == [0.0, 180.0, 360.0, 540.0]
    assert checkpoint.PULSE * 3 < alive.QUIET


def test_when_so_much_is_copied(clock, saved):
    point = made(clock, saved)
    for _step in range(25):
        point.add(MIB)
    assert len(saved) == 2
    point.save()
    point.save()
    assert len(saved) == 3


def test_one_percent_is_the_least(clock, saved):
    point = made(clock, saved, threshold=1, total=1000 * MIB)
    for _step in range(19):
        point.add(MIB)
    assert len(saved) == 1


def test_when_so_much_time_has_gone_by(clock, saved):
    point = made(clock, saved, threshold=10**12)
    for second in range(35):
        clock.now = float(second)
        point.add(1)
    assert saved == [10.0, 20.0, 30.0]


def test_a_slow_repository_is_not_kept_busy_with_it(clock, saved):
    clock.cost = 3.0
    point = made(clock, saved, threshold=10**12)
    for _step in range(260):
        clock.now += 1.0
        point.add(1)
    # A save of three seconds after sixty of copying.
    assert [round(after - before) for before, after in zip(saved, saved[1:])] == [63] * 4


def test_nothing_is_saved_when_nothing_is_new(clock, saved):
    point = made(clock, saved)
    clock.now = 1000.0
    point.save()
    assert saved == []


def test_no_worker_waits_for_a_save_that_has_to_connect_again(clock, saved):
    point = made(clock, saved, threshold=1)
    STORAGE.ended = True
    clock.now = 100.0
    point.add(MIB)
    assert saved == []
    # One that shows that the backup goes on is worth an attempt, and when the workers are gone any.
    clock.now = 200.0
    point.beat()
    point.add(MIB)
    point.save()
    assert saved == [200.0, 200.0]


def test_no_worker_waits_for_a_session_that_is_lost_in_the_middle_of_a_save(clock, saved):
    point = made(clock, saved, threshold=1)
    STORAGE.lost = True
    point.add(MIB)
    assert saved == []
    # What was not saved is still to be.
    STORAGE.lost = STORAGE.ended = False
    point.add(0)
    assert len(saved) == 1


def test_a_beat_does_not_wait_either_but_asks_each_minute(clock, saved):
    point = made(clock, saved, threshold=10**12)
    point.show()
    asked = []
    STORAGE.lost = True
    uses = STORAGE.use
    STORAGE.use = lambda: (asked.append(clock.now), uses())
    for second in range(181, 400):
        clock.now = float(second)
        point.beat()
    assert asked == [181.0, 241.0, 301.0, 361.0]
    STORAGE.lost = False
    for second in range(400, 700):
        clock.now = float(second)
        point.beat()
    assert saved == [421.0, 601.0]
    assert checkpoint.AGAIN + checkpoint.PULSE < alive.QUIET


def test_what_others_could_not_see_at_once_they_see_soon(clock, saved):
    point = made(clock, saved, threshold=10**12)
    STORAGE.lost = True
    point.show()
    STORAGE.lost = False
    for second in range(200):
        clock.now = float(second)
        point.beat()
    assert saved == [60.0]
