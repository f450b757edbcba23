# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers run on this host, and in which data directories.

A postmaster.pid that was left behind names a number, which any process may have by now: in a
container it is mostly 1. A server works in its data directory, by which it is told from others.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ...errors import PostgresRunningError

PROCESSES = "/proc"

# In the names of servers' programs, which the kernel cuts to 15 characters.
_SERVERS = ("postgres", "postmaster")


def refuse_running(pg_data: str) -> None:
    """PostgresRunningError when a server runs in the directory, or did not end cleanly there."""
    if not os.path.lexists(f"{pg_data}/postmaster.pid"):
        return
    process, named = process_of(pg_data), _named(pg_data)
    if process is not None:
        hint = f"process {process}{_called(process)} is running: stop the server first."
    elif named is not None:
        hint = (
            f"'{pg_data}/postmaster.pid' names process {named}, which is another one"
            f"{_called(named)}: if no server runs there, in a container or on another host either,"
            " remove the file and try again."
        )
    else:
        hint = (
            f"no process of '{pg_data}/postmaster.pid' is running on this host: if none runs on"
            " another one either, remove the file and try again."
        )
    raise PostgresRunningError(
        f"unable to restore while PostgreSQL is running in '{pg_data}'", hint=hint
    )


def process_of(pg_data: str) -> int | None:
    """The process of the server in a data directory with a postmaster.pid, when there is one.

    It is the one that the file names, unless that surely is none of this directory. Then one is
    looked for that works there: a server in a container has another number on its host, and the
    server's processes may have outlived it.
    """
    named = _named(pg_data)
    if named is not None and not _is_another(named, pg_data):
        return named
    if not os.path.lexists(f"{pg_data}/postmaster.pid"):
        return None
    found = (process for process in _processes() if _is_server(process))
    return next((process for process in found if _works_in(process, pg_data)), None)


def data_directories() -> dict[str, int]:
    """The data directories of the servers that run here, each with its process.

    A server works in its data directory. Those of other users are not seen, unless by root; nobody
    else could write to their files either.
    """
    found: dict[str, int] = {}
    seen = set()
    for process in _processes():
        with contextlib.suppress(OSError):
            seen.add(os.readlink(f"{PROCESSES}/{process}/cwd"))
    for directory in seen:
        server = process_of(directory)
        if server is not None:
            found[directory] = server
    return found


def _named(pg_data: str) -> int | None:
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


def _processes() -> t.Iterator[int]:
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listdir(PROCESSES)
    return (int(name) for name in names if name.isdigit())


def _is_another(process: int, pg_data: str) -> bool:
    """Whether a process surely is no server of the directory, by where it works or else its name.

    Both are unknown where the kernel hides processes, and where they are of another user.
    """
    works = _works_in(process, pg_data)
    if works is None:
        return _name(process) is not None and not _is_server(process)
    return not works


def _works_in(process: int, directory: str) -> bool | None:
    """None when that cannot be seen. By the file system: a container has other paths."""
    try:
        return os.path.samefile(f"{PROCESSES}/{process}/cwd", directory)
    except OSError:
        return None


def _is_server(process: int) -> bool:
    return any(word in (_name(process) or "") for word in _SERVERS)


def _name(process: int) -> str | None:
    try:
        with open(f"{PROCESSES}/{process}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _called(process: int) -> str:
    name = _name(process)
    return "" if name is None else f" ('{name}')"
