# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of verify: pgBackRest's lines, and what it does not look at below them."""

from __future__ import annotations

import json

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify.result import (
    NONE,
    ArchiveResult,
    BackupResult,
    Counts,
    Finding,
    Problem,
    Status,
    VerifyResult,
    render_json,
    render_text,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive import (
    WalRange,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.wal_gaps import Gap

FULL = "20261122-113137F"
GOOD_WAL = ArchiveResult("15-1", 5, 5)
GOOD_BACKUP = BackupResult(FULL, Status.VALID, 968, 968)
GOOD = VerifyResult("demo", 1, (), (GOOD_WAL,), (GOOD_BACKUP,))


def test_nothing_is_said_when_all_is_well_unless_asked():
    assert GOOD.ok
    assert render_text(GOOD, verbose=False) == ""


def test_the_text_of_pgbackrest():
    assert render_text(GOOD, verbose=True) == (
        "stanza: demo\n"
        "status: ok\n"
        "  archiveId: 15-1, total WAL checked: 5, total valid WAL: 5\n"
        "    missing: 0, checksum invalid: 0, size invalid: 0, other: 0\n"
        f"  backup: {FULL}, status: valid, total files checked: 968, total valid files: 968\n"
        "    missing: 0, checksum invalid: 0, size invalid: 0, other: 0\n"
    )


def test_without_verbose_only_what_is_wrong():
    bad = BackupResult(FULL, Status.INVALID, 968, 965, Counts(missing=1, checksum=2))
    finding = Finding(Problem.MISSING, f"backup/demo/{FULL}/pg_data/PG_VERSION", "PG_VERSION")
    result = VerifyResult("demo", 1, (), (GOOD_WAL,), (GOOD_BACKUP, bad), (finding,))
    assert not result.ok
    assert render_text(result, verbose=False) == (
        "stanza: demo\n"
        "status: error\n"
        f"  backup: {FULL}, status: invalid, total files checked: 968, total valid files: 965\n"
        "    missing: 1, checksum invalid: 2\n"
    )


def test_nothing_there():
    text = render_text(VerifyResult("demo", 1), verbose=True)
    assert text.endswith("  archiveId: none found\n  backup: none found\n")


def test_info_files_that_cannot_be_used_end_it():
    result = VerifyResult("demo", 1, ("no usable backup.info file",), checked_backups=False)
    assert render_text(result, verbose=True) == (
        "stanza: demo\nstatus: error\n  no usable backup.info file\n"
    )


GAP = Gap("000000010000000000000003", "000000010000000000000005", 3, None)


def test_a_gap_that_nothing_explains_is_an_error():
    archive = ArchiveResult("15-1", 5, 5, Counts(missing=3), gaps=(GAP,))
    result = VerifyResult("demo", 1, (), (archive,), (GOOD_BACKUP,))
    assert not result.ok
    text = render_text(result, verbose=False)
    assert "    WAL gap: 000000010000000000000003 to 000000010000000000000005\n" in text


def test_a_gap_of_retention_is_none_and_shown_only_when_asked():
    archive = ArchiveResult("15-1", 5, 5, gaps=(GAP._replace(reason="retention"),))
    result = VerifyResult("demo", 1, (), (archive,), (GOOD_BACKUP,))
    assert result.ok
    assert "WAL gap" not in render_text(result, verbose=False)
    assert "0005 (retention)" in render_text(result, verbose=True)


def test_wal_that_a_backup_needs_is_named():
    span = WalRange("00000001000000000000000A", "00000001000000000000000A")
    bad = BackupResult(FULL, Status.INVALID, 9, 9, NONE, (span,))
    text = render_text(VerifyResult("demo", 1, (), (), (bad,)), verbose=False)
    assert "    WAL needed but missing: 00000001000000000000000A\n" in text


def test_a_segment_that_is_stored_twice_is_an_error():
    archive = ArchiveResult("15-1", 6, 4, duplicates=("00000001000000000000000A",))
    result = VerifyResult("demo", 1, (), (archive,))
    assert not result.ok
    assert "duplicate WAL: 00000001000000000000000A" in render_text(result, verbose=False)


def test_json_says_the_same_and_names_the_files():
    finding = Finding(Problem.CHECKSUM, "backup/demo/x/bundle/1", "pg_data/base/1/2", "too short")
    content = json.loads(
        render_json(VerifyResult("demo", 2, ("bad",), (GOOD_WAL,), (), (finding,)))
    )
    assert content["status"] == "error"
    assert content["repo"] == 2
    assert content["archives"][0]["valid"] == 5
    assert content["files"] == [
        {
            "path": "backup/demo/x/bundle/1",
            "name": "pg_data/base/1/2",
            "problem": "checksum",
            "message": "too short",
        }
    ]


@pytest.mark.parametrize("problem", list(Problem))
def test_each_problem_has_a_count(problem):
    assert getattr(NONE.plus(problem, 2), problem.name.lower()) == 2
    assert NONE.plus(problem).total == 1
