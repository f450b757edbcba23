# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second of the scan (repository reference, section 10, step 5)."""

from __future__ import annotations

import time
import typing as t

from .source import Source

# Seconds by which the time of a change may be behind the clock: the kernel counts in ticks.
_TICK = 0.02


class Second(t.NamedTuple):
    """The second in which the data directory was scanned.

    A file that changes in a later one is younger than what is recorded for it, so that the next
    incremental backup sees the change. What has changed in this very second may change once more
    without that: it is copied last, and when this second is not over then, a time is recorded for
    it that it does not have, so that the next backup reads it again.
    """

    fresh: range
    """The times of files that may change once more without a later one."""
    next: int
    """When the copy starts, in seconds since 1970 by the cluster's clock."""
    over: float
    """When the second ends, by the monotonic clock."""

    @classmethod
    def now(cls, source: Source) -> Second:
        """The current one."""
        now = source.now()
        over = time.monotonic() + 1.0 - now % 1.0 + _TICK
        following = int(now) + 1
        return cls(
            range(int(now - _TICK), following + 1), following if source.online else int(now), over
        )

    def is_over(self) -> bool:
        """Whether files that are read from now on are read in a later second."""
        return time.monotonic() >= self.over
