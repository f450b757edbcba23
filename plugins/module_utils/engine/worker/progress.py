# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long command is: percent, rate and time left."""

from __future__ import annotations

import time
import typing as t

INTERVAL = 10.0


class Snapshot(t.NamedTuple):
    """One reading. Sizes in bytes, rate in bytes a second, times in seconds."""

    done: int
    total: int
    elapsed: float
    rate: float
    left: float | None

    @property
    def percent(self) -> float:
        """0 to 100; 100 when there is nothing to do."""
        return 100.0 if self.total == 0 else min(100.0, self.done * 100.0 / self.total)

    def __str__(self) -> str:
        left = "" if self.left is None else f", {duration_text(self.left)} left"
        return (
            f"{self.percent:.1f}% of {size_text(self.total)}, {size_text(int(self.rate))}/s{left}"
        )


class Progress:
    """Counts bytes and says when it is time for the next line (every ``interval`` seconds)."""

    def __init__(
        self,
        total: int,
        *,
        interval: float = INTERVAL,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.done = 0
        self._interval = interval
        self._clock = clock
        self._start = self._last = clock()

    def add(self, size: int) -> Snapshot | None:
        """Count ``size`` more bytes; a snapshot when a line is due, else None."""
        self.done += size
        now = self._clock()
        if now - self._last < self._interval:
            return None
        self._last = now
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        """Where the work stands now."""
        elapsed = self._clock() - self._start
        rate = self.done / elapsed if elapsed > 0 else 0.0
        # What was lost with a session is done twice.
        left = max(0, self.total - self.done) / rate if rate > 0 else None
        return Snapshot(self.done, self.total, elapsed, rate, left)


def size_text(size: int) -> str:
    """Bytes as pgBackRest shows them: ``22.3MB``, one decimal, no trailing ``.0``."""
    if size < 1024:
        return f"{size}B"
    units = ("KB", "MB", "GB", "TB", "PB")
    power = min((size.bit_length() - 1) // 10, len(units))
    unit = units[power - 1]
    whole, tenth = divmod(int(size / 1024**power * 10 + 0.5), 10)
    return f"{whole}{unit}" if tenth == 0 else f"{whole}.{tenth}{unit}"


def duration_text(seconds: float) -> str:
    """Seconds as ``1h02m03s``, ``2m03s`` or ``3s``."""
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes:02d}m{secs:02d}s"
    return f"{minutes}m{secs:02d}s" if minutes else f"{secs}s"
