# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""info: what the repositories hold (repository reference, section 18).

A repository that cannot be read is part of the answer, not a failure.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..config.options import Options, RepoOptions
from ..errors import (
    ArchiveMismatchError,
    EngineError,
    FileMissingError,
    StorageMissingError,
)
from ..repository import archive, archive_info, backup_info, layout, lock, report
from ..repository.report import RepoFacts, Report
from ..repository.report_text import render_text
from ..storage.base import FileKind, Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from . import repositories
from .cipher import cipher_pass

_T = t.TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class InfoResult:
    """The report of every stanza, as pgBackRest's JSON has it, and as text."""

    stanzas: tuple[Report, ...]
    text: str
    """In the form that the option ``output`` asks for."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"stanzas": list(self.stanzas)}


def run(options: Options) -> InfoResult:
    """Read the repositories and tell what is there; without a stanza of all stanzas."""
    repos = (
        options.repos if options.selected_repo is None else (options.repo(options.selected_repo),)
    )
    found = []
    for outcome in repositories.at_once(repos, lambda repo: _repo(options, repo)):
        if outcome.failure is not None:
            raise outcome.failure
        if outcome.result is not None:
            found.append(outcome.result)
    names = {name for repo in found for name in repo.stanzas}
    if not names and any(repo.error is not None for repo in found):
        names = {options.stanza or "[invalid]"}
    reports = tuple(
        report.stanza_report(
            name,
            [_locks(options, name, repo.facts(name)) for repo in found],
            backup_set=options.set,
            kind=options.type,
        )
        for name in sorted(names)
    )
    if options.output == "json":
        return InfoResult(reports, report.render_json(reports))
    return InfoResult(reports, render_text(reports, backup_set=options.set))


@dataclasses.dataclass(frozen=True)
class _Found:
    """What one repository has to say."""

    repo: RepoOptions
    stanzas: t.Mapping[str, RepoFacts]
    error: EngineError | None = None
    """What kept its stanzas from being looked for."""

    def facts(self, name: str) -> RepoFacts:
        """Of one stanza, which may be in other repositories only."""
        missing = RepoFacts(
            self.repo.key, self.repo.cipher_type, present=self.error is not None, error=self.error
        )
        return self.stanzas.get(name, missing)


def _repo(options: Options, repo: RepoOptions) -> _Found:
    """The stanzas of one repository, or the one that was asked for."""
    try:
        with open_storage(repo, io_timeout=options.io_timeout, lender=lender(options)) as storage:
            names = _stanzas(storage) if options.stanza is None else [options.stanza]
            return _Found(repo, {name: _stanza(options, repo, storage, name) for name in names})
    except EngineError as cause:
        return _Found(repo, {}, cause)


def _stanzas(storage: Storage) -> list[str]:
    try:
        entries = storage.list(layout.BACKUP)
    except StorageMissingError:
        return []
    return sorted(row.name for row in entries if row.kind in (FileKind.PATH, FileKind.LINK))


def _stanza(options: Options, repo: RepoOptions, storage: Storage, name: str) -> RepoFacts:
    facts = RepoFacts(repo.key, repo.cipher_type)
    secret = cipher_pass(repo)
    try:
        # Both are on their way while one of them is waited for.
        loading = archive_info.begin(storage, name, secret)
        backups = _if_there(backup_info.begin(storage, name, secret).result)
        if backups is None:
            # Nothing waits for it any more.
            _if_there(loading.result)
            present = storage.info(layout.backup_path(name)) is not None
            return dataclasses.replace(facts, present=present)
        wal_info = loading.result()
        found = None
        if options.set is not None and options.set in backups.backups:
            from ..repository import manifest  # only who asks for one backup needs it

            found = manifest.load(storage, name, options.set, backups.cipher_pass)
        facts = dataclasses.replace(
            facts,
            archive=wal_info,
            backup=backups,
            manifest=found,
            wal=archive.wal_ranges(storage, name, [row.archive_id for row in wal_info.history]),
        )
    except EngineError as cause:
        return dataclasses.replace(facts, error=cause)
    stray = report.stray_cluster(wal_info, backups)
    if stray is None:
        return facts
    return dataclasses.replace(
        facts,
        error=ArchiveMismatchError(
            f"unable to retrieve the archive id for database version '{stray.version}' and "
            f"system-id '{stray.system_id}'",
            hint="has stanza-upgrade been interrupted? run it again.",
        ),
    )


def _if_there(load: t.Callable[[], _T]) -> _T | None:
    try:
        return load()
    except FileMissingError:
        return None


def _locks(options: Options, name: str, facts: RepoFacts) -> RepoFacts:
    """Whether a backup or restore runs on this host just now."""
    backup, restore = (
        lock.read_state(options.lock_path, name, kind, facts.key)
        for kind in (lock.LockType.BACKUP, lock.LockType.RESTORE)
    )
    return dataclasses.replace(facts, backup_lock=backup, restore_lock=restore)
