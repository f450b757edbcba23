# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What expire has removed, or with a dry run would remove, and why: as data and as text."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..repository.retention import ArchiveVerdict, Verdict
from .expire_wal import RemovedWal


@dataclass(frozen=True)
class ExpireResult:
    """What was removed of one repository, or with a dry run would be, and why."""

    repo: int
    verdicts: tuple[Verdict, ...]
    archives: t.Mapping[str, ArchiveVerdict]
    """By archive id."""
    removed_wal: tuple[RemovedWal, ...]
    """Ranges of WAL, in their order."""
    removed_timelines: tuple[str, ...]
    """Histories of timelines, as paths in the repository."""
    removed_history: tuple[str, ...]
    """Directories and manifests of the history, as paths in the repository."""
    removed_directories: tuple[str, ...]
    """Labels of directories that are of no backup: of one that was broken off, as it began or as it
    expired."""
    relisted: tuple[str, ...]
    """Labels that backup.info does not have and should have, or the reverse; it is put right."""
    dry_run: bool

    @property
    def changed(self) -> bool:
        """Whether anything is removed."""
        return bool(
            self.removed_wal
            or self.removed_timelines
            or self.removed_history
            or self.removed_directories
            or self.relisted
            or any(row.remove for row in self.verdicts)
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        archives = {
            name: {
                "reason": row.reason,
                "kept": None if row.ranges is None else [part._asdict() for part in row.ranges],
                "removed": [
                    {"start": part.start, "stop": part.stop}
                    for part in self.removed_wal
                    if part.archive_id == name
                ],
            }
            for name, row in self.archives.items()
        }
        return {
            "repo": self.repo,
            "backups": [row._asdict() for row in self.verdicts],
            "archives": archives,
            "removed_timelines": list(self.removed_timelines),
            "removed_history": list(self.removed_history),
            "removed_directories": list(self.removed_directories),
            "relisted": list(self.relisted),
            "dry_run": self.dry_run,
            "changed": self.changed,
        }

    def lines(self) -> t.Iterator[str]:
        """For people: what stays and what goes, each with its reason."""
        for row in self.verdicts:
            yield f"{_verb(row.remove)} backup {row.label}: {row.reason}"
        for label in self.removed_directories:
            yield f"remove backup {label}: its directory is that of no backup"
        for label in self.relisted:
            yield f"put right backup.info: {label}"
        for name, verdict in self.archives.items():
            if verdict.ranges is None:
                yield f"keep   WAL {name}, all of it: {verdict.reason}"
            for kept in verdict.ranges or ():
                yield f"keep   WAL {name} {_span(kept.start, kept.stop)}: {kept.reason}"
            for part in self.removed_wal:
                if part.archive_id == name:
                    yield f"remove WAL {name} {_span(part.start, part.stop)}: {verdict.reason}"
        for path in (*self.removed_timelines, *self.removed_history):
            yield f"remove history {path}"


@dataclass(frozen=True)
class ExpireReport:
    """All repositories."""

    repos: tuple[ExpireResult, ...]
    dry_run: bool

    @property
    def changed(self) -> bool:
        """Whether anything is removed."""
        return any(repo.changed for repo in self.repos)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "repos": [repo.as_dict() for repo in self.repos],
            "dry_run": self.dry_run,
            "changed": self.changed,
        }

    @property
    def text(self) -> str:
        """Of a dry run, what it is for; else it is the log that tells."""
        if not self.dry_run:
            return ""
        rows = [f"repo{repo.repo}: {line}" for repo in self.repos for line in repo.lines()]
        return "\n".join([*rows, "nothing was removed: this is a dry run"]) + "\n"


def _verb(remove: bool) -> str:
    return "remove" if remove else "keep  "


def _span(start: str, stop: str | None) -> str:
    return f"{start} to {stop}" if stop else f"from {start}"
