# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory that a test fills as it likes, and what a scan for a backup finds in it."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import datadir
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    DataDirectory,
)

CATALOG = 202209061
VERSION_DIRECTORY = f"PG_15_{CATALOG}"


class Tree:
    """A data directory in the making."""

    def __init__(self, root: Path) -> None:
        self.root = root / "data"
        self.outside = root / "outside"
        self.outside.mkdir()
        for name in ("base/5", "global", "pg_wal/archive_status", "pg_xact", "pg_tblspc"):
            (self.root / name).mkdir(parents=True)
        self.root.chmod(0o700)

    def file(self, *names: str, content: bytes = b"x") -> None:
        """Make files, and the directories above them."""
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def tablespace(self, oid: int = 16384, name: str = "ts1") -> Path:
        """Make a tablespace; its directory of this version."""
        place = self.outside / name
        (place / VERSION_DIRECTORY / "5").mkdir(parents=True)
        (self.root / "pg_tblspc" / str(oid)).symlink_to(place)
        return place / VERSION_DIRECTORY

    def scan(self, version: str = "15", **options: t.Any) -> DataDirectory:
        """What a backup would take, of a running server."""
        options = {"online": True, "catalog_version": CATALOG, **options}
        return datadir.scan(str(self.root), version=version, **options)

    def files(self, **options: t.Any) -> list[str]:
        """The names of the files that a scan finds."""
        return [entry.name for entry in self.scan(**options).files]

    def paths(self, **options: t.Any) -> list[str]:
        """The names of the directories that a scan finds."""
        return [entry.name for entry in self.scan(**options).paths]
