# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an incremental backup reads, and what it only refers to."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import plan
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    DataDirectory,
    FileEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import contents
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.bundle import (
    BundleRule,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    Framing,
)

FULL = "20260101-000000F"
SHA1 = "1" * 40
TABLE = "pg_data/base/5/1259"


def entry(name=TABLE, size=8192, mtime=1000, **changes):
    row = FileEntry(name, size, mtime, 0o600, "postgres", "postgres", True, True)
    return row._replace(**changes)


def prior(*files, bundle=True):
    rows = [
        contents.ManifestFile(
            name, size, size // 2, mtime, 0o600, "old", "old", SHA1, reference=reference
        )
        for name, size, mtime, reference in files
    ]
    return contents.Manifest(
        backup=contents.BackupFacts(FULL, "full", 1, 2, 3, (FULL,), bundle=bundle),
        db=contents.ManifestDb(1, 2, "15", 3, 4),
        options=contents.ManifestOptions(),
        targets=[],
        files=rows,
        paths=[],
    )


def compare(entries, before, *, delta=False):
    referenced, candidates = plan.compare(DataDirectory("/d", files=entries), before, delta=delta)
    return sorted(referenced), sorted(candidates)


def test_a_full_backup_refers_to_nothing():
    assert compare([entry()], None) == ([], [])


def test_same_size_and_time_is_a_reference_without_reading():
    assert compare([entry()], prior((TABLE, 8192, 1000, None))) == ([TABLE], [])


def test_another_time_is_decided_by_checksum_when_the_file_is_small():
    assert compare([entry(mtime=2000)], prior((TABLE, 8192, 1000, None))) == ([], [TABLE])
    big = plan.CHUNK + 8192
    assert compare([entry(size=big, mtime=2000)], prior((TABLE, big, 1000, None))) == ([], [])


def test_delta_trusts_no_time():
    big = plan.CHUNK + 8192
    assert compare([entry(size=big)], prior((TABLE, big, 1000, None)), delta=True) == ([], [TABLE])


def test_a_large_file_is_looked_at_that_was_recorded_a_second_early():
    """Its copy may lack something, but most likely does not."""
    big = plan.CHUNK + 8192
    before = prior((TABLE, big, 999, None))
    assert compare([entry(size=big, mtime=1000)], before) == ([], [TABLE])


def test_the_time_of_what_a_standby_may_not_have_had_is_not_trusted():
    """The real tool records it as it is."""
    conf = "pg_data/postgresql.conf"
    big = plan.CHUNK + 8192
    before = prior((TABLE, big, 1000, None), (conf, 8192, 1000, None))
    entries = [entry(size=big), entry(conf)]
    for standby, begin, doubted in ((True, 1000, True), (True, 1002, False), (False, 1000, False)):
        made = dataclasses.replace(
            before,
            backup=dataclasses.replace(before.backup, timestamp_start=begin),
            options=dataclasses.replace(before.options, backup_standby=standby),
        )
        expected = ([conf], [TABLE]) if doubted else ([TABLE, conf], [])
        assert compare(entries, made) == expected


def test_another_size_is_stored():
    assert compare([entry(size=16384)], prior((TABLE, 8192, 1000, None))) == ([], [])


def test_pg_control_is_always_copied():
    before = prior((contents.PG_CONTROL, 8192, 1000, None))
    assert compare([entry(contents.PG_CONTROL)], before) == ([], [])


def test_an_empty_file_is_a_reference_only_where_it_is_stored():
    file = ("pg_data/empty", 0, 1000, None)
    assert compare([entry("pg_data/empty", 0)], prior(file)) == ([], [])
    assert compare([entry("pg_data/empty", 0)], prior(file, bundle=False)) == (
        ["pg_data/empty"],
        [],
    )


def test_a_reference_names_the_holder_and_has_todays_attributes():
    older = "20251231-000000F"
    row = prior((TABLE, 8192, 1000, older)).files[0]
    made = plan.reference(entry(mtime=5000, mode=0o640), row, FULL)
    assert (made.reference, made.timestamp, made.mode, made.user) == (
        older,
        5000,
        0o640,
        "postgres",
    )
    assert (made.checksum, made.repo_size) == (SHA1, 4096)
    row = row._replace(reference=None)
    assert plan.reference(entry(), row, FULL).reference == FULL


PAGES = plan.Pages(8192, 131072)


def jobs(entries, *, standby=None, rule=None, pages=PAGES, fresh=(), before=None, kept=None):
    store = plan.Layout("demo", FULL, Encoding("zst", 3), rule, Framing.WHOLE)
    return plan.plan(
        DataDirectory("/d", files=entries),
        store,
        primary=1,
        standby=standby,
        pages=pages,
        prior=before,
        delta=False,
        kept=kept or plan.NOTHING_KEPT,
        replayed_from=77,
        fresh=fresh,
    )


def test_what_is_a_reference_or_was_kept_is_not_read_again():
    others = [f"pg_data/base/5/{name}" for name in (1, 2)]
    entries = [entry(), *map(entry, others)]
    kept = plan.Kept({others[0]: prior((others[0], 8192, 1000, None)).files[0]}, {}, 1)
    made = jobs(entries, before=prior((TABLE, 8192, 1000, None)), kept=kept)
    assert [f.name for job in made.jobs[1] for f in job.files] == others[1:]
    assert sorted(made.referenced) == sorted([TABLE, others[0]])
    assert made.size == 8192


def test_relation_files_come_from_the_standby_and_the_rest_from_the_primary():
    conf = entry("pg_data/postgresql.conf", page_check=False, fixed_size=False)
    made = jobs([entry(), conf, entry(contents.PG_CONTROL)], standby=2)
    names = {node: [f.name for job in rows for f in job.files] for node, rows in made.jobs.items()}
    assert names == {1: ["pg_data/postgresql.conf"], 2: [TABLE]}


def test_bundles_of_both_nodes_have_numbers_of_their_own():
    conf = entry("pg_data/postgresql.conf", page_check=False)
    made = jobs([entry(), conf], standby=2, rule=BundleRule(20 << 20, 2 << 20))
    assert sorted(job.bundle_id for rows in made.jobs.values() for job in rows) == [1, 2]


def test_only_relation_files_are_bounded_and_checked():
    conf = entry("pg_data/postgresql.conf", page_check=False, fixed_size=False)
    second = entry("pg_data/base/5/1259.1")
    files = {f.name: f for job in jobs([entry(), conf, second]).jobs[1] for f in job.files}
    assert files[TABLE].limit == 8192
    assert files[TABLE].pages == (8192, 0, 77)
    assert files["pg_data/base/5/1259.1"].pages == (8192, 131072, 77)
    assert (files["pg_data/postgresql.conf"].limit, files["pg_data/postgresql.conf"].pages) == (
        None,
        None,
    )
    unchecked = jobs([entry()], pages=None).jobs[1][0].files[0]
    assert unchecked.pages is None


def test_files_of_the_second_of_the_scan_come_last():
    entries = [entry(f"pg_data/base/5/{name}", mtime=name) for name in (2002, 1999, 2000, 1000)]
    (queue,) = jobs(
        entries, rule=BundleRule(20 << 20, 2 << 20), fresh=range(2000, 2003)
    ).jobs.values()
    names = [({f.name.rpartition("/")[2] for f in job.files}, job.fresh) for job in queue]
    assert names == [({"1000", "1999"}, False), ({"2000", "2002"}, True)]
    assert [job.bundle_id for job in queue] == [1, 2]


@pytest.mark.parametrize("resumed", [False, True])
def test_pages_that_were_not_found_good_are_checked_where_the_bytes_are_the_same(resumed):
    row = prior((TABLE, 8192, 999, None)).files[0]
    for valid, pages, expected in (
        (None, PAGES, None),
        (True, PAGES, SHA1),
        (False, PAGES, SHA1),
        (None, None, SHA1),
    ):
        old = row._replace(page_valid=valid)
        if resumed:
            made = jobs([entry()], pages=pages, kept=plan.Kept({}, {TABLE: old}, 1))
        else:
            before = dataclasses.replace(prior(), files=[old])
            made = jobs([entry()], pages=pages, before=before)
        (file,) = made.jobs[1][0].files
        assert file.unchanged == expected
        assert (TABLE in made.candidates) == (expected is not None)
