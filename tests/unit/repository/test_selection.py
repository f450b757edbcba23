# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup a target chooses."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.goal import Goal, goal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import selection
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupEntry,
    BackupInfo,
)


def entry(label, stop, lsn, db_id=2):
    return BackupEntry(
        label, "full", db_id, stop - 10, stop, 1, 1, 1, 1,
        "000000010000000000000002", "000000010000000000000003", "0/2000028", lsn,
    )  # fmt: skip


BACKUPS = [
    entry("20260101-000000F", 900, "0/1000100", db_id=1),
    entry("20260102-000000F", 1000, "0/3000100"),
    entry("20260103-000000F", 2000, "0/5000100"),
    entry("20260104-000000F", 3000, "0/7000100"),
]
INFO = BackupInfo(
    (BackupDb(1, 6, "15", 1, 1), BackupDb(2, 7, "15", 1, 1)), 2, {row.label: row for row in BACKUPS}
)


def labels(aim, wanted=None, info=INFO):
    return [row.label[:8] for row in selection.candidates(info, aim, wanted)]


def at(moment):
    return Goal("time", "then", time=moment)


@pytest.mark.parametrize("kind", ["default", "immediate", "name", "xid", "standby", "none"])
def test_without_a_time_or_a_position_it_is_the_newest(kind):
    assert labels(Goal(kind, "7")) == ["20260104"]
    assert labels(Goal(kind, "7"), "latest") == ["20260104"]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (9999, ["20260104", "20260103", "20260102"]),
        (3001, ["20260104", "20260103", "20260102"]),
        # Strictly before: the end of the backup may be later in the same second.
        (3000, ["20260103", "20260102"]),
        (1001, ["20260102"]),
    ],
)
def test_a_time_takes_the_newest_that_was_complete_before(moment, expected):
    assert labels(at(moment)) == expected


@pytest.mark.parametrize(
    ("lsn", "expected"),
    [("0/7000100", "20260104"), ("0/70000FF", "20260103"), ("0/3000100", "20260102")],
)
def test_a_position_takes_the_newest_that_was_complete_there(lsn, expected):
    assert labels(goal("lsn", lsn))[0] == expected


def test_nothing_early_enough():
    with pytest.raises(errors.BackupSetInvalidError, match="stop time less than 'then'") as caught:
        # A former cluster does not count.
        labels(at(950))
    assert caught.value.code == 75
    with pytest.raises(errors.BackupSetInvalidError, match="lsn less than or equal to '0/3000000'"):
        labels(goal("lsn", "0/3000000"))


def test_a_backup_without_a_position_is_not_chosen_by_one():
    backups = {row.label: dataclasses.replace(row, lsn_stop=None) for row in BACKUPS}
    info = dataclasses.replace(INFO, backups=backups)
    with pytest.raises(errors.BackupSetInvalidError):
        labels(goal("lsn", "0/7000100"), info=info)


def test_a_time_that_is_not_understood_needs_a_label():
    with pytest.raises(errors.BackupSetInvalidError, match="provided time 'tomorrow'") as caught:
        labels(goal("time", "tomorrow"))
    assert "YYYY-MM-DD" in caught.value.hint
    assert labels(goal("time", "tomorrow"), "20260103-000000F") == ["20260103"]


def test_a_label_counts_whatever_its_age():
    assert labels(Goal("default"), "20260101-000000F") == ["20260101"]
    with pytest.raises(errors.BackupSetInvalidError, match="backup set x is not valid"):
        labels(Goal("default"), "x")


def test_a_target_before_the_end_of_the_named_backup_is_refused():
    with pytest.raises(errors.BackupSetInvalidError, match="complete 1970-01-01 00:50:00"):
        labels(at(2999), "20260104-000000F")
    assert labels(at(3000), "20260104-000000F") == ["20260104"]
    with pytest.raises(errors.BackupSetInvalidError, match="at 0/7000100"):
        labels(goal("lsn", "0/70000FF"), "20260104-000000F")
    assert labels(goal("lsn", "0/7000100"), "20260104-000000F") == ["20260104"]


def test_no_backup_and_only_a_former_cluster():
    with pytest.raises(errors.BackupSetInvalidError, match="no backup set found"):
        labels(Goal("default"), info=dataclasses.replace(INFO, backups={}))
    only_former = dataclasses.replace(INFO, backups={BACKUPS[0].label: BACKUPS[0]})
    with pytest.raises(errors.BackupSetInvalidError, match="former cluster"):
        labels(Goal("default"), info=only_former)
