# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the repositories are: gathered for whoever asks, for Prometheus and for the log."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .. import log
from ..errors import EngineError
from ..postgres import control, ready
from . import place, status
from .crew import Crew
from .settings import Settings

# Seconds between two files of metrics.
METRICS = 15.0

MINUTE = 60.0


def _made(path: str) -> t.TextIO:
    """A new file that everybody may read; raises OSError.

    Others may write to its directory: what they have put there is not written to.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    # Whatever the mask is.
    os.fchmod(descriptor, 0o644)
    return open(descriptor, "w", encoding="utf-8")


class Watch:
    """Keeps an eye on the crews of a service; ``started`` is in seconds of the epoch."""

    def __init__(
        self,
        settings: Settings,
        crews: t.Sequence[Crew],
        started: float,
        fetched: t.Callable[[], status.FetchStatus] = status.FetchStatus,
    ) -> None:
        self._fetched = fetched
        self._settings = settings
        self._pg_path = settings.options.pg.path
        self._crews = crews
        self._started = started
        self._metrics = 0.0
        self._metrics_failed = False
        self._minute = time.monotonic()
        self._sizes: list[tuple[float, tuple[int, ...]]] = []
        self._summary = tuple(0 for _dummy in crews)

    def look(self, now: float) -> None:
        """Take note of how far everybody is; writes metrics and log lines when they are due."""
        self._sizes.append((now, tuple(crew.sent_bytes for crew in self._crews)))
        while now - self._sizes[0][0] > MINUTE:
            self._sizes.pop(0)
        path = self._settings.metrics_path
        if path is not None and now >= self._metrics:
            self._metrics = now + METRICS
            self._write_metrics(path)
        if now - self._minute >= MINUTE:
            self._minute = now
            self._summarize()

    def close(self) -> None:
        """Take the metrics away: who is gone is not up, and not without lag."""
        path = self._settings.metrics_path
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._metrics_file(path))

    def _metrics_file(self, path: str) -> str:
        return os.path.join(path, f"pgsftp_archiver_{self._settings.stanza}.prom")

    def _write_metrics(self, path: str) -> None:
        target = self._metrics_file(path)
        try:
            with _made(target + ".tmp") as file:
                file.write(status.metrics(self.state(), time.time()))
            os.replace(target + ".tmp", target)
            self._metrics_failed = False
        except OSError as cause:
            if not self._metrics_failed:
                log.warn("unable to write '%s': %s", target, cause.strerror)
            self._metrics_failed = True

    def state(self) -> status.Status:
        """What there is to say now."""
        names = ready.scan(self._pg_path).names
        size = 0
        with contextlib.suppress(EngineError):
            size = control.load(self._pg_path).wal_segment_size
        rows = tuple(
            self._repository(number, crew, names, size) for number, crew in enumerate(self._crews)
        )
        name = self._settings.stanza
        return status.Status(name, os.getpid(), self._started, rows, self._fetched())

    def _repository(
        self, number: int, crew: Crew, names: t.Collection[str], size: int
    ) -> status.RepositoryStatus:
        missing = crew.queue.missing(names)
        oldest = missing[0] if missing else None
        now = time.monotonic()
        since, sizes = self._sizes[0] if self._sizes else (now, ())
        before = sizes[number] if number < len(sizes) else 0
        error = None
        if crew.error is not None:
            error = status.LastError(str(crew.error), crew.error.code, crew.error_time)
        return status.RepositoryStatus(
            key=crew.repo.key,
            reachable=crew.reachable,
            sessions=crew.sessions,
            lag_segments=len(missing),
            # Files other than segments are small enough not to count.
            lag_bytes=size * sum(len(name) in (24, 32) for name in missing),
            lag_seconds=0.0 if oldest is None else ready.since(self._pg_path, oldest),
            oldest=oldest,
            rate=(crew.sent_bytes - before) / max(1.0, now - since),
            files=crew.sent_files,
            bytes=crew.sent_bytes,
            error=error,
            success=crew.success_time,
        )

    def _summarize(self) -> None:
        """One line a minute and repository, when there is something to say."""
        names = ready.scan(self._pg_path).names
        counts = tuple(crew.sent_files for crew in self._crews)
        for crew, count, before in zip(self._crews, counts, self._summary):
            stored, behind = count - before, len(crew.queue.missing(names))
            refused = crew.refusals(stored > 0 or not behind)
            if stored or behind:
                text = f"{crew.name}: {stored} WAL files stored, {behind} to go"
                log.info("%s", f"{text}, {refused} refused" if refused else text)
        self._summary = counts
        place.tell_systemd(f"STATUS={sum(counts)} WAL files stored since the start")
