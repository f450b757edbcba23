# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a delta restore surely has to fetch, when they are few.

pg_control is always one of them. The parent, which has a session already, fetches them itself, and
the workers log in only when one of them finds a file that differs.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ...storage.base import Storage
from .copy import Fetcher, Keep, Login, RestoredFile, RestoreJob
from .plan import RestorePlan

# Files, and bytes after restore, for which no worker need log in.
MOST = 64
LARGEST = 4 * 1024 * 1024


class Divided(t.NamedTuple):
    """A plan in two parts."""

    few: tuple[RestoreJob, ...]
    """What the parent fetches."""
    work: RestorePlan
    """What is left for the workers; the totals are still those of the whole."""
    login: Login = Login.AT_ONCE
    """When they have to."""


def divide(work: RestorePlan) -> Divided:
    """Take out what is not in the directory, or leave it all in when that is too much."""
    missing = [file for file in work.files if not os.path.lexists(file.target)]
    if len(missing) > MOST or sum(file.size for file in missing) > LARGEST:
        return Divided((), work)
    names = {file.name for file in missing}
    few, rest = [], []
    for job in work.jobs:
        taken = tuple(file for file in job.files if file.name in names)
        left = tuple(file for file in job.files if file.name not in names)
        if taken:
            few.append(job._replace(files=taken, keep=Keep.NONE))
        if left:
            rest.append(job._replace(files=left) if taken else job)
    return Divided(tuple(few), dataclasses.replace(work, jobs=tuple(rest)), Login.WHEN_NEEDED)


def fetch(storage: Storage, jobs: t.Sequence[RestoreJob]) -> list[RestoredFile]:
    """Restore them, and wait until they are durable."""
    fetcher = Fetcher(lambda: storage, lambda size: None)
    under_way = [fetcher(job) for job in jobs]
    return [file for deferred in under_way for file in deferred.result()]
