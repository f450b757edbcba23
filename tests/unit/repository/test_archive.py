# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding WAL in the archive."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import archive
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive import (
    WalRange,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage


def test_wal_ranges(tmp_path: Path) -> None:
    storage = PosixStorage(str(tmp_path))
    sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    base = "archive/demo/15-1"
    names = (
        "0000000100000000/000000010000000000000001.partial-" + sha1,
        "0000000100000001/000000010000000100000004-" + sha1 + ".zst",
        "0000000100000001/000000010000000100000003-" + sha1,
        "0000000100000001/000000010000000100000002-" + sha1 + ".pgbackrest.tmp",
        "0000000200000001/000000020000000100000005-" + sha1 + ".gz",
        "0000000200000002/000000020000000200000000.00000028.backup",
        "00000002.history",
        "0000000A.history",
    )
    for name in names:
        storage.write(f"{base}/{name}", b"")
    storage.make_path("archive/demo/17-2/0000000100000000")
    storage.make_path("archive/demo/9.6-10")
    storage.write("archive/demo/archive.info", b"")
    ids = archive.archive_ids(storage, "demo")
    assert ids == ["15-1", "17-2", "9.6-10"]
    assert archive.wal_ranges(storage, "demo", [*ids, "18-9"]) == {
        "15-1": WalRange("000000010000000100000003", "000000020000000100000005"),
        "17-2": None,
        "9.6-10": None,
        "18-9": None,
    }
    assert archive.timelines(storage, "demo", "15-1") == [2, 10]
    assert archive.timelines(storage, "demo", "17-2") == []


def test_finding_segments(tmp_path: Path) -> None:
    storage = PosixStorage(str(tmp_path))
    one, two = "a" * 40, "b" * 40
    segment = "000000010000000000000001"
    base = "archive/demo/15-1/0000000100000000"
    found = archive.Archive(storage, "demo")
    assert found.missing("15-1", [segment]) == [segment]
    storage.write(f"{base}/{segment}-{one}.zst", b"123")
    storage.write(f"{base}/{segment}-{two}", b"")
    storage.write(f"{base}/{segment}.partial-{two}.gz", b"")
    # What was listed once is not listed again until it is forgotten.
    assert found.find("15-1", segment) == []
    found.forget()
    assert [(row.sha1, row.size) for row in found.find("15-1", segment)] == [(one, 3), (two, 0)]
    (partial,) = found.find("15-1", segment + ".partial")
    assert partial.path == f"{base}/{segment}.partial-{two}.gz"
    other = "000000010000000100000001"
    assert found.missing("15-1", [other, segment]) == [other]


def test_segment_names() -> None:
    sha1 = "c" * 40
    segment = "00000001000000000000000A"
    assert archive.parse_segment(f"{segment}-{sha1}.lz4") == (segment, sha1, ".lz4")
    parsed = archive.parse_segment(f"{segment}.partial-{sha1}")
    assert parsed is not None
    assert parsed.is_partial
    for name in (segment, f"{segment}-{sha1}.rar", f"{segment}-{sha1}.zst.pgbackrest.tmp"):
        assert archive.parse_segment(name) is None
