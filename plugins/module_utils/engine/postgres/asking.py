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

# Above what shells use for signals, so that it cannot be taken for one.
STOP_RECOVERY = 200


class Asker(enum.Enum):
    """The server of a data directory, by its signal files."""

    RECOVERY = "recovery"
    STANDBY = "standby"
    OTHER = "other"
    """No server that recovers: a person, or pg_rewind."""


def asker(pg_data: str) -> Asker:
    """Read the signal files; where there are both, PostgreSQL goes by ``standby.signal``."""
    if os.path.exists(os.path.join(pg_data, "standby.signal")):
        return Asker.STANDBY
    if os.path.exists(os.path.join(pg_data, "recovery.signal")):
        return Asker.RECOVERY
    return Asker.OTHER


def failure_code(pg_data: str, code: int) -> int:
    """What to exit with when it is not known whether the archive has the file.

    ``code`` is the error's own. A recovery must not take it for the end of the WAL.
    """
    return STOP_RECOVERY if asker(pg_data) is Asker.RECOVERY else code
