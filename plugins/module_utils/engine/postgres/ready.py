# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL has ready for the archive: ``pg_wal/archive_status/*.ready``."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from . import wal

_READY = ".ready"


def wal_directory(pg_path: str) -> str:
    """The WAL directory of a cluster; before PostgreSQL 10 it had another name."""
    old = os.path.join(pg_path, "pg_xlog")
    return old if os.path.isdir(old) else os.path.join(pg_path, "pg_wal")


class Ready(t.NamedTuple):
    """A look at the directory."""

    names: frozenset[str]
    oldest: float | None
    """When the oldest of them became ready, in seconds of the epoch."""


def scan(pg_path: str) -> Ready:
    """The files that wait for the archive; none while no server runs on the directory.

    Without a server nobody has decided that they are to be archived: it may be what is left of a
    primary that another one has replaced.
    """
    if not _is_running(pg_path):
        return Ready(frozenset(), None)
    names = set()
    oldest: float | None = None
    try:
        with os.scandir(os.path.join(wal_directory(pg_path), "archive_status")) as entries:
            for entry in entries:
                name, suffix = os.path.splitext(entry.name)
                if suffix != _READY or not wal.is_wal(name):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    since = entry.stat().st_mtime
                    oldest = since if oldest is None else min(oldest, since)
                    names.add(name)
    except FileNotFoundError:
        return Ready(frozenset(), None)
    return Ready(frozenset(names), oldest)


def since(pg_path: str, name: str) -> float:
    """For how many seconds a file has been ready; 0 when it no longer is."""
    status = os.path.join(wal_directory(pg_path), "archive_status", name + _READY)
    try:
        return max(0.0, time.time() - os.stat(status).st_mtime)
    except OSError:
        return 0.0


def overflows(names: t.Iterable[str], segment_size: int, maximum: int | None) -> bool:
    """Whether what waits for the archive is more than ``maximum`` bytes (None: it never is).

    ``segment_size`` in bytes is that of the cluster. Only WAL counts: what else there is, is small.
    """
    if maximum is None:
        return False
    return sum(map(holds_wal, names)) * segment_size > maximum


def holds_wal(name: str) -> bool:
    """Whether a file is a segment, complete or not; false for a history or a label."""
    return wal.is_segment(name) or wal.is_partial(name)


def _is_running(pg_path: str) -> bool:
    try:
        with open(os.path.join(pg_path, "postmaster.pid"), encoding="ascii") as file:
            pid = int(file.readline())
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
