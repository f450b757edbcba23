# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an expire tells of a dry run."""

from __future__ import annotations

import dataclasses

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.expire_report import (
    ExpireReport,
    ExpireResult,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.expire_wal import (
    RemovedWal,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.retention import (
    ArchiveVerdict,
    Verdict,
    WalRange,
)

RESULT = ExpireResult(
    repo=2,
    verdicts=(Verdict("A", True, "too old"), Verdict("B", False, "new enough")),
    archives={
        "15-1": ArchiveVerdict((WalRange("03", "04", "of B"), WalRange("06", None, "on")), "WAL"),
        "16-2": ArchiveVerdict(None, "no backup yet"),
    },
    removed_wal=(RemovedWal("15-1", "01", "02"), RemovedWal("15-1", "05", "05")),
    removed_timelines=("archive/demo/15-1/00000002.history",),
    removed_history=("backup/demo/backup.history/2020",),
    removed_directories=("C",),
    relisted=("D",),
    dry_run=True,
)


def test_each_thing_is_told_with_its_reason():
    assert ExpireReport((RESULT,), dry_run=True).text.splitlines() == [
        "repo2: remove backup A: too old",
        "repo2: keep   backup B: new enough",
        "repo2: remove backup C: its directory is that of no backup",
        "repo2: put right backup.info: D",
        "repo2: keep   WAL 15-1 03 to 04: of B",
        "repo2: keep   WAL 15-1 from 06: on",
        "repo2: remove WAL 15-1 01 to 02: WAL",
        "repo2: remove WAL 15-1 05 to 05: WAL",
        "repo2: keep   WAL 16-2, all of it: no backup yet",
        "repo2: remove history archive/demo/15-1/00000002.history",
        "repo2: remove history backup/demo/backup.history/2020",
        "nothing was removed: this is a dry run",
    ]


def test_a_real_run_is_told_by_its_log():
    done = dataclasses.replace(RESULT, dry_run=False)
    assert ExpireReport((done,), dry_run=False).text == ""
    assert ExpireReport((done,), dry_run=False).changed
