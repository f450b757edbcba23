# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify found, as values, as pgBackRest's text and as JSON. Pure."""

from __future__ import annotations

import enum
import json
import typing as t
from dataclasses import dataclass, field

from ...repository.archive import WalRange
from ...repository.wal_gaps import Gap


class Problem(enum.Enum):
    """What is wrong with a stored file; the words are those of the text output."""

    MISSING = "missing"
    CHECKSUM = "checksum invalid"
    SIZE = "size invalid"
    OTHER = "other"


class Finding(t.NamedTuple):
    """One thing that is wrong."""

    problem: Problem
    path: str
    """The file in the repository."""
    name: str
    """The file that it holds: a name in the manifest, or of WAL."""
    message: str = ""
    """The cause, where there is more to say than what the problem is."""

    @property
    def key(self) -> str:
        """The problem in one word, for JSON."""
        return self.problem.value.split()[0]


class Status(enum.Enum):
    """How a backup is."""

    VALID = "valid"
    INVALID = "invalid"
    MANIFEST_MISSING = "manifest missing"
    IN_PROGRESS = "in-progress"


class Counts(t.NamedTuple):
    """How many of each problem."""

    missing: int = 0
    checksum: int = 0
    size: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)

    def plus(self, problem: Problem, number: int = 1) -> Counts:
        """With some more."""
        name = problem.name.lower()
        return self._replace(**{name: getattr(self, name) + number})


NONE = Counts()


@dataclass(frozen=True)
class ArchiveResult:
    """The WAL of one cluster."""

    archive_id: str
    checked: int = 0
    valid: int = 0
    counts: Counts = NONE
    ranges: tuple[WalRange, ...] = ()
    gaps: tuple[Gap, ...] = ()
    duplicates: tuple[str, ...] = ()
    """Segments that are stored more than once."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.counts.total or self.duplicates or any(not gap.reason for gap in self.gaps)
        )


@dataclass(frozen=True)
class BackupResult:
    """One backup."""

    label: str
    status: Status
    checked: int = 0
    valid: int = 0
    counts: Counts = NONE
    missing_wal: tuple[WalRange, ...] = ()
    """Segments without which it cannot be restored."""


@dataclass(frozen=True)
class VerifyResult:
    """Everything that was checked. Damage is a result, not a failure: the exit code stays 0."""

    stanza: str
    repo_key: int
    errors: tuple[str, ...] = ()
    """What is wrong with the info files and the repository as a whole."""
    archives: tuple[ArchiveResult, ...] = ()
    backups: tuple[BackupResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    checked_backups: bool = True
    """False when it did not come to looking at WAL and backups."""
    text: str = field(default="", compare=False)
    """In the form that the option ``output`` asks for."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.errors
            or self.findings
            or any(not row.ok for row in self.archives)
            or any(row.status is Status.INVALID for row in self.backups)
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "stanza": self.stanza,
            "repo": self.repo_key,
            "status": "ok" if self.ok else "error",
            "errors": list(self.errors),
            "archives": [_archive_row(row) for row in self.archives],
            "backups": [_backup_row(row) for row in self.backups],
            "files": [
                {"path": row.path, "name": row.name, "problem": row.key, "message": row.message}
                for row in self.findings
            ],
            "changed": False,
        }


def _archive_row(row: ArchiveResult) -> dict[str, object]:
    return {
        "id": row.archive_id,
        "checked": row.checked,
        "valid": row.valid,
        **row.counts._asdict(),
        "ranges": [_range_row(part) for part in row.ranges],
        "gaps": [
            {"start": gap.first, "stop": gap.last, "segments": gap.segments, "reason": gap.reason}
            for gap in row.gaps
        ],
        "duplicates": list(row.duplicates),
    }


def _backup_row(row: BackupResult) -> dict[str, object]:
    return {
        "label": row.label,
        "status": row.status.value,
        "checked": row.checked,
        "valid": row.valid,
        **row.counts._asdict(),
        "missing_wal": [_range_row(part) for part in row.missing_wal],
    }


def _range_row(part: WalRange) -> dict[str, str]:
    return {"start": part.first, "stop": part.last}


def render_json(result: VerifyResult) -> str:
    """One line."""
    return json.dumps(result.as_dict(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def render_text(result: VerifyResult, *, verbose: bool) -> str:
    """pgBackRest's text: only what is wrong, or everything; empty when there is nothing to say.

    What pgBackRest does not look at (gaps in the WAL, the WAL that a backup needs) has lines of its
    own below the ones that are the same.
    """
    if result.ok and not verbose:
        return ""
    lines = [f"stanza: {result.stanza}", f"status: {'ok' if result.ok else 'error'}"]
    lines += [f"  {line}" for error in result.errors for line in error.split("\n")]
    if result.checked_backups:
        for archive in result.archives:
            lines += _archive_lines(archive, verbose)
        if verbose and not result.archives:
            lines.append("  archiveId: none found")
        for backup in result.backups:
            lines += _backup_lines(backup, verbose)
        if verbose and not result.backups:
            lines.append("  backup: none found")
    return "\n".join(lines) + "\n"


def _archive_lines(row: ArchiveResult, verbose: bool) -> t.Iterator[str]:
    if row.ok and not verbose:
        return
    yield (
        f"  archiveId: {row.archive_id}, total WAL checked: {row.checked}, "
        f"total valid WAL: {row.valid}"
    )
    yield from _count_lines(row.checked, row.counts, verbose)
    for gap in row.gaps:
        if verbose or not gap.reason:
            why = f" ({gap.reason})" if gap.reason else ""
            yield f"    WAL gap: {span_text(WalRange(gap.first, gap.last))}{why}"
    for name in row.duplicates:
        yield f"    duplicate WAL: {name}"


def _backup_lines(row: BackupResult, verbose: bool) -> t.Iterator[str]:
    if row.status is not Status.INVALID and not verbose:
        return
    yield (
        f"  backup: {row.label}, status: {row.status.value}, total files checked: {row.checked}, "
        f"total valid files: {row.valid}"
    )
    yield from _count_lines(row.checked, row.counts, verbose)
    for part in row.missing_wal:
        yield f"    WAL needed but missing: {span_text(part)}"


def _count_lines(checked: int, counts: Counts, verbose: bool) -> t.Iterator[str]:
    shown = [
        f"{problem.value}: {number}"
        for problem, number in zip(Problem, counts)
        if number or (verbose and checked)
    ]
    if shown:
        yield "    " + ", ".join(shown)


def span_text(part: WalRange) -> str:
    """A range for people."""
    return part.first if part.first == part.last else f"{part.first} to {part.last}"
