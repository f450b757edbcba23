# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parent's side of the copy: hand out jobs, collect results, tell how far it is."""

from __future__ import annotations

import typing as t

from ... import log
from ...repository.lock import Locks
from ...worker.pool import Report, WorkerPool
from ...worker.progress import Progress, size_text
from ..cluster import Cluster
from .copy import CopiedFile, CopyJob, Outcome
from .plan import CopyPlan

Collect = t.Callable[[t.Sequence[CopiedFile]], None]
"""Takes the files of a job that is durable."""


def copy(
    pool: WorkerPool,
    planned: CopyPlan,
    cluster: Cluster,
    locks: Locks,
    collect: Collect,
    beat: t.Callable[[], None],
    handed: t.Callable[[CopyJob], None],
    begun: t.Callable[[], bool],
) -> None:
    """Have the workers do all jobs; each job's files are given to ``collect`` when it is done.

    ``beat`` is called now and then, ``handed`` with each job before a worker has it, ``begun``
    when the first ones are on their way, if there are any, until it gives True.
    """
    queues = planned.jobs
    primary = cluster.primary.pg.key
    both = cluster.standby is not None

    def next_job(worker: int) -> CopyJob | None:
        # With a standby one process alone reads from the primary, which bounds the load there.
        if both and worker == 1:
            queue = queues.get(primary)
        elif both:
            queue = next((q for node, q in queues.items() if node != primary), None)
        else:
            queue = queues.get(primary)
        if not queue:
            return None
        job = queue.popleft()
        handed(job)
        return job

    progress = Progress(planned.size)
    meanwhile = begun if any(queues.values()) else None
    for event in pool.run(next_job, interchangeable=not both, for_good=True, meanwhile=meanwhile):
        beat()
        if isinstance(event, Report):
            line = progress.add(event.size)
            if line is not None:
                locks.progress(line.total, line.done)
                log.info("backup progress: %s", line)
            continue
        copied = _sharing(event.job, event.result)
        collect(copied)
        for file in copied:
            _log_file(event.worker, file)


def _sharing(job: CopyJob, copied: t.Sequence[CopiedFile]) -> list[CopiedFile]:
    """The same, with the names that are there already, and not those that a worker sent back."""
    return [row._replace(name=file.name) for file, row in zip(job.files, copied)]


def _log_file(worker: int, file: CopiedFile) -> None:
    extra = {"process_id": worker}
    if file.outcome is Outcome.VANISHED:
        log.detail("skip file removed by database %s", file.name, extra=extra)
        return
    verb = "match file from prior backup" if file.outcome is Outcome.UNCHANGED else "backup file"
    log.detail("%s %s (%s)", verb, file.name, size_text(file.size), extra=extra)
    if file.again:
        log.detail(
            "pages of file %s were written since the backup started, the next one reads it again",
            file.name,
            extra=extra,
        )
    if file.page_misaligned:
        log.warn(
            "page misalignment in file %s: its size is no multiple of the page size", file.name
        )
    elif file.page_valid is False:
        pages = ", ".join(
            str(page) if isinstance(page, int) else f"{page[0]}-{page[1]}"
            for page in file.page_errors
        )
        log.warn("invalid page checksum(s) found in file %s at page(s) %s", file.name, pages)
