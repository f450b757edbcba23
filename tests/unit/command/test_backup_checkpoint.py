# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When what a backup has so far is saved."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import checkpoint

MIB = 1024 * 1024


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
        times.append(clock.now)
        clock.now += clock.cost

    monkeypatch.setattr(checkpoint.manifest, "save_checkpoint", save)
    return times


def made(clock, *, threshold=10 * MIB, total=100 * MIB):
    return checkpoint.Checkpoint(
        None, "demo", None, lambda: None, threshold=threshold, total=total, clock=clock
    )


def test_when_so_much_is_copied(clock, saved):
    point = made(clock)
    for _step in range(25):
        point.add(MIB)
    assert len(saved) == 2
    point.save()
    point.save()
    assert len(saved) == 3


def test_one_percent_is_the_least(clock, saved):
    point = made(clock, threshold=1, total=1000 * MIB)
    for _step in range(19):
        point.add(MIB)
    assert len(saved) == 1


def test_when_so_much_time_has_gone_by(clock, saved):
    point = made(clock, threshold=10**12)
    for second in range(35):
        clock.now = float(second)
        point.add(1)
    assert saved == [10.0, 20.0, 30.0]


def test_a_slow_repository_is_not_kept_busy_with_it(clock, saved):
    clock.cost = 3.0
    point = made(clock, threshold=10**12)
    for _step in range(200):
        clock.now += 1.0
        point.add(1)
    # A save of three seconds after sixty of copying.
    assert [round(after - before) for before, after in zip(saved, saved[1:])] == [63, 63, 63]


def test_nothing_is_saved_when_nothing_is_new(clock, saved):
    point = made(clock)
    clock.now = 1000.0
    point.save()
    assert saved == []
