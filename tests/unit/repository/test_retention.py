# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention as pure rules: what goes, what stays, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import retention
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.retention import (
    RetentionRule,
)

FULL = [f"2026010{day}-000000F" for day in range(1, 6)]


def entry(label, *, prior=None, db_id=1, stop=0, number=0, last=None, error=False, online=True):
    kind = {"F": "full", "D": "diff", "I": "incr"}[label[-1]]
    return BackupEntry(
        label=label,
        backup_type=kind,
        db_id=db_id,
        timestamp_start=stop - 1,
        timestamp_stop=stop,
        size=1,
        size_delta=1,
        repo_size=1,
        repo_size_delta=1,
        archive_start=f"{number:024X}" if online else None,
        archive_stop=f"{number if last is None else last:024X}" if online else None,
        prior=prior,
        error=error,
    )


def catalogue(*entries):
    return {row.label: row for row in entries}


def removed(current, rule, now=0):
    return [row.label for row in retention.backups(current, rule, now=now) if row.remove]


def test_nothing_goes_without_a_rule():
    current = catalogue(*(entry(label) for label in FULL))
    verdicts = retention.backups(current, RetentionRule(), now=0)
    assert not any(row.remove for row in verdicts)
    assert {row.reason for row in verdicts} == {"no retention of full backups is set"}


def test_count_keeps_the_newest_and_takes_dependents_along():
    diff, incr = f"{FULL[0]}_20260101-010000D", f"{FULL[0]}_20260101-020000I"
    current = catalogue(
        entry(FULL[0]), entry(diff, prior=FULL[0]), entry(incr, prior=diff), entry(FULL[1])
    )
    assert removed(current, RetentionRule(full=1)) == [FULL[0], diff, incr]
    reasons = {
        row.label: row.reason for row in retention.backups(current, RetentionRule(full=1), now=0)
    }
    assert reasons[FULL[0]] == "older than the newest 1 full backups"
    assert reasons[incr] == f"depends on {FULL[0]}"
    assert reasons[FULL[1]] == "within 1 newest full backups"


def test_time_keeps_the_newest_that_is_old_enough():
    day = retention.DAY
    current = catalogue(*(entry(label, stop=i * day) for i, label in enumerate(FULL)))
    # Now is day 5: days 0 to 2 are over two days old; the one of day 2 is needed to reach back.
    assert removed(current, RetentionRule(full=2, full_type="time"), now=5 * day) == FULL[:2]


def test_time_counts_full_backups_only():
    """An incremental one of an old full is old, too, and takes nobody's place."""
    day = retention.DAY
    incr = f"{FULL[0]}_20260102-010000I"
    current = catalogue(
        entry(FULL[0]), entry(incr, prior=FULL[0], stop=day), entry(FULL[2], stop=5 * day)
    )
    rule = RetentionRule(full=2, full_type="time")
    assert removed(current, rule, now=6 * day) == []
    assert retention.outdated(current, rule, now=6 * day) == [FULL[0]]


def test_diff_counts_fulls_but_removes_only_diffs():
    diffs = [f"{FULL[0]}_2026010{day}-010000D" for day in (1, 2, 3)]
    current = catalogue(entry(FULL[0]), *(entry(label, prior=FULL[0]) for label in diffs))
    assert removed(current, RetentionRule(diff=1)) == diffs[:2]


def test_the_last_good_backup_stays_while_newer_ones_have_damaged_pages():
    incr = f"{FULL[1]}_20260102-010000I"
    current = catalogue(
        entry(FULL[0]),
        entry(FULL[1]),
        entry(incr, prior=FULL[1]),
        entry(FULL[2], error=True),
        entry(FULL[3], error=True),
    )
    assert removed(current, RetentionRule(full=1)) == [FULL[0], FULL[2]]
    (reason,) = {
        row.reason
        for row in retention.backups(current, RetentionRule(full=1), now=0)
        if row.label in (FULL[1], incr)
    }
    assert reason == "newer backups have damaged pages"


def test_what_the_newest_backup_needs_stays_although_it_is_an_older_diff():
    diffs = [f"{FULL[0]}_2026010{day}-010000D" for day in (1, 2)]
    newest = f"{FULL[0]}_20260103-010000I"
    chain = [entry(label, prior=FULL[0]) for label in diffs]
    current = catalogue(entry(FULL[0]), *chain, entry(newest, prior=diffs[0]))
    verdicts = {row.label: row for row in retention.backups(current, RetentionRule(diff=1), now=0)}
    assert not any(row.remove for row in verdicts.values())
    assert verdicts[diffs[0]].reason == f"{newest} is the newest backup"


def test_only_what_the_last_good_backup_needs_stays_with_it():
    diff, incr = f"{FULL[0]}_20260101-010000D", f"{FULL[0]}_20260101-020000I"
    other = f"{FULL[0]}_20260101-005000I"
    current = catalogue(
        entry(FULL[0]),
        entry(other, prior=FULL[0]),
        entry(diff, prior=FULL[0]),
        entry(incr, prior=diff),
        entry(FULL[1], error=True),
    )
    assert removed(current, RetentionRule(full=1)) == [other]


def test_a_good_newer_backup_frees_the_older_ones():
    current = catalogue(entry(FULL[0]), entry(FULL[1], error=True), entry(FULL[2]))
    assert removed(current, RetentionRule(full=1)) == FULL[:2]


def test_all_wal_from_the_last_good_backup_on_stays():
    remaining = catalogue(entry(FULL[0], number=3), entry(FULL[1], number=9, error=True))
    verdict = retention.archive(remaining, RetentionRule(full=1), 1, current_id=1)
    assert not retention.keeps(verdict, f"{2:024X}")
    assert all(retention.keeps(verdict, f"{number:024X}") for number in (3, 5, 9, 10))


def test_the_oldest_full_goes_when_asked_but_never_the_last():
    current = catalogue(*(entry(label) for label in FULL))
    rule = retention.oldest(current, RetentionRule(full=9, full_type="time"))
    assert removed(current, rule) == FULL[:1]
    current = catalogue(entry(FULL[0]))
    assert removed(current, retention.oldest(current, RetentionRule())) == []


def test_manifests_of_former_backups():
    current = catalogue(entry(FULL[0]))
    names = [f"{label}.manifest.gz" for label in FULL] + ["notes.txt"]
    kept = retention.history(names, current, "20260103-120000")
    assert kept == [names[0], names[3], names[4], "notes.txt"]


def test_wal_before_the_oldest_kept_backup_goes():
    current = catalogue(entry(FULL[0], number=16), entry(FULL[1], number=32))
    verdict = retention.archive(current, RetentionRule(full=2), 1, current_id=1)
    assert not retention.keeps(verdict, f"{15:024X}")
    assert retention.keeps(verdict, f"{16:024X}")
    assert retention.keeps(verdict, f"{999:024X}")
    assert not retention.keeps(verdict, f"{15:024X}.00000028.backup")


def test_an_older_backup_keeps_what_makes_it_consistent():
    current = catalogue(
        entry(FULL[0], number=16, last=18), entry(FULL[1], number=32), entry(FULL[2], number=48)
    )
    verdict = retention.archive(current, RetentionRule(archive=1), 1, current_id=1)
    kept = [number for number in range(60) if retention.keeps(verdict, f"{number:024X}")]
    assert kept == [16, 17, 18, 32, *range(48, 60)]


def test_wal_after_a_newer_backup_of_a_lower_timeline_stays():
    """A copy was promoted and backed up into the stanza; the cluster never left its timeline."""
    lower, higher = 1 << 64, 2 << 64
    current = catalogue(
        entry(FULL[0], number=lower + 3, last=lower + 4),
        entry(FULL[1], number=higher + 16, last=higher + 17),
        entry(FULL[2], number=lower + 32, last=lower + 33),
    )
    for keep in (1, 2, 3):
        verdict = retention.archive(current, RetentionRule(archive=keep), 1, current_id=1)
        assert retention.keeps(verdict, f"{lower + 999:024X}")
        assert retention.keeps_directory(verdict, f"{lower + 999:024X}"[:16])
        assert retention.keeps(verdict, f"{higher + 999:024X}")
        assert not retention.keeps(verdict, f"{lower + 2:024X}")
    verdict = retention.archive(current, RetentionRule(archive=2), 1, current_id=1)
    kept = [number for number in range(40) if retention.keeps(verdict, f"{lower + number:024X}")]
    assert kept == [3, 4, *range(32, 40)]


def test_fewer_backups_than_the_rule_keeps_all_wal():
    verdict = retention.archive(
        catalogue(entry(FULL[0], number=16)), RetentionRule(full=2), 1, current_id=1
    )
    assert verdict.ranges is None
    assert retention.keeps(verdict, f"{1:024X}")


@pytest.mark.parametrize(("days", "old"), [(4, 0), (5, 1), (7, 3)])
def test_by_time_wal_goes_only_when_a_full_backup_is_too_old(days, old):
    current = catalogue(
        *(
            entry(label, stop=i * retention.DAY, number=16 + i * 16)
            for i, label in enumerate(FULL[:3])
        )
    )
    rule = RetentionRule(full=4, full_type="time")
    now = days * retention.DAY - 1
    too_old = retention.outdated(current, rule, now=now)
    assert too_old == FULL[:old]
    gone = removed(current, rule, now=now)
    remaining = {label: row for label, row in current.items() if label not in gone}
    verdict = retention.archive(remaining, rule, 1, current_id=1, too_old=too_old)
    first = min(int(row.archive_start, 16) for row in remaining.values())
    assert retention.keeps(verdict, f"{first:024X}")
    assert retention.keeps(verdict, f"{first - 1:024X}") is (old == 0)


@pytest.mark.parametrize(("current_id", "kept"), [(1, True), (2, False)])
def test_wal_without_any_backup_goes_only_with_a_former_cluster(current_id, kept):
    current = catalogue(entry(FULL[0], db_id=2, number=1))
    verdict = retention.archive(current, RetentionRule(full=1), 1, current_id=current_id)
    assert retention.keeps(verdict, f"{1:024X}") is kept


def test_a_former_cluster_keeps_its_wal_while_an_incremental_backup_needs_it():
    """Its full backup was made while the cluster was stopped, and tells of no WAL."""
    incr = f"{FULL[0]}_20260101-010000I"
    current = catalogue(
        entry(FULL[0], online=False), entry(incr, prior=FULL[0], number=5, last=6),
        entry(FULL[1], db_id=2, number=9),
    )  # fmt: skip
    for rule in (RetentionRule(full=2), RetentionRule(archive=1), RetentionRule(archive=3)):
        verdict = retention.archive(current, rule, 1, current_id=2)
        assert all(retention.keeps(verdict, f"{number:024X}") for number in (5, 6))


def test_wal_after_a_backup_of_a_stopped_cluster_stays():
    """As in pgBackRest: where what is needed begins is not known."""
    current = catalogue(entry(FULL[0], number=3), entry(FULL[1], online=False))
    verdict = retention.archive(current, RetentionRule(archive=1), 1, current_id=1)
    assert verdict.ranges is None
    assert verdict.reason == f"{FULL[1]} does not tell where the WAL after it begins"
    verdict = retention.archive(current, RetentionRule(archive=2), 1, current_id=1)
    assert not retention.keeps(verdict, f"{2:024X}")


def test_nothing_of_a_former_cluster_goes_while_there_are_fewer_backups_than_the_rule():
    current = catalogue(entry(FULL[0], db_id=2, number=1))
    verdict = retention.archive(current, RetentionRule(full=2), 1, current_id=2)
    assert verdict.ranges is None


labels = st.lists(st.integers(0, 27), min_size=1, max_size=12, unique=True).map(sorted)


@given(labels, st.integers(1, 5), st.sampled_from(["count", "time"]), st.integers(0, 40))
def test_the_newest_full_backup_always_stays(days, keep, kind, now):
    current = catalogue(
        *(
            entry(f"202601{day + 1:02d}-000000F", stop=day * retention.DAY, number=day)
            for day in days
        )
    )
    rule = RetentionRule(full=keep, full_type=kind)
    verdicts = retention.backups(current, rule, now=now * retention.DAY)
    assert not verdicts[-1].remove
    # What goes is always older than what stays.
    flags = [row.remove for row in verdicts]
    assert flags == sorted(flags, reverse=True)


@given(labels, st.integers(1, 5), st.integers(1, 5))
def test_all_wal_that_a_remaining_backup_needs_stays(days, keep, archive):
    current = catalogue(
        *(entry(f"202601{day + 1:02d}-000000F", number=day * 16, last=day * 16 + 3) for day in days)
    )
    rule = RetentionRule(full=keep, archive=archive)
    gone = {row.label for row in retention.backups(current, rule, now=0) if row.remove}
    remaining = {label: row for label, row in current.items() if label not in gone}
    verdict = retention.archive(remaining, rule, 1, current_id=1)
    for row in remaining.values():
        for number in range(int(row.archive_start, 16), int(row.archive_stop, 16) + 1):
            assert retention.keeps(verdict, f"{number:024X}")
            assert retention.keeps_directory(verdict, f"{number:024X}"[:16])


@st.composite
def trees(draw):
    """Full backups, and on each of them diffs and incrs, some of them with damaged pages, some
    made while the cluster was stopped; the cluster may have been upgraded between full backups.
    """
    rows, number, db_id = [], 0, 1
    for day in range(1, draw(st.integers(1, 4)) + 1):
        chain = []
        db_id += draw(st.booleans())
        for hour, kind in enumerate(["F", *draw(st.lists(st.sampled_from("DI"), max_size=4))]):
            number += 16
            label = f"202601{day:02d}-000000F"
            if kind != "F":
                label += f"_202601{day:02d}-{hour:02d}0000{kind}"
            # An incr continues whatever there is, a diff the full backup.
            prior = (
                None if kind == "F" else chain[0] if kind == "D" else draw(st.sampled_from(chain))
            )
            chain.append(label)
            rows.append(
                entry(
                    label,
                    prior=prior,
                    stop=day * retention.DAY + hour,
                    number=number,
                    last=number + draw(st.integers(0, 3)),
                    error=draw(st.booleans()),
                    online=draw(st.booleans()),
                    db_id=db_id,
                )
            )
    return catalogue(*rows)


rules = st.builds(
    RetentionRule,
    full=st.none() | st.integers(1, 4),
    full_type=st.sampled_from(["count", "time"]),
    diff=st.none() | st.integers(1, 4),
    archive=st.none() | st.integers(1, 4),
    archive_type=st.sampled_from(["full", "diff", "incr"]),
)
times = st.integers(0, 6 * retention.DAY)


@given(trees(), rules, times)
def test_whatever_stays_can_be_restored(current, rule, now):
    """No backup loses one that it depends on, nor WAL without which it is not consistent."""
    stay = {row.label for row in retention.backups(current, rule, now=now) if not row.remove}
    assert max(label for label in current if label.endswith("F")) in stay
    assert {current[label].prior for label in stay} - {None} <= stay
    # A backup without damaged pages, if there is one, is never given up for damaged ones.
    good = [label for label, row in current.items() if not row.error]
    assert not good or stay & set(good)
    remaining = {label: current[label] for label in stay}
    too_old = retention.outdated(current, rule, now=now)
    current_id = max(row.db_id for row in current.values())
    for row in remaining.values():
        verdict = retention.archive(
            remaining, rule, row.db_id, current_id=current_id, too_old=too_old
        )
        if row.archive_start is None:
            continue
        for number in range(int(row.archive_start, 16), int(row.archive_stop, 16) + 1):
            assert retention.keeps(verdict, f"{number:024X}")


@given(trees(), rules, times)
def test_what_has_been_expired_once_stays_as_it_is(current, rule, now):
    """A second run finds nothing: backups do not melt away with every expire."""
    verdicts = retention.backups(current, rule, now=now)
    remaining = {row.label: current[row.label] for row in verdicts if not row.remove}
    again = retention.backups(remaining, rule, now=now)
    assert not [row for row in again if row.remove]


@given(trees(), rules, times)
def test_every_verdict_has_a_reason(current, rule, now):
    verdicts = retention.backups(current, rule, now=now)
    assert [row.label for row in verdicts] == sorted(current)
    assert all(row.reason for row in verdicts)
