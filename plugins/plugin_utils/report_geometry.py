# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things stand in the drawings of the report. Pure; times are epoch seconds, UTC."""

from __future__ import annotations

import datetime
import math
import typing as t

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    1, 5, 15, 30,
    _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY,
)  # fmt: skip
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Interval(t.NamedTuple):
    """From ``start`` to ``stop``, both included."""

    start: float
    stop: float


class Scale(t.NamedTuple):
    """A straight line from values to positions."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """The position of a value; values outside stick to the ends."""
        if self.high <= self.low:
            return (self.begin + self.end) / 2
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.begin + part * (self.end - self.begin), 2)

    def span(self, start: float, stop: float, least: float = 2.0) -> tuple[float, float]:
        """Where a bar begins and how wide it is, never less than ``least`` nor beyond the ends."""
        left, right = self.at(start), self.at(stop)
        width = max(right - left, least)
        low, high = sorted((self.begin, self.end))
        left = max(min(left - max(0.0, least - (right - left)) / 2, high - width), low)
        return round(left, 2), round(width, 2)


class Tick(t.NamedTuple):
    """A mark of an axis."""

    value: float
    label: str


def merged(intervals: t.Iterable[Interval]) -> list[Interval]:
    """The intervals in their order, those that touch joined."""
    joined: list[Interval] = []
    for row in sorted(intervals):
        if joined and row.start <= joined[-1].stop:
            joined[-1] = Interval(joined[-1].start, max(joined[-1].stop, row.stop))
        else:
            joined.append(row)
    return joined


def extent(moments: t.Iterable[float], margin: float = 0.02) -> Interval:
    """The whole time with some air on either side, at least a minute of it."""
    known = sorted(moments)
    if not known:
        return Interval(0, _MINUTE)
    air = max((known[-1] - known[0]) * margin, _MINUTE / 2)
    return Interval(known[0] - air, known[-1] + air)


def time_ticks(start: float, stop: float, most: int = 11) -> list[Tick]:
    """At most ``most`` marks at round times between the two."""
    span = stop - start
    for step in _STEPS:
        if span / step < most:
            return [_tick(value, step) for value in _multiples(start, stop, step)]
    for months in _MONTHS:
        values = [value for value in _first_days(start, stop, months) if start <= value <= stop]
        if len(values) <= most:
            return [Tick(value, utc(value).strftime("%b %Y")) for value in values]
    return []


def _multiples(start: float, stop: float, step: int) -> t.Iterator[int]:
    # Weeks begin on Monday, and 1970 began on a Thursday.
    origin = 4 * _DAY if step % (7 * _DAY) == 0 else 0
    value = math.ceil((start - origin) / step) * step + origin
    while value <= stop:
        yield value
        value += step


def _first_days(start: float, stop: float, months: int) -> t.Iterator[float]:
    number = utc(start).year * 12
    while True:
        day = datetime.datetime(number // 12, number % 12 + 1, 1, tzinfo=datetime.timezone.utc)
        if day.timestamp() > stop:
            return
        yield day.timestamp()
        number += months


def _tick(value: float, step: int) -> Tick:
    moment = utc(value)
    if step >= _DAY:
        return Tick(value, moment.strftime("%-d %b"))
    if step >= _MINUTE:
        midnight = (moment.hour, moment.minute) == (0, 0)
        return Tick(value, moment.strftime("%-d %b" if midnight else "%H:%M"))
    return Tick(value, moment.strftime("%H:%M:%S"))


def size_ticks(largest: float, most: int = 3) -> list[Tick]:
    """Marks from 0 to a round number of bytes that is not less than ``largest``."""
    unit = 1024.0 ** min(int(math.log(largest, 1024)) if largest >= 1 else 0, len(_UNITS) - 1)
    parts = max(largest / unit, 1)
    power = 10 ** math.floor(math.log10(parts / most)) if parts > most else 1
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if parts / (factor * power) <= most)
    count = max(math.ceil(parts / step), 1)
    return [
        Tick(number * step * unit, size_text(number * step * unit)) for number in range(count + 1)
    ]


def spaced(positions: t.Sequence[float], least: float) -> list[bool]:
    """Which of the ascending positions may carry a label, so that no two are nearer than ``least``.

    The last one always does: it is the newest.
    """
    kept = [False] * len(positions)
    free = math.inf
    for number in range(len(positions) - 1, -1, -1):
        if positions[number] <= free:
            kept[number] = True
            free = positions[number] - least
    return kept


def utc(moment: float) -> datetime.datetime:
    """Epoch seconds as a time."""
    return datetime.datetime.fromtimestamp(moment, tz=datetime.timezone.utc)


def time_text(moment: float | None) -> str:
    """``2026-11-22 19:35:12``."""
    return "never" if moment is None else utc(moment).strftime("%Y-%m-%d %H:%M:%S")


def span_text(seconds: float) -> str:
    """A length of time in its two greatest units: ``3 d 4 h``."""
    left = int(seconds)
    parts = []
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "0 s"


def size_text(size: float) -> str:
    """Bytes with a unit: ``2.8 MiB``."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    whole = size == int(size) or size >= 100
    return f"{size:.0f} {_UNITS[unit]}" if whole else f"{size:.1f} {_UNITS[unit]}"
