# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for archived WAL, and what an exit code of ``restore_command`` means to that server.

From RestoreArchivedFile of access/transam/xlogarchive.c: a code up to 125 is taken for "not in the
archive". A server that recovers to a target, or to the end of the WAL, then ends its recovery and
accepts writes; a standby asks again. With a code above 125 either one stops.
"""

from __future__ import annotations

import enum
import os
import re

# Above what shells use for signals, so that it cannot be taken for one.
STOP_RECOVERY = 200

# A line of recovery.conf, by the rules of misc/guc-file.l: the equals sign may be missing.
_STANDBY_MODE = re.compile(
    r"^[ \t]*standby_mode\b[ \t]*=?[ \t]*('?)([a-z0-9]+)\1[ \t\r]*(?:#.*)?$", re.I | re.M
)


class Asker(enum.Enum):
    """The server of a data directory, by its signal files (before PostgreSQL 12 recovery.conf)."""

    RECOVERY = "recovery"
    STANDBY = "standby"
    OTHER = "other"
    """No server that recovers: a person, or pg_rewind."""


def who_asks(configured: str) -> Asker:
    """The server for which this process asks, given the data directory of its configuration.

    PostgreSQL runs restore_command in its data directory, which may be another one: of a copy, or
    of a cluster that has moved. In doubt it is one that must not end its recovery.
    """
    found = {asker(directory) for directory in (".", configured)}
    return next(kind for kind in (Asker.RECOVERY, Asker.STANDBY, Asker.OTHER) if kind in found)


def asker(pg_data: str) -> Asker:
    """Read the files; where there are both signals, PostgreSQL goes by ``standby.signal``."""
    if _has(pg_data, "recovery.conf") and _is_before_12(pg_data):
        # It goes when recovery ends.
        return Asker.STANDBY if _is_standby_mode(pg_data) else Asker.RECOVERY
    if _has(pg_data, "standby.signal"):
        return Asker.STANDBY
    if _has(pg_data, "recovery.signal"):
        return Asker.RECOVERY
    return Asker.OTHER


def _has(pg_data: str, name: str) -> bool:
    return os.path.exists(os.path.join(pg_data, name))


def _is_before_12(pg_data: str) -> bool:
    """A later server refuses to start where there is a recovery.conf, so it is not who asks."""
    major = _text(pg_data, "PG_VERSION").strip().partition(".")[0]
    return major.isdecimal() and int(major) < 12


def _is_standby_mode(pg_data: str) -> bool:
    """The last setting counts; what cannot be read must not end a recovery."""
    said = _STANDBY_MODE.findall(_text(pg_data, "recovery.conf"))
    return bool(said) and _is_true(said[-1][1].lower())


def _is_true(value: str) -> bool:
    """As parse_bool of utils/adt/bool.c has it: beginnings of words will do."""
    return value in ("on", "1") or any(word.startswith(value) for word in ("true", "yes"))


def _text(pg_data: str, name: str) -> str:
    try:
        with open(os.path.join(pg_data, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def failure_code(who: Asker, code: int) -> int:
    """What to exit with when it is not known whether the archive has the file.

    ``code`` is the error's own. A recovery must not take it for the end of the WAL.
    """
    return STOP_RECOVERY if who is Asker.RECOVERY else code
