# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Percent, rate, time left; and sizes as pgBackRest prints them."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker.progress import (
    Progress,
    duration_text,
    size_text,
)


def test_a_line_is_due_once_an_interval():
    now = [0.0]
    progress = Progress(1000, interval=10, clock=lambda: now[0])
    now[0] = 5
    assert progress.add(100) is None
    now[0] = 10
    snapshot = progress.add(100)
    assert (snapshot.percent, snapshot.rate, snapshot.left) == (20.0, 20.0, 40.0)
    assert str(snapshot) == "20.0% of 1000B, 20B/s, 40s left"
    assert progress.add(1) is None


def test_what_is_done_twice_leaves_nothing_to_do():
    now = [0.0]
    progress = Progress(1000, interval=10, clock=lambda: now[0])
    now[0] = 10
    assert str(progress.add(1500)) == "100.0% of 1000B, 150B/s, 0s left"


def test_nothing_to_do_is_complete():
    assert Progress(0).snapshot().percent == 100.0


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KB"),
        (33085828, "31.6MB"),
        (3986358, "3.8MB"),
        (2**40, "1TB"),
    ],
)
def test_sizes(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0s"), (63, "1m03s"), (3723, "1h02m03s")])
def test_durations(seconds, text):
    assert duration_text(seconds) == text
