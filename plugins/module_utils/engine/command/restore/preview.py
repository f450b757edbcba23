# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would do: the same choices and plans as a restore, and nothing is touched."""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import asdict, dataclass

from ...config.options import Options
from ...errors import ArchiveTimeoutError, DbMismatchError, FileMissingError
from . import space
from .choice import Choice
from .copy import Keep, RestoreFile, RestoreJob
from .plan import RestorePlan
from .reuse import Reuse, refuse_taken, reuse_of
from .run import aim_of, openers_of, prepared, refuse_elsewhere


@dataclass(frozen=True)
class RestorePreview:
    """The plan of a restore. Sizes in bytes; those fetched are estimated, see ``_seems_same``."""

    label: str
    type: str
    path: str
    size: int
    size_fetched: int
    file_total: int
    files_fetched: int
    files_removed: int
    removed: tuple[str, ...]
    """The paths of these, directories after what is in them."""
    wal_start: str | None
    """First segment of the recovery; None where none follows, or none that can be foreseen."""
    wal_stop: str | None
    """Last segment that is there without a gap."""
    reachable: bool | None
    """Whether the WAL leads to the target; None where that cannot be known."""
    obstacle: str | None
    """Why it does not."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "removed": list(self.removed)}


def run(
    options: Options, *, replace: bool = False, strict: bool = False, consent: bool = False
) -> RestorePreview:
    """Foresee a restore; raises what it would raise but for a target that is out of reach, and for
    a server that runs in the directory: it may be stopped by then.

    With ``replace`` what is in the directories now is taken for gone, with ``strict`` the target
    out of reach is raised as well; ``consent`` is that of the restore.
    """
    refuse_elsewhere(options)
    aim = aim_of(options, options.type or "default")
    first = options.repo()
    repos = options.repos if options.selected_repo is None else (first,)
    pg_data = options.pg.path.rstrip("/")
    reuse = Reuse(False, False) if replace else reuse_of(options, pg_data, consent=consent)
    openers = openers_of(options, repos, anew=reuse.anew)
    with Choice(options, [repo for repo in repos if repo.key in openers], openers) as choice:
        chosen = choice.choose(aim)
        ready = prepared(options, chosen, aim, reuse)
        if not replace:
            refuse_taken(
                options,
                chosen.contents,
                ready.where,
                ready.target,
                reuse,
                preserve=ready.preserved,
            )
        reach = choice.reach(chosen, ready.aim)
        obstacle = None
        try:
            if reach is not None:
                choice.check(reach, ready.aim)
        except (ArchiveTimeoutError, DbMismatchError, FileMissingError) as cause:
            if strict:
                raise
            obstacle = str(cause)
    space.check(ready.work.files, ready.where, ready.target.roots() if reuse.any else ())
    removed: tuple[str, ...] = ()
    if reuse.any:
        removed = tuple(ready.target.superfluous(preserve=ready.preserved))
    fetched = list(_fetched(ready.work, replace))
    return RestorePreview(
        label=chosen.entry.label,
        type=ready.aim.kind,
        path=ready.where.pg_data,
        size=ready.work.size,
        size_fetched=sum(fetched),
        file_total=ready.work.file_total,
        files_fetched=len(fetched),
        files_removed=len(removed),
        removed=removed,
        wal_start=None if reach is None else chosen.entry.archive_start,
        wal_stop=None if reach is None else reach.last,
        reachable=None if reach is None else obstacle is None,
        obstacle=obstacle,
    )


def _fetched(work: RestorePlan, replace: bool) -> t.Iterator[int]:
    """The sizes of the files that do not seem to be there already."""
    for job in work.jobs:
        for file in job.files:
            if replace or not _seems_same(file, job):
                yield file.size


def _seems_same(file: RestoreFile, job: RestoreJob) -> bool:
    """Whether size and time are the backup's.

    Where the workers compare checksums they know better, but to read terabytes only to say how
    many of them are fetched would take longer than all else that is foreseen.
    """
    if job.keep is Keep.NONE:
        return False
    try:
        found = os.lstat(file.target)
    except OSError:
        return False
    alike = found.st_size == file.size and int(found.st_mtime) == file.mtime
    sure = job.keep is Keep.SAME_CHECKSUM or file.mtime < job.copy_start
    return alike and sure and stat.S_ISREG(found.st_mode)
