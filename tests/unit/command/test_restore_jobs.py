# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the files of a backup are divided between the workers of a restore."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.ranges import ranges
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import plan
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.copy import Keep
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.owner import (
    Owners,
)
from ansible_collections.pgsftp.backup.tests.support.manifests import example, file

WHERE = plan.Places("/srv/pg/data", {}, {}, {})


def jobs_of(files):
    manifest = example(files)
    made = plan.plan(manifest, WHERE, Owners(WHERE.pg_data), stanza="demo", keep=Keep.NONE)
    assert sum(len(job.files) for job in made.jobs) == len(files)
    return made.jobs


def bundled(number, bundle=1, size=30):
    name = f"pg_data/base/5/{number * 7919 % 1_000_003}"
    place = {"bundle_id": bundle, "bundle_offset": 25 * number, "repo_size": 25}
    return file(name, size=size, **place)


def test_files_of_an_ordinary_bundle_are_one_job():
    """A job more is some waiting more: an empty cluster has 970."""
    jobs = jobs_of([bundled(number) for number in range(970)])
    assert len(jobs) == 1


def test_a_bundle_of_very_many_files_is_several_jobs_of_neighbours():
    """Or one worker would have all of the work, and all of them in its memory."""
    files = [bundled(number) for number in range(10 * plan.BUNDLE_JOB_FILES)]
    jobs = jobs_of(sorted(files))
    assert [len(job.files) for job in jobs] == [plan.BUNDLE_JOB_FILES] * 10
    parts = sorted(
        (part.offset, part.offset + part.size) for job in jobs for part in ranges(job.files)
    )
    assert parts[0][0] == 0
    assert all(before[1] == after[0] for before, after in zip(parts, parts[1:]))


@pytest.mark.parametrize("number", [1, 3])
def test_bundles_are_not_mixed(number):
    files = [bundled(row, bundle) for bundle in range(1, number + 1) for row in range(10)]
    jobs = jobs_of(files)
    assert len(jobs) == number
    assert all(len({row.stored.path for row in job.files}) == 1 for job in jobs)
