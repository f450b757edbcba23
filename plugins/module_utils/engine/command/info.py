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
from ..errors import EngineError, FileMissingError, StorageMissingError
from ..repository import archive, archive_info, backup_info, layout, lock, manifest, report
from ..repository.contents import Manifest
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
    facts: dict[str, list[RepoFacts]] = {}
    manifests: dict[str, Manifest | None] = {}
    repos = (
        options.repos if options.selected_repo is None else (options.repo(options.selected_repo),)
    )
    for outcome in repositories.at_once(repos, lambda repo: list(_repo(options, repo, manifests))):
        if outcome.failure is not None:
            raise outcome.failure
        for name, found in outcome.result or ():
            facts.setdefault(name, []).append(found)
    only = None if options.set is None else {options.set: manifests.get(options.set)}
    reports = tuple(
        report.stanza_report(name, facts[name], only=only, kind=options.type)
        for name in sorted(facts)
    )
    if options.output == "json":
        return InfoResult(reports, report.render_json(reports))
    return InfoResult(reports, render_text(reports, backup_set=options.set))


def _repo(
    options: Options, repo: RepoOptions, manifests: dict[str, Manifest | None]
) -> t.Iterator[tuple[str, RepoFacts]]:
    """The stanzas of one repository."""
    names = [options.stanza] if options.stanza is not None else []
    try:
        with open_storage(repo, io_timeout=options.io_timeout, lender=lender(options)) as storage:
            for name in names or _stanzas(storage):
                yield name, _stanza(options, repo, storage, name, manifests)
    except EngineError as cause:
        for name in names or ["[invalid]"]:
            yield name, _locks(options, name, RepoFacts(repo.key, repo.cipher_type, error=cause))


def _stanzas(storage: Storage) -> list[str]:
    try:
        entries = storage.list(layout.BACKUP)
    except StorageMissingError:
        return []
    return sorted(entry.name for entry in entries if entry.kind is FileKind.PATH)


def _stanza(
    options: Options,
    repo: RepoOptions,
    storage: Storage,
    name: str,
    manifests: dict[str, Manifest | None],
) -> RepoFacts:
    facts = RepoFacts(repo.key, repo.cipher_type)
    secret = cipher_pass(repo)
    try:
        # Both are on their way while one of them is waited for.
        loading = archive_info.begin(storage, name, secret)
        backups = _if_there(backup_info.begin(storage, name, secret).result)
        # Backups without it are damage; without either, it is no stanza.
        wal_info = _if_there(loading.result) if backups is None else loading.result()
        if wal_info is None and backups is None:
            paths = [layout.archive_path(name), layout.backup_path(name)]
            present = any(found is not None for found in storage.info_many(paths))
            return _locks(options, name, dataclasses.replace(facts, present=present))
        ids = [row.archive_id for row in wal_info.history] if wal_info is not None else []
        facts = dataclasses.replace(
            facts,
            archive=wal_info,
            backup=backups,
            wal=archive.wal_ranges(storage, name, ids),
        )
        if options.set is not None and backups is not None and options.set in backups.backups:
            found = manifest.load(storage, name, options.set, backups.cipher_pass)
            manifests[options.set] = found
    except EngineError as cause:
        facts = dataclasses.replace(facts, error=cause)
    return _locks(options, name, facts)


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
