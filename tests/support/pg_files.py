# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of PostgreSQL that no server wrote: pg_control, WAL, a data directory with little in it."""

from __future__ import annotations

import os
import struct
import typing as t
from pathlib import Path

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    releases,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.releases import Release

SYSTEM_ID = 7711080140707770482
SEGMENT_SIZE = 1 << 20


def control_file(release: Release, **changes: int) -> bytes:
    """A pg_control as that release writes it."""
    values = {
        "system_id": SYSTEM_ID,
        "state": 6,
        "checkpoint": 0x3000060,
        "redo": 0x3000028,
        "timeline": 3,
        "min_recovery_point": 0x2000100,
        "backup_start_point": 0x1000028,
        "page_size": 8192,
        "segment_pages": 131072,
        "wal_segment_size": 16 << 20,
        "data_checksums": 1,
        **changes,
    }
    data = bytearray(8192)
    struct.pack_into(
        "<QII", data, 0, values["system_id"], release.control_version, release.catalog_version
    )
    struct.pack_into("<I", data, 16, values["state"])
    struct.pack_into("<Q", data, 32, values["checkpoint"])
    for name in ("redo", "min_recovery_point", "backup_start_point"):
        struct.pack_into("<Q", data, getattr(release, name), values[name])
    for name in ("timeline", "page_size", "wal_segment_size", "data_checksums"):
        struct.pack_into("<I", data, getattr(release, name), values[name])
    struct.pack_into("<I", data, release.page_size + 4, values["segment_pages"])
    struct.pack_into("<I", data, release.crc, control.crc32c(bytes(data[: release.crc])))
    return bytes(data)


def segment(release: Release, fill: bytes = b"", *, timeline: int = 1) -> bytes:
    """A segment of WAL of 1 MiB: a first page's header, and bytes that no server would read."""
    header = struct.pack(
        "<HHIQQQII",
        release.wal_magic,
        2,
        timeline,
        0,
        0,
        SYSTEM_ID,
        SEGMENT_SIZE,
        8192,
    )
    return (header + fill).ljust(SEGMENT_SIZE, b"\0")


class DataDirectory:
    """What archive-push and archive-get look at in the data directory of a running server."""

    def __init__(self, path: Path, version: str = "15") -> None:
        self.path = path
        self.release = releases.of_name(version)
        for name in ("global", "pg_wal/archive_status"):
            (path / name).mkdir(parents=True)
        (path / "global" / "pg_control").write_bytes(
            control_file(self.release, wal_segment_size=SEGMENT_SIZE)
        )
        (path / "postmaster.pid").write_text(f"{os.getpid()}\n")

    def ready(self, names: t.Iterable[str]) -> list[Path]:
        """Write segments that wait for the archive."""
        return [self.wal(name) for name in names]

    def wal(self, name: str, data: bytes | None = None) -> Path:
        """Write one file of WAL that waits for the archive."""
        path = self.path / "pg_wal" / name
        path.write_bytes(segment(self.release, name.encode()) if data is None else data)
        (self.path / "pg_wal" / "archive_status" / f"{name}.ready").touch()
        return path
