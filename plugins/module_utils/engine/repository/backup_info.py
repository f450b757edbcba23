# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``backup.info``: the backups of a stanza (repository reference, sections 3.2 and 3.3)."""

from __future__ import annotations

import dataclasses
import typing as t

from ..errors import FormatError
from ..version import REPOSITORY_FORMAT, REPOSITORY_VERSION
from . import infofile, layout
from .fields import Fields, history_id
from .info_twins import InfoFile
from .label import is_label


class BackupDb(t.NamedTuple):
    """One cluster in the history of a stanza."""

    id: int
    system_id: int
    version: str
    """PostgreSQL's, as ``15`` or ``9.6``."""
    catalog_version: int
    control_version: int


@dataclasses.dataclass(frozen=True)
class BackupEntry:
    """What backup.info says of one backup; sizes are bytes, times epoch seconds.

    ``size`` and ``repo_size`` are of everything that a restore needs, the ``_delta`` ones only of
    what this backup itself brought into the repository.
    """

    label: str
    backup_type: str
    db_id: int
    timestamp_start: int
    timestamp_stop: int
    size: int
    size_delta: int
    repo_size: int
    repo_size_delta: int
    archive_start: str | None
    """First WAL segment that a restore needs; None for an offline backup."""
    archive_stop: str | None
    lsn_start: str | None = None
    lsn_stop: str | None = None
    prior: str | None = None
    reference: tuple[str, ...] = ()
    """The backups that this one depends on, without itself."""
    error: bool | None = None
    """Whether a page checksum was wrong; None where pages were not checked."""
    annotation: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    repo_size_map: int | None = None
    """Bytes of block maps; None without block incremental."""
    repo_size_map_delta: int | None = None
    option_archive_check: bool = True
    option_archive_copy: bool = False
    option_backup_standby: bool = False
    option_checksum_page: bool = False
    option_compress: bool = False
    option_hardlink: bool = False
    option_online: bool = True
    version: str = REPOSITORY_VERSION
    """Who made the backup."""
    format: int = REPOSITORY_FORMAT


@dataclasses.dataclass(frozen=True)
class BackupInfo:
    """The whole file."""

    history: tuple[BackupDb, ...]
    """By ascending id; never empty."""
    current_id: int
    backups: t.Mapping[str, BackupEntry] = dataclasses.field(default_factory=dict)
    """By label, ascending."""
    cipher_pass: str | None = dataclasses.field(default=None, repr=False)
    """The pass of the manifests; None when the repository is not encrypted."""
    writer_version: str = REPOSITORY_VERSION
    """Who wrote the file that was read; what is saved gets our own."""

    @property
    def current(self) -> BackupDb:
        """The cluster that is backed up now."""
        return next(row for row in self.history if row.id == self.current_id)

    def with_backup(self, entry: BackupEntry) -> BackupInfo:
        """With one backup more."""
        return self._with({**self.backups, entry.label: entry})

    def without_backups(self, labels: t.Collection[str]) -> BackupInfo:
        """Without some backups; dependents are the caller's business, see ``dependents``."""
        return self._with({k: v for k, v in self.backups.items() if k not in labels})

    def _with(self, backups: dict[str, BackupEntry]) -> BackupInfo:
        return dataclasses.replace(self, backups=dict(sorted(backups.items())))

    def upgraded(self, row: BackupDb) -> BackupInfo:
        """With another cluster, or another version of it, as the current one; its id is set."""
        row = row._replace(id=self.history[-1].id + 1)
        return dataclasses.replace(self, history=(*self.history, row), current_id=row.id)


def create(db: BackupDb, cipher_pass: str | None) -> BackupInfo:
    """The file of a new stanza."""
    return BackupInfo((db._replace(id=1),), 1, {}, cipher_pass)


def dependents(backups: t.Mapping[str, BackupEntry], label: str) -> list[str]:
    """A backup and everything that depends on it, ascending."""
    found = {label}
    # A dependent sorts after what it depends on: one pass in order sees every chain.
    for name in sorted(backups):
        if backups[name].prior in found:
            found.add(name)
    return sorted(found)


def parse(text: str) -> BackupInfo:
    """Read the plain text; raises FormatError, ChecksumError and JsonFormatError."""
    document = infofile.parse(text)
    sections = document.sections
    # Section db repeats the current row: only its id counts.
    current_id = Fields("db", sections.get("db", {})).natural("db-id")
    history = []
    for key, value in sections.get("db:history", {}).items():
        number = history_id(key, "backup.info")
        row = Fields(f"db:history {key}", value)
        history.append(
            BackupDb(
                number,
                row.natural("db-system-id"),
                row.version("db-version"),
                row.natural("db-catalog-version"),
                row.natural("db-control-version"),
            )
        )
    history.sort()
    ids = {row.id for row in history}
    if current_id not in ids:
        raise FormatError(f"db-id {current_id} is not in the history of backup.info")
    backups = {
        label: _parse_entry(label, value)
        for label, value in sorted(sections.get("backup:current", {}).items())
    }
    for entry in backups.values():
        if entry.db_id not in ids:
            raise FormatError(
                f"db-id {entry.db_id} of backup {entry.label} is not in the history of backup.info"
            )
    cipher = Fields("cipher", sections.get("cipher", {}))
    return BackupInfo(
        tuple(history), current_id, backups, cipher.optional_text("cipher-pass"), document.version
    )


def _parse_entry(label: str, value: object) -> BackupEntry:
    if not is_label(label):
        raise FormatError(f"{label!r} in backup.info is not the name of a backup")
    row = Fields(f"backup '{label}'", value)
    repo_size_map = row.optional_natural("backup-info-repo-size-map")
    archive_start = row.optional_segment("backup-archive-start")
    archive_stop = row.optional_segment("backup-archive-stop")
    if (archive_start is None) != (archive_stop is None):
        raise FormatError(f"backup '{label}' has only one end of its WAL")
    return BackupEntry(
        label=label,
        backup_type=row.text("backup-type"),
        db_id=row.natural("db-id"),
        timestamp_start=row.moment("backup-timestamp-start"),
        timestamp_stop=row.moment("backup-timestamp-stop"),
        size=row.natural("backup-info-size"),
        size_delta=row.natural("backup-info-size-delta"),
        repo_size=row.natural("backup-info-repo-size"),
        repo_size_delta=row.natural("backup-info-repo-size-delta"),
        archive_start=archive_start,
        archive_stop=archive_stop,
        lsn_start=row.optional_position("backup-lsn-start"),
        lsn_stop=row.optional_position("backup-lsn-stop"),
        prior=row.optional_label("backup-prior"),
        reference=row.labels("backup-reference"),
        error=row.optional_flag("backup-error"),
        annotation=row.text_map("backup-annotation"),
        repo_size_map=repo_size_map,
        repo_size_map_delta=(
            None if repo_size_map is None else row.natural("backup-info-repo-size-map-delta")
        ),
        option_archive_check=row.flag("option-archive-check"),
        option_archive_copy=row.flag("option-archive-copy"),
        option_backup_standby=row.flag("option-backup-standby"),
        option_checksum_page=row.flag("option-checksum-page"),
        option_compress=row.flag("option-compress"),
        option_hardlink=row.flag("option-hardlink"),
        option_online=row.flag("option-online"),
        version=row.text("backrest-version"),
        format=row.natural("backrest-format"),
    )


def render(info: BackupInfo, version: str = REPOSITORY_VERSION) -> str:
    """The plain text of the file."""
    current = info.current
    sections: dict[str, dict[str, object]] = {
        "db": {
            "db-catalog-version": current.catalog_version,
            "db-control-version": current.control_version,
            "db-id": current.id,
            "db-system-id": current.system_id,
            "db-version": current.version,
        },
        "db:history": {
            str(row.id): {
                "db-catalog-version": row.catalog_version,
                "db-control-version": row.control_version,
                "db-system-id": row.system_id,
                "db-version": row.version,
            }
            for row in info.history
        },
        "backup:current": {
            label: _entry_value(info.backups[label]) for label in sorted(info.backups)
        },
    }
    if info.cipher_pass is not None:
        sections["cipher"] = {"cipher-pass": info.cipher_pass}
    return infofile.render(sections, version)


def _entry_value(entry: BackupEntry) -> dict[str, object]:
    value: dict[str, object] = {
        "backrest-format": entry.format,
        "backrest-version": entry.version,
        # Both are written even when there is none.
        "backup-archive-start": entry.archive_start,
        "backup-archive-stop": entry.archive_stop,
        "backup-info-repo-size": entry.repo_size,
        "backup-info-repo-size-delta": entry.repo_size_delta,
        "backup-info-size": entry.size,
        "backup-info-size-delta": entry.size_delta,
        "backup-timestamp-start": entry.timestamp_start,
        "backup-timestamp-stop": entry.timestamp_stop,
        "backup-type": entry.backup_type,
        "db-id": entry.db_id,
        "option-archive-check": entry.option_archive_check,
        "option-archive-copy": entry.option_archive_copy,
        "option-backup-standby": entry.option_backup_standby,
        "option-checksum-page": entry.option_checksum_page,
        "option-compress": entry.option_compress,
        "option-hardlink": entry.option_hardlink,
        "option-online": entry.option_online,
    }
    optional = {
        "backup-annotation": dict(entry.annotation) or None,
        "backup-error": entry.error,
        "backup-info-repo-size-map": entry.repo_size_map,
        "backup-info-repo-size-map-delta": entry.repo_size_map_delta,
        "backup-lsn-start": entry.lsn_start,
        "backup-lsn-stop": entry.lsn_stop,
        "backup-prior": entry.prior,
        "backup-reference": entry.reference or None,
    }
    value.update((key, item) for key, item in optional.items() if item is not None)
    return value


_FILE = InfoFile(
    layout.backup_info,
    parse,
    render,
    hint="backup.info cannot be opened and is required to perform a backup; "
    "has stanza-create been run?",
)

load = _FILE.load
begin = _FILE.begin
save = _FILE.save
begin_save = _FILE.begin_save
