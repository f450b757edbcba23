# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a delta restore the parent fetches, so that no worker has to log in."""

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import few
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.copy import (
    Keep,
    Login,
    RestoreFile,
    RestoreJob,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.plan import (
    RestorePlan,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.blockmap import Chain
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.stored import Stored
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import (
    PosixStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.compression import (
    Framing,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
)

ENCODING = Encoding("none")


@pytest.fixture
def plan(tmp_path):
    """A plan of jobs, each with so many files of so many bytes, of which none is there."""

    def made(*sizes):
        jobs = []
        for number, row in enumerate(sizes):
            files = tuple(
                RestoreFile(
                    f"f{number}-{index}", str(tmp_path / f"f{number}-{index}"), size, "x",
                    Stored(f"bundle/{number}", 0, size, Framing.WHOLE), None, 0o600, 0, 0, 1000,
                )
                for index, size in enumerate(row)
            )  # fmt: skip
            chain = Chain("demo", ("L",), ENCODING)
            jobs.append(RestoreJob(chain, Keep.SAME_CHECKSUM, 2000, files))
        total = sum(job.size for job in jobs)
        return RestorePlan(tuple(jobs), (), total, sum(len(job.files) for job in jobs))

    return made


def names(jobs):
    return [[file.name for file in job.files] for job in jobs]


def test_what_is_missing_is_taken_out(plan, tmp_path):
    work = plan([10, 20, 30], [5], [40])
    for name in ("f0-0", "f0-2", "f2-0"):
        (tmp_path / name).touch()
    # It leads nowhere, but it is something that is in the way: the worker's matter.
    (tmp_path / "f1-0").symlink_to("nowhere")
    divided = few.divide(work)
    assert names(divided.few) == [["f0-1"]]
    assert divided.few[0].keep is Keep.NONE
    assert names(divided.work.jobs) == [["f0-0", "f0-2"], ["f1-0"], ["f2-0"]]
    assert all(job.keep is Keep.SAME_CHECKSUM for job in divided.work.jobs)
    assert (divided.work.size, divided.work.file_total) == (work.size, work.file_total)
    assert divided.login is Login.WHEN_NEEDED


def test_a_job_of_which_nothing_is_left_is_none(plan):
    divided = few.divide(plan([10], [20]))
    assert names(divided.few) == [["f0-0"], ["f1-0"]]
    assert divided.work.jobs == ()


@pytest.mark.parametrize("sizes", [[few.LARGEST + 1], [1] * (few.MOST + 1)], ids=["bytes", "files"])
def test_more_is_for_the_workers_who_log_in_at_once(plan, sizes):
    work = plan(sizes)
    divided = few.divide(work)
    assert divided.few == ()
    assert divided.work == work
    assert divided.login is Login.AT_ONCE


def test_they_are_restored(tmp_path):
    content = b"what a file has" * 50
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "file").write_bytes(content)
    file = RestoreFile(
        "file", str(tmp_path / "file"), len(content), hashlib.sha1(content).hexdigest(),
        Stored("file", 0, len(content), Framing.WHOLE), None, 0o640,
        os.geteuid(), os.getegid(), 1000,
    )  # fmt: skip
    job = RestoreJob(Chain("demo", ("L",), ENCODING), Keep.NONE, 2000, (file,))
    restored = few.fetch(PosixStorage(str(repo)), [job])
    assert [(row.name, row.fetched) for row in restored] == [("file", True)]
    assert (tmp_path / "file").read_bytes() == content
