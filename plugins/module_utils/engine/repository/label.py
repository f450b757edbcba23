# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of backups (repository reference, section 10).

``20261122-110720F`` for a full backup, ``20261122-110720F_20261122-110724I`` for one that depends
on it. The time is the start of the backup in the local time zone of the host that makes it.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, tzinfo

from ..errors import ClockError, FormatError

FULL = "full"
DIFF = "diff"
INCR = "incr"

_SUFFIX = {FULL: "F", DIFF: "D", INCR: "I"}
_TYPE = {suffix: name for name, suffix in _SUFFIX.items()}

_TIME = "[0-9]{8}-[0-9]{6}"
_LABEL = re.compile(rf"^{_TIME}F(?:_{_TIME}[DI])?$")

_FULL_SIZE = len("20261122-110720F")


def is_label(name: str) -> bool:
    """Whether a directory name is that of a backup."""
    # fullmatch, since $ would accept a trailing newline.
    return _LABEL.fullmatch(name) is not None


def type_of(label: str) -> str:
    """``full``, ``diff`` or ``incr``; raises FormatError for what is no label."""
    if not is_label(label):
        raise FormatError(f"'{label}' is not a backup label")
    return _TYPE[label[-1]]


def full_of(label: str) -> str:
    """The full backup that a backup depends on; itself for a full one."""
    return label[:_FULL_SIZE]


def new_label(
    backup_type: str,
    timestamp: int,
    *,
    prior: str | None,
    existing: t.Iterable[str],
    zone: tzinfo | None = None,
) -> str:
    """The name of a backup that starts at ``timestamp`` (epoch seconds).

    ``prior`` is the backup it depends on, None for a full one. The name must sort after every one
    of ``existing`` (directories and history; for a dependent backup only those of the same full
    backup count). One second is added when it does not: two backups can start in the same second.
    When that is not enough the clock or the time zone went back: ClockError. ``zone`` None is the
    host's zone.
    """
    others = [
        label
        for label in existing
        if is_label(label) and (prior is None or full_of(label) == full_of(prior))
    ]
    newest = max(others, default="")
    label = ""
    for second in (timestamp, timestamp + 1):
        label = _format(backup_type, second, prior, zone)
        if label > newest:
            return label
    raise ClockError(
        f"new backup label '{label}' is not later than latest backup label '{newest}'",
        hint="has the time zone changed, or is there clock skew?",
    )


def _format(backup_type: str, timestamp: int, prior: str | None, zone: tzinfo | None) -> str:
    when = datetime.fromtimestamp(timestamp, zone).strftime("%Y%m%d-%H%M%S")
    own = when + _SUFFIX[backup_type]
    return own if prior is None else f"{full_of(prior)}_{own}"
