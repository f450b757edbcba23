# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a recovery is to end, as far as it can be compared with backups and WAL (pure)."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timedelta, timezone

from ..errors import FormatError, OptionInvalidValueError
from . import wal

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[ T](?P<time>\d{2}:\d{2}:\d{2})(?:(?P<point>[.,])\d{1,6})?"
    r"(?: ?(?P<utc>Z|UTC|GMT)|(?P<sign>[+-])(?P<hours>\d{2})(?::?(?P<minutes>\d{2}))?)?"
)
# PostgreSQL's MAXFNAMELEN, without the zero at the end.
_NAME_MOST = 63

# PostgreSQL knows no zone that is further away.
_FURTHEST = timedelta(hours=16)


class Goal(t.NamedTuple):
    """The end of a recovery. ``text`` is the target as the server gets it."""

    kind: str
    """The type of the restore: default, immediate, lsn, name, none, preserve, ..."""
    text: str = ""
    time: int | None = None
    """Epoch seconds, fractions cut off; None also for a time that only the server understands."""
    lsn: int | None = None


def goal(kind: str, text: str | None) -> Goal:
    """Read the target of a restore of type ``kind``.

    Raises FormatError for a position that is none, and OptionInvalidValueError for what the
    configuration of a server cannot hold: it would not start. A time in a form that is not ours is
    no error here: the server may understand it.
    """
    text = text or ""
    if text:
        if kind != "name":
            # A name may begin or end with blanks.
            text = text.strip()
        _refuse_unwritable(kind, text)
    if kind == "lsn":
        return Goal(kind, text, lsn=wal.lsn_parse(text))
    if kind == "time":
        return Goal(kind, text, time=epoch(text))
    return Goal(kind, text)


def _refuse_unwritable(kind: str, text: str) -> None:
    if not text or not text.isprintable():
        raise OptionInvalidValueError(
            f"{text!r} is not valid for 'target' option",
            hint="it is one line of text, without control characters.",
        )
    if kind == "name" and len(text.encode("utf-8")) > _NAME_MOST:
        raise OptionInvalidValueError(
            f"'{text}' is not valid for 'target' option",
            hint=f"names of restore points have at most {_NAME_MOST} bytes.",
        )


def epoch(text: str) -> int | None:
    """The second of ``YYYY-MM-DD HH:MM:SS[.fff][±HH[[:]MM]]``; None for any other form.

    Without an offset it is local time, as pgBackRest has it. Raises FormatError for a time of this
    form that does not exist.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    if match["point"] == ",":
        raise FormatError(
            f"invalid time '{text}': PostgreSQL takes no comma before a fraction",
            hint="write a point in its place.",
        )
    try:
        moment = datetime.fromisoformat(f"{match['date']} {match['time']}")
        if match["utc"]:
            moment = moment.replace(tzinfo=timezone.utc)
        elif match["sign"]:
            minutes = int(match["minutes"] or 0)
            offset = timedelta(hours=int(match["hours"]), minutes=minutes)
            if offset >= _FURTHEST or minutes > 59:
                raise ValueError("no such time zone")
            zone = timezone(-offset if match["sign"] == "-" else offset)
            moment = moment.replace(tzinfo=zone)
        return int(moment.timestamp())
    except ValueError as cause:
        raise FormatError(f"invalid time '{text}': {cause}") from cause
