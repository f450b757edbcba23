# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the benchmark of WAL says what was measured, and whether its goals are reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import wal_page

    return wal_page


@pytest.fixture
def usage(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import usage

    return usage


def row(what, rtt, ours, peer):
    cpu = {"ours": [0.5] * len(ours), "peer": [0.25] * len(peer)} if peer else {}
    return {"what": what, "rtt": rtt, "ours": ours, "peer": peer, "cpu": cpu, "load": [1.2, 3.4]}


@pytest.mark.parametrize(
    ("what", "rtt", "ours", "peer", "reached"),
    [
        ("drain async", 0.0, [1.0, 1.0, 1.0], [1.5, 1.5, 9.0], True),
        ("drain async", 0.0, [1.0, 1.0, 1.0], [1.4, 1.4, 9.0], False),
        ("drain async", 50.0, [1.0], [0.1], None),
        ("drain sync", 0.0, [1.0], [0.1], None),
        # Each half of the goal counts.
        ("push", 0.0, [39.0], [50.0], True),
        ("push", 0.0, [41.0], [50.0], False),
        ("push", 0.0, [39.0], [38.0], False),
        ("memory", 0.0, [59.0], [], True),
        ("memory", 0.0, [60.0], [], False),
    ],
)
def test_a_goal_is_reached_by_the_median_of_the_pairs(page, what, rtt, ours, peer, reached):
    assert page.reached(row(what, rtt, ours, peer)) is reached


def test_the_table_shows_the_spread_and_what_is_missed(page):
    rows = [
        {**row("memory", 20.0, [39.4, 41.2], []), "rss": [80.0, 81.0]},
        row("drain async", 95.0, [2.0, 2.0, 2.0], [3.0, 4.0, 8.0]),
        row("drain sync", 0.0, [2.0], [3.0]),
    ]
    lines = page.table({"rows": rows, "segments": 8, "sync": 4}).splitlines()[2:]
    assert lines == [
        "| 8 ready segments drained, against `archive-async=y` | 95 ms | 2.00 s | 4.00 s "
        "| 2.00 (1.50 to 4.00) | 3 × | **no** | 0.50 / 0.25 | 1-3 |",
        "| the same, against sync `archive-push` (4 segments, scaled) | 0 ms | 2.00 s | 3.00 s "
        "| 1.50 (1.50 to 1.50) |  |  | 0.50 / 0.25 | 1-3 |",
        "| memory of the idle archiver, PSS | 20 ms | 40 MiB (RSS 80) |  |  | under 60 MiB | yes "
        "|  | 1-3 |",
    ]


def test_the_page_has_the_marks_and_keeps_what_is_around_them(page):
    text = page.PAGE.read_text(encoding="utf-8")
    changed = page.put(text, page.BEGIN, page.END, ["new"])
    assert f"{page.BEGIN}\n\nnew\n\n{page.END}" in changed
    assert changed.partition(page.BEGIN)[0] == text.partition(page.BEGIN)[0]
    assert changed.partition(page.END)[2] == text.partition(page.END)[2]
    with pytest.raises(ValueError, match="the page has no"):
        page.put("without marks", page.BEGIN, page.END, ["new"])


WORK = """
import os, sys
sys.path.insert(0, sys.argv[1])
import subprocess, usage
usage.adopt()
before = usage.cpu()
burn = "import time\\nwhile time.process_time() < 0.3: pass"
# Whoever started it does not wait for it.
subprocess.run(["sh", "-c", f"{sys.executable} -c '{burn}' &"], check=True)
usage.settle([])
assert usage.cpu() - before >= 0.3, usage.cpu() - before
assert usage.tree(os.getpid()) == [os.getpid()]
found = usage.memory(os.getpid())
assert 1 < found.pss <= found.rss < 500, found
"""


def test_the_time_of_what_goes_on_by_itself_is_counted(usage):
    if not os.path.exists("/proc/self/task"):
        pytest.skip("no /proc")
    subprocess.run([sys.executable, "-c", WORK, str(BENCH)], check=True)
