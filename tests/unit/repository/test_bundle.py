# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files share a job or a bundle, and in which order."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.bundle import (
    BATCH_FILES,
    BATCH_SIZE,
    BUNDLE_FILES,
    BundleRule,
    Kind,
    plan,
    queue_of,
    shared,
)

RULE = BundleRule(size=100, limit=50)
MIB = 1024 * 1024


class File(t.NamedTuple):
    name: str
    size: int
    timestamp: int = 0


def names(jobs: t.Iterable[t.Any]) -> list[list[str]]:
    return [[file.name for file in job.files] for job in jobs]


def test_queues() -> None:
    assert queue_of("pg_data/base/5/1") == "pg_data"
    assert queue_of("pg_data/PG_VERSION") == "pg_data"
    assert queue_of("pg_tblspc/16384/PG_15_202209061/5/1") == "pg_tblspc/16384"


@pytest.mark.parametrize(
    ("total", "processes", "each"),
    [
        (22, 1, 20),
        (22, 2, 11),
        (32, 16, 2),
        (3, 16, 1),
        (40, 2, 20),
        # Two rounds of two, instead of three that take as long.
        (60, 2, 15),
        (4000, 2, 20),
    ],
)
def test_all_processes_have_bundles(total: int, processes: int, each: int) -> None:
    files = [File(f"pg_data/{number}", MIB) for number in range(total)]
    rule = BundleRule(20 * MIB, 2 * MIB)
    size = shared([*files, File("pg_data/alone", 90 * MIB)], rule, processes).size
    assert round(size / MIB) == each
    assert MIB <= size <= rule.size


def test_large_files_first_then_bundles() -> None:
    files = [
        File("pg_data/small-b", 40, 2),
        File("pg_data/large", 51),
        File("pg_data/small-a", 40, 2),
        File("pg_data/larger", 5000),
        File("pg_data/old", 50, 1),
        File("pg_data/empty", 0),
        File("pg_data/last", 1, 9),
    ]
    jobs = plan(files, RULE)
    assert [(job.kind, job.bundle_id, job.size) for job in jobs] == [
        (Kind.SINGLE, 0, 5051),
        (Kind.BUNDLE, 1, 130),
        (Kind.BUNDLE, 2, 1),
    ]
    assert names(jobs) == [
        ["pg_data/larger", "pg_data/large"],
        ["pg_data/old", "pg_data/small-a", "pg_data/small-b"],
        ["pg_data/last"],
    ]


def test_files_of_the_backup_before_keep_its_order() -> None:
    where = {
        "pg_data/a": ("20261122-110720F", 2, 0),
        "pg_data/b": ("20261122-110720F", 1, 70),
        "pg_data/c": ("20261122-110720F", 1, 9),
    }
    files = [File(f"pg_data/{name}", 10, 5) for name in "dabc"]
    jobs = plan(files, RULE, prior=lambda file: where.get(file.name), first_bundle_id=7)
    assert names(jobs) == [["pg_data/c", "pg_data/b", "pg_data/a", "pg_data/d"]]
    assert jobs[0].bundle_id == 7


def test_queues_take_turns() -> None:
    large = BATCH_SIZE
    files = [File(f"pg_data/{n}", large) for n in range(3)]
    files += [File(f"pg_tblspc/1/{n}", large) for n in range(2)]
    assert names(plan(files, None)) == [
        ["pg_data/0"],
        ["pg_tblspc/1/0"],
        ["pg_data/1"],
        ["pg_tblspc/1/1"],
        ["pg_data/2"],
    ]


def test_without_bundles_every_file_is_stored() -> None:
    files = [File("pg_data/empty", 0), File("pg_data/small", 1)]
    (job,) = plan(files, None)
    assert job.kind is Kind.SINGLE
    assert names([job]) == [["pg_data/small", "pg_data/empty"]]


def test_small_files_share_jobs_up_to_a_bound() -> None:
    jobs = plan([File(f"pg_data/{n}", 1) for n in range(BATCH_FILES + 1)], None)
    assert [len(job.files) for job in jobs] == [BATCH_FILES, 1]


def test_a_bundle_of_very_small_files_is_closed_by_their_number() -> None:
    """All of its files are in the memory of one worker."""
    rule = BundleRule(20 * MIB, 2 * MIB)
    jobs = plan([File(f"pg_data/{n}", 5) for n in range(2 * BUNDLE_FILES + 1)], rule)
    assert [len(job.files) for job in jobs] == [BUNDLE_FILES, BUNDLE_FILES, 1]
    assert [job.bundle_id for job in jobs] == [1, 2, 3]


def test_relations_of_a_page_fill_a_bundle() -> None:
    """As those of pgBackRest."""
    rule = BundleRule(20 * MIB, 2 * MIB)
    jobs = plan([File(f"pg_data/{n}", 8192) for n in range(2 * 2560)], rule)
    assert [job.size for job in jobs] == [rule.size, rule.size]


FILES = st.lists(
    st.builds(
        File,
        st.integers(0, 10_000).map(lambda n: f"pg_{'data' if n % 3 else 'tblspc/1'}/{n}"),
        st.integers(0, 300),
        st.integers(0, 5),
    ),
    max_size=60,
    unique_by=lambda file: file.name,
)


@given(FILES, st.integers(1, 300), st.integers(1, 300))
def test_every_file_has_one_job(files: list[File], size: int, limit: int) -> None:
    rule = BundleRule(size, limit)
    jobs = plan(files, rule)
    planned = [file for job in jobs for file in job.files]
    assert sorted(planned) == sorted(file for file in files if file.size)
    bundles = [job for job in jobs if job.kind is Kind.BUNDLE]
    assert [job.bundle_id for job in bundles] == list(range(1, len(bundles) + 1))
    for job in jobs:
        assert len({queue_of(file.name) for file in job.files}) == 1
        assert all(rule.takes(file.size) == (job.kind is Kind.BUNDLE) for file in job.files)
    for job in bundles:
        assert sum(file.size for file in job.files[:-1]) < size
