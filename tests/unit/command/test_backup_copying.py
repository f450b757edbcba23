# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parent's side of a copy."""

from __future__ import annotations

import collections
import types

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import copying
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.copy import (
    CopiedFile,
    Outcome,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker.pool import (
    Finished,
    Report,
)


class Pool:
    """Workers that are silent, report, are silent again and end."""

    def run(self, _next_job, *, interchangeable, for_good, meanwhile):
        assert interchangeable and for_good
        assert meanwhile is None
        yield Report(0, 0)
        yield Report(1, 5)
        yield Report(0, 0)
        job = types.SimpleNamespace(files=[types.SimpleNamespace(name="pg_data/1")])
        yield Finished(1, job, [CopiedFile("pg_data/1", Outcome.COPIED, 10)])


def test_the_heart_beats_while_workers_are_silent():
    beats, done = [], []
    cluster = types.SimpleNamespace(
        primary=types.SimpleNamespace(pg=types.SimpleNamespace(key=1)), standby=None
    )
    planned = types.SimpleNamespace(jobs={1: []}, size=10)

    def beat():
        beats.append(len(done))

    copying.copy(Pool(), planned, cluster, None, done.extend, beat, None, lambda: None)
    assert beats == [0, 0, 0, 0]
    assert [file.name for file in done] == ["pg_data/1"]


class Eager:
    """Workers that take all jobs before one is done."""

    def __init__(self, taken):
        self.taken = taken

    def run(self, next_job, *, interchangeable, for_good, meanwhile):
        assert interchangeable and for_good
        self.taken.append(next_job(1).name)
        meanwhile()
        while (job := next_job(1)) is not None:
            self.taken.append(job.name)
        yield Report(0, 0)


def test_a_job_is_told_before_a_worker_has_it_and_others_of_the_backup_meanwhile():
    taken = []
    cluster = types.SimpleNamespace(
        primary=types.SimpleNamespace(pg=types.SimpleNamespace(key=1)), standby=None
    )
    queue = collections.deque(types.SimpleNamespace(name=name) for name in ("old", "new"))
    planned = types.SimpleNamespace(jobs={1: queue}, size=10)

    def handed(job):
        taken.append(f"told of {job.name}")

    def announced():
        taken.append("announced")

    copying.copy(Eager(taken), planned, cluster, None, None, lambda: None, handed, announced)
    assert taken == ["told of old", "old", "announced", "told of new", "new"]
