# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ...repository.backup_info import BackupEntry


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
