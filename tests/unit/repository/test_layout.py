# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Path names."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import layout

SEGMENT = "00000001000000A20000003C"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def test_archive_names() -> None:
    assert layout.archive_info("demo") == "archive/demo/archive.info"
    assert layout.copy_of(layout.archive_info("demo")) == "archive/demo/archive.info.copy"
    base = "archive/demo/15-1"
    assert layout.archive_id_path("demo", "15-1") == base
    assert (
        layout.segment_path("demo", "15-1", SEGMENT, SHA1, ".zst")
        == f"{base}/00000001000000A2/{SEGMENT}-{SHA1}.zst"
    )
    assert (
        layout.segment_path("demo", "15-1", SEGMENT + ".partial", SHA1)
        == f"{base}/00000001000000A2/{SEGMENT}.partial-{SHA1}"
    )
    assert (
        layout.wal_file_path("demo", "15-1", SEGMENT + ".00000028.backup")
        == f"{base}/00000001000000A2/{SEGMENT}.00000028.backup"
    )
    assert layout.wal_file_path("demo", "15-1", "00000002.history") == f"{base}/00000002.history"


def test_backup_names() -> None:
    label = "20261122-110720F_20261122-110724I"
    base = f"backup/demo/{label}"
    assert layout.backup_info("demo") == "backup/demo/backup.info"
    assert layout.latest_path("demo") == "backup/demo/latest"
    assert layout.label_path("demo", label) == base
    assert layout.manifest_path("demo", label) == f"{base}/backup.manifest"
    assert (
        layout.history_manifest_path("demo", label)
        == f"backup/demo/backup.history/2026/{label}.manifest.gz"
    )
    assert layout.bundle_path("demo", label, 12) == f"{base}/bundle/12"
    assert (
        layout.data_path("demo", label, "pg_data/PG_VERSION", ".gz")
        == f"{base}/pg_data/PG_VERSION.gz"
    )
    assert layout.block_path("demo", label, "pg_data/base/5/1") == f"{base}/pg_data/base/5/1.pgbi"


@pytest.mark.parametrize(
    ("name", "parts"),
    [("15-1", ("15", 1)), ("9.6-12", ("9.6", 12)), ("15", None), ("15-", None), ("x-1", None)],
)
def test_archive_ids(name: str, parts: tuple[str, int] | None) -> None:
    assert layout.parse_archive_id(name) == parts
    if parts is not None:
        assert layout.archive_id(*parts) == name


def test_segment_directories() -> None:
    assert layout.is_segment_directory("00000001000000A2")
    assert not layout.is_segment_directory("00000001000000a2")
    assert not layout.is_segment_directory("00000001")
