# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that may change once more without a later time."""

from __future__ import annotations

import time
import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.second import (
    Second,
)

THEN = 1767225600


def second(now, *, online=True):
    return Second.now(types.SimpleNamespace(now=lambda: now, online=online))


def test_the_copy_of_a_running_cluster_starts_in_the_next_one():
    assert second(THEN + 0.5).next == THEN + 1
    assert second(THEN + 0.5, online=False).next == THEN


@pytest.mark.parametrize(("now", "first"), [(THEN + 0.5, THEN), (THEN + 0.001, THEN - 1)])
def test_just_after_a_second_its_files_are_fresh_too(now, first):
    # The time of a file comes from a clock that goes in ticks.
    assert list(second(now).fresh) == list(range(first, THEN + 2))


def test_it_ends_by_the_clock_of_the_cluster():
    current = second(THEN + 0.9)
    assert not current.is_over()
    time.sleep(0.15)
    assert current.is_over()
