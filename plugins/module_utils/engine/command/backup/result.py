# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ...postgres.entries import DataDirectory
from ...repository.backup_info import BackupEntry
from ...repository.contents import PG_CONTROL, PG_DATA, Manifest
from .plan import CopyPlan


@dataclass(frozen=True)
class BackupResult:
    """A backup that is in the repository and listed. Sizes in bytes, times in epoch seconds."""

    label: str
    type: str
    prior: str | None
    size: int
    size_delta: int
    repository_size: int
    repository_size_delta: int
    file_total: int
    lsn_start: str | None
    lsn_stop: str | None
    wal_start: str | None
    wal_stop: str | None
    timestamp_start: int
    timestamp_stop: int
    page_errors: bool
    from_standby: bool
    duration: float
    """Seconds, from the start of the command."""

    @classmethod
    def of(cls, entry: BackupEntry, file_total: int, duration: float) -> BackupResult:
        """From what backup.info says."""
        return cls(
            label=entry.label,
            type=entry.backup_type,
            prior=entry.prior,
            size=entry.size,
            size_delta=entry.size_delta,
            repository_size=entry.repo_size,
            repository_size_delta=entry.repo_size_delta,
            file_total=file_total,
            lsn_start=entry.lsn_start,
            lsn_stop=entry.lsn_stop,
            wal_start=entry.archive_start,
            wal_stop=entry.archive_stop,
            timestamp_start=entry.timestamp_start,
            timestamp_stop=entry.timestamp_stop,
            page_errors=bool(entry.error),
            from_standby=entry.option_backup_standby,
            duration=round(duration, 3),
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class BackupPreview:
    """What a backup would do. Sizes in bytes, of the cluster's files as they are now."""

    type: str
    prior: str | None
    resumed: str | None
    """The backup that was broken off and would be gone on with."""
    size: int
    size_read: int
    file_total: int
    files_read: int
    changed: tuple[str, ...]
    """Files that the prior backup has in another state, or that must be read to know it."""
    new: tuple[str, ...]
    removed: tuple[str, ...]

    @classmethod
    def of(
        cls,
        backup_type: str,
        prior: Manifest | None,
        resumed: str | None,
        data: DataDirectory,
        planned: CopyPlan,
    ) -> BackupPreview:
        """From what the backup would be made of."""
        # pg_control is read when all else is, so no job has it.
        control = [file for file in data.files if file.name == PG_CONTROL]
        read = {file.name for jobs in planned.jobs.values() for job in jobs for file in job.files}
        read.update(file.name for file in control)
        before = {file.name: file.size for file in prior.files} if prior is not None else {}
        now = {file.name: file.size for file in data.files}
        empty = {name for name, size in now.items() if size == 0 and before.get(name) == 0}
        old = prior.backup.label if prior is not None else None
        return cls(
            type=backup_type,
            prior=old,
            resumed=resumed,
            size=sum(file.size for file in data.files),
            size_read=planned.size + sum(file.size for file in control),
            file_total=len(now),
            files_read=len(read),
            changed=tuple(sorted((read & before.keys()) - empty)),
            new=tuple(sorted(read - before.keys())) if prior is not None else (),
            removed=tuple(sorted(before.keys() - now.keys() - {f"{PG_DATA}/backup_label"})),
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        told = asdict(self)
        return {**told, **{name: list(told[name]) for name in ("changed", "new", "removed")}}
