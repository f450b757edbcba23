# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``info`` tells, as data (repository reference, section 18). Pure: the caller loads it all.

The values are those of pgBackRest's ``info --output=json``, so that whatever reads one reads the
other.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .infofile import dump

if t.TYPE_CHECKING:
    from ..errors import EngineError
    from .archive import WalRange
    from .archive_info import ArchiveDb, ArchiveInfo
    from .backup_info import BackupDb, BackupEntry, BackupInfo
    from .contents import Manifest
    from .lock import LockState

OK = 0
MISSING_STANZA_PATH = 1
NO_BACKUPS = 2
MISSING_STANZA_DATA = 3
MIXED = 4
DATABASE_MISMATCH = 5
BACKUP_NOT_FOUND = 6
OTHER = 99

_MESSAGES = {
    OK: "ok",
    MISSING_STANZA_PATH: "missing stanza path",
    NO_BACKUPS: "no valid backups",
    MISSING_STANZA_DATA: "missing stanza data",
    MIXED: "different across repos",
    DATABASE_MISMATCH: "database mismatch across repos",
    BACKUP_NOT_FOUND: "requested backup not found",
    OTHER: "other",
}

_TEMPLATES = ("template0", "template1")

Report = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class RepoFacts:
    """What was found out about a stanza in one repository."""

    key: int
    cipher: str
    """The option ``repo-cipher-type``."""
    archive: ArchiveInfo | None = None
    """None where there is no archive.info."""
    backup: BackupInfo | None = None
    """None where there is no backup.info."""
    wal: t.Mapping[str, WalRange | None] = dataclasses.field(default_factory=dict)
    """By archive id; None where there is no segment."""
    manifest: Manifest | None = None
    """Of the one backup that was asked for, where it is here."""
    present: bool = True
    """Whether the stanza has a directory among the backups here."""
    error: EngineError | None = None
    """What kept everything from being found out."""
    backup_lock: LockState | None = None
    restore_lock: LockState | None = None


def stanza_report(
    name: str,
    repos: t.Sequence[RepoFacts],
    *,
    backup_set: str | None = None,
    kind: str | None = None,
) -> Report:
    """The element of one stanza.

    ``backup_set`` limits it to one backup, by label, with the details of its manifest. ``kind``
    leaves out backups of another type, which the status counts all the same.
    """
    missed = backup_set is not None and not any(
        backup_set in repo.backup.backups for repo in repos if repo.backup is not None
    )
    codes = {repo.key: _code(repo, missed=missed) for repo in repos}
    code = _common_code(repos, codes)
    ciphers = {repo.cipher for repo in repos}
    shown = [repo for repo in repos if codes[repo.key] != BACKUP_NOT_FOUND]
    backups = [
        (
            entry.timestamp_stop,
            repo.key,
            _backup(entry, repo.key, None if backup_set is None else repo.manifest),
        )
        for repo in repos
        if repo.backup is not None and repo.error is None
        for entry in repo.backup.backups.values()
        if backup_set in (None, entry.label) and kind in (None, entry.backup_type)
    ]
    backups.sort(key=lambda row: row[:2])
    return {
        "archive": [row for repo in shown for row in _archives(repo)],
        "backup": [row for _stop, _key, row in backups],
        "cipher": ciphers.pop() if len(ciphers) == 1 else "mixed",
        "db": [_db(row, repo.key) for repo in shown for row in _history(repo)],
        "name": name,
        "repo": [
            {
                "cipher": repo.cipher,
                "key": repo.key,
                "status": {"code": codes[repo.key], "message": _message(repo, codes[repo.key])},
            }
            for repo in repos
        ],
        "status": {
            "code": code,
            "lock": {
                "backup": _backup_lock(repos),
                "restore": _lock(repo.restore_lock for repo in repos[:1]),
            },
            "message": _MESSAGES[code],
        },
    }


def render_json(reports: t.Sequence[Report]) -> str:
    """All stanzas as pgBackRest prints them: one line, keys sorted, no newline."""
    return dump(list(reports))


def _code(repo: RepoFacts, *, missed: bool) -> int:
    if repo.error is not None:
        return OTHER
    if not repo.present:
        return MISSING_STANZA_PATH
    if repo.archive is None or repo.backup is None:
        return MISSING_STANZA_DATA
    if missed:
        return BACKUP_NOT_FOUND
    return OK if repo.backup.backups else NO_BACKUPS


def _common_code(repos: t.Sequence[RepoFacts], codes: t.Mapping[int, int]) -> int:
    different = set(codes.values())
    clusters = {
        repo.backup.current[1:3] for repo in repos if repo.backup is not None and repo.error is None
    }
    # Whatever else is wrong: it tells of an upgrade that has not reached every repository.
    if len(clusters) > 1:
        return DATABASE_MISMATCH
    return different.pop() if len(different) == 1 else MIXED


def _message(repo: RepoFacts, code: int) -> str:
    if repo.error is not None:
        return f"[{repo.error.family}] {repo.error}"
    return _MESSAGES[code]


def _history(repo: RepoFacts) -> tuple[BackupDb, ...]:
    """The clusters, oldest first; after one that the archive does not know nothing is certain."""
    if repo.backup is None:
        return ()
    rows = repo.backup.history
    if repo.archive is not None:
        stray = stray_cluster(repo.archive, repo.backup)
        if stray is not None:
            return rows[: rows.index(stray) + 1]
    return rows


def _db(row: BackupDb, key: int) -> Report:
    return {"id": row.id, "repo-key": key, "system-id": row.system_id, "version": row.version}


def _archives(repo: RepoFacts) -> t.Iterator[Report]:
    if repo.archive is None or repo.backup is None:
        return
    for row in _history(repo):
        archive = _archive_of(repo.archive, row)
        if archive is None:
            continue
        wal = repo.wal.get(archive.archive_id)
        # A former cluster is of interest only while its WAL is there.
        if wal is not None or row.id == repo.backup.current_id:
            yield {
                "database": {"id": row.id, "repo-key": repo.key},
                "id": archive.archive_id,
                "max": None if wal is None else wal.last,
                "min": None if wal is None else wal.first,
            }


def stray_cluster(archive: ArchiveInfo, backup: BackupInfo) -> BackupDb | None:
    """The oldest cluster of the backups that the archive does not know; None as it should be."""
    return next((row for row in backup.history if _archive_of(archive, row) is None), None)


def _archive_of(archive: ArchiveInfo, row: BackupDb) -> ArchiveDb | None:
    same = [db for db in archive.history if (db.system_id, db.version) == row[1:3]]
    exact = [db for db in same if db.id == row.id]
    return next(iter(exact or same), None)


def _backup(entry: BackupEntry, key: int, manifest: Manifest | None) -> Report:
    repository: Report = {"delta": entry.repo_size_delta}
    if entry.repo_size_map is None:
        repository["size"] = entry.repo_size
    else:
        # Of a block-incremental backup the whole size is not known: files share blocks.
        repository["size-map"] = entry.repo_size_map
        repository["delta-map"] = entry.repo_size_map_delta
    report: Report = {
        "archive": {"start": entry.archive_start, "stop": entry.archive_stop},
        "backrest": {"format": entry.format, "version": entry.version},
        "database": {"id": entry.db_id, "repo-key": key},
        "info": {"delta": entry.size_delta, "repository": repository, "size": entry.size},
        "label": entry.label,
        "prior": entry.prior,
        "reference": list(entry.reference) or None,
        "timestamp": {"start": entry.timestamp_start, "stop": entry.timestamp_stop},
        "type": entry.backup_type,
    }
    if entry.annotation:
        report["annotation"] = dict(entry.annotation)
    if entry.error is not None:
        report["error"] = entry.error
    if entry.lsn_start is not None and entry.lsn_stop is not None:
        report["lsn"] = {"start": entry.lsn_start, "stop": entry.lsn_stop}
    if manifest is not None:
        report.update(_details(manifest))
    return report


def _details(manifest: Manifest) -> Report:
    links: list[Report] = []
    tablespaces: list[Report] = []
    for target in sorted(manifest.targets):
        if target.kind != "link":
            continue
        if target.tablespace_id is not None:
            tablespaces.append(
                {
                    "destination": target.path,
                    "name": target.tablespace_name,
                    "oid": target.tablespace_id,
                }
            )
        elif target.file is not None:
            links.append({"destination": f"{target.path}/{target.file}", "name": target.file})
        else:
            links.append({"destination": target.path, "name": _relative(target.name)})
    details: Report = {
        "database-ref": [
            {"name": row.name, "oid": row.oid}
            for row in sorted(manifest.databases)
            if row.name not in _TEMPLATES
        ],
        "link": links or None,
        "tablespace": tablespaces or None,
    }
    bad = sorted(_relative(file.name) for file in manifest.files if file.page_valid is False)
    if bad:
        details["error"] = True
        details["error-list"] = bad
    return details


def _relative(name: str) -> str:
    from .contents import PG_DATA  # whoever has a manifest to tell of has loaded it

    return name[len(PG_DATA) + 1 :] if name.startswith(PG_DATA + "/") else name


def _backup_lock(repos: t.Sequence[RepoFacts]) -> Report:
    held = [(repo.key, lock) for repo in repos if (lock := repo.backup_lock) is not None]
    report = _lock([lock for _key, lock in held])
    copying = [
        {"key": key, "size": lock.size, "size-cplt": lock.size_complete}
        for key, lock in held
        if _copies(lock)
    ]
    if copying:
        report["repo"] = copying
    return report


def _lock(locks: t.Iterable[LockState | None]) -> Report:
    held = [lock for lock in locks if lock is not None and lock.held]
    report: Report = {"held": bool(held)}
    copying = [lock for lock in held if _copies(lock)]
    if copying:
        report["size"] = sum(lock.size or 0 for lock in copying)
        report["size-cplt"] = sum(lock.size_complete or 0 for lock in copying)
    return report


def _copies(lock: LockState) -> bool:
    return lock.held and bool(lock.size) and lock.size_complete is not None
