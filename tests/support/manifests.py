# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest with as little in it as there can be, and files for it."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.manifest import (
    BackupFacts,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestOptions,
    ManifestPath,
    Target,
)

LABEL = "20261122-110720F"
SHA1 = "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"
SHA2 = "7c211433f02071597741e6ff5a8ea34789abbf43"


def file(name: str, **changes: t.Any) -> ManifestFile:
    """A row of 8 KiB, but for ``changes``."""
    base = ManifestFile(name, 8192, 100, 1795345637, 0o600, "postgres", "postgres", SHA1, SHA2)
    return base._replace(**changes)


def example(files: t.Sequence[ManifestFile] = (), **changes: t.Any) -> Manifest:
    """Of a full backup, but for ``changes``."""
    base = Manifest(
        backup=BackupFacts(LABEL, "full", 10, 12, 13, (LABEL,)),
        db=ManifestDb(1, 7710950800232444755, "15", 202209061, 1300),
        options=ManifestOptions(compress_type="zst", compress_level=3),
        targets=[Target("pg_data", "path", "/srv/pg/data")],
        files=list(files) or [file("pg_data/PG_VERSION")],
        paths=[ManifestPath("pg_data", 0o750, "postgres", "postgres")],
    )
    return dataclasses.replace(base, **changes)
