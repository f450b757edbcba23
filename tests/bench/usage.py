# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What processes use: processor time, also of those that go on by themselves, and memory."""

from __future__ import annotations

import ctypes
import os
import resource
import time
import typing as t
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")


def adopt() -> None:
    """Become the parent of descendants whose own parent ends: their time is counted, too."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def children(pid: int) -> set[int]:
    """The processes that another one has started and not waited for."""
    found: set[int] = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.update(map(int, file.read_text().split()))
        except OSError:
            continue
    return found


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(row for child in children(pid) for row in tree(child))]


def settle(known: t.Collection[int], seconds: float = 30.0) -> None:
    """Wait until those have ended that were adopted, and are not ``known``."""
    deadline = time.monotonic() + seconds
    while orphans := children(os.getpid()) - set(known):
        for pid in orphans:
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes are left: {orphans}")
        time.sleep(0.02)


def cpu(*living: int) -> float:
    """Seconds of processor time that all children have used which have ended, and those trees."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + sum(_ticks(row) for pid in living for row in tree(pid))


def _ticks(pid: int) -> float:
    # User and system time, and the same of children that were waited for.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


class Memory(t.NamedTuple):
    """MiB of a process and all below it."""

    pss: float
    """Each page once: what processes share is split among them."""
    rss: float
    """The sum of what each has resident, shared pages as often as they are mapped."""


def memory(pid: int) -> Memory:
    """What is resident now."""
    found = {"Pss:": 0, "Rss:": 0}
    for one in tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            name, value = line.split()[:2]
            if name in found:
                found[name] += int(value)
    return Memory(found["Pss:"] / 1024, found["Rss:"] / 1024)
