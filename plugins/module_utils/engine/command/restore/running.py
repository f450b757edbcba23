# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers run on this host, and in which data directories."""

from __future__ import annotations

import contextlib
import os

from ...errors import PostgresRunningError

PROCESSES = "/proc"


def refuse_running(pg_data: str) -> None:
    """PostgresRunningError when a server runs in the directory, or did not end cleanly there."""
    if not os.path.lexists(f"{pg_data}/postmaster.pid"):
        return
    process = process_of(pg_data)
    if process is None:
        hint = (
            f"no process of '{pg_data}/postmaster.pid' is running on this host: if none runs on"
            " another one either, remove the file and try again."
        )
    else:
        hint = f"process {process} is running: stop the server first."
    raise PostgresRunningError(
        f"unable to restore while PostgreSQL is running in '{pg_data}'", hint=hint
    )


def process_of(pg_data: str) -> int | None:
    """The process that the postmaster.pid of a data directory names, when there is one."""
    try:
        with open(f"{pg_data}/postmaster.pid", encoding="ascii", errors="replace") as file:
            # A negative number is that of a server in single-user mode.
            process = abs(int(file.readline()))
    except (OSError, ValueError):
        return None
    try:
        os.kill(process, 0)
    except PermissionError:
        # It is there, and somebody else's.
        return process
    except (OSError, OverflowError):
        return None
    return process or None


def data_directories() -> dict[str, int]:
    """The data directories of the servers that run here, each with its process.

    A server works in its data directory. Those of other users are not seen, unless by root; nobody
    else could write to their files either.
    """
    found: dict[str, int] = {}
    names = []
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(PROCESSES) if name.isdigit()]
    seen = set()
    for name in names:
        with contextlib.suppress(OSError):
            seen.add(os.readlink(f"{PROCESSES}/{name}/cwd"))
    for directory in seen:
        process = process_of(directory)
        if process is not None:
            found[directory] = process
    return found
