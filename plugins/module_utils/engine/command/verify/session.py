# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of one run of verify share: the storage, the workers, and what was found."""

from __future__ import annotations

import time
import typing as t

from ... import log
from ...errors import EngineError, TransportLostError
from ...repository import backup_info, layout
from ...repository.archive import WalRange
from ...storage.base import Storage
from ...worker.pool import Finished, Report, WorkerPool
from ...worker.progress import Progress
from . import twins
from .result import Finding, Problem

# What one job holds at most.
FILES_PER_JOB = 512
SIZE_PER_JOB = 64 * 1024 * 1024

# How often, and with how many seconds between, backup.info is read to see what was expired.
_LOOKS = 3
_PAUSE = 1.0

_WORDS = {
    Problem.MISSING: "file missing",
    Problem.CHECKSUM: "invalid checksum",
    Problem.SIZE: "invalid size",
    Problem.OTHER: "unable to check",
}


class Session:
    """One run; ``only`` is the backup to which it is limited."""

    def __init__(
        self,
        storage: Storage,
        pool: WorkerPool,
        stanza: str,
        only: str | None,
        secret: str | None,
    ) -> None:
        self.storage = storage
        self.stanza = stanza
        self.only = only
        self.listed: frozenset[str] = frozenset()
        """The backups that were listed when the run began."""
        self._secret = secret
        self.errors: list[str] = []
        self.findings: list[Finding] = []
        self.missing_wal: dict[str, list[WalRange]] = {}
        """By label, what keeps the backup from being restored."""
        self._pool = pool

    def error(self, text: str) -> None:
        """Something is wrong that is not about one stored file."""
        log.warn("%s", text)
        self.errors.append(text)

    def twins(self, path: str, decode: twins.Decode[twins.ValueT]) -> twins.Twins[twins.ValueT]:
        """Read an info file and its copy, and tell what is wrong with each."""
        found = twins.load(self.storage, path, decode)
        for text in found.errors():
            self.error(text)
        if found.differ:
            log.warn("'%s' and its copy are not the same; the next command makes them so", path)
        return found

    def worked(self, jobs: t.Iterator[t.Any], total: int) -> t.Iterator[Finished]:
        """Have the workers do the jobs; tells how far they are."""
        progress = Progress(total)
        for event in self._pool.run(lambda worker: next(jobs, None)):
            if isinstance(event, Report):
                line = progress.add(event.size)
                if line is not None:
                    log.info("verify progress: %s", line)
                continue
            yield event

    def expired(self, *, anyway: bool = False) -> frozenset[str]:
        """Backups that were listed when the run began, and no longer are.

        Looks only where something is wrong, or ``anyway``. An expire that is at work removes a
        manifest a moment before the line: it is given the time for that.
        """
        if not (anyway or self.errors or self.findings or self.missing_wal):
            return frozenset()
        for attempt in range(_LOOKS):
            if attempt:
                time.sleep(_PAUSE)
            try:
                now = backup_info.load(self.storage, self.stanza, self._secret)
            except TransportLostError:
                raise
            except EngineError:
                return frozenset()
            paths = [layout.manifest_path(self.stanza, name) for name in sorted(now.backups)]
            if all(row is not None for row in self.storage.info_many(paths)):
                break
        return self.listed - frozenset(now.backups)

    def forget(self, path: str) -> None:
        """Take back what was found wrong below a directory."""
        self.findings = [row for row in self.findings if not row.path.startswith(f"{path}/")]
        self.errors = [text for text in self.errors if f"'{path}/" not in text]

    def tell(self, finding: Finding, worker: int) -> None:
        """One thing that is wrong."""
        self.tell_all([(worker, finding)])

    def tell_all(self, found: t.Iterable[tuple[int, Finding]]) -> None:
        """One line for everything that is wrong in the same way with one repository file."""
        together: dict[tuple[str, Problem], list[tuple[int, Finding]]] = {}
        for worker, row in found:
            together.setdefault((row.path, row.problem), []).append((worker, row))
        for (path, problem), rows in together.items():
            worker, first = rows[0]
            text = f"{_WORDS[problem]} '{self._short(path)}'"
            if first.name not in path:
                more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
                text += f" ({first.name}{more})"
            if first.message:
                text += f": {first.message}"
            log.warn("%s", text, extra={"process_id": worker})

    def _short(self, path: str) -> str:
        """Without the part that all paths have in common, as pgBackRest writes it."""
        for start in (layout.backup_path(self.stanza), layout.archive_path(self.stanza)):
            if path.startswith(f"{start}/"):
                return path[len(start) + 1 :]
        return path


ItemT = t.TypeVar("ItemT")


def chunks(items: t.Iterable[ItemT], size: t.Callable[[ItemT], int]) -> t.Iterator[list[ItemT]]:
    """Pieces that are worth a job of their own, in order."""
    chunk: list[ItemT] = []
    total = 0
    for item in items:
        if chunk and (len(chunk) >= FILES_PER_JOB or total + size(item) > SIZE_PER_JOB):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += size(item)
    if chunk:
        yield chunk
