# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stanza-upgrade: the cluster has another major version, or another system id, from now on.

Each info file gets a new entry in its history where its current one does not fit (repository
reference, section 17). Backups and WAL of the former cluster stay.
"""

from __future__ import annotations

import typing as t

from .. import log
from ..config.options import Options, RepoOptions
from ..postgres.control import ControlData
from ..repository import archive_info, backup_info, lock
from ..repository.archive_info import ArchiveInfo
from ..repository.backup_info import BackupDb, BackupInfo
from ..storage.base import Storage
from ..storage.open import open_storage
from .cipher import cipher_pass
from .cluster import cluster_control
from .stanza import Former, StanzaRepo, StanzaResult, validate


class Planned(t.NamedTuple):
    """The files of one repository, as they are and as they have to be."""

    archive: ArchiveInfo
    new_archive: ArchiveInfo
    backup: BackupInfo
    new_backup: BackupInfo

    @property
    def former(self) -> Former | None:
        """The cluster that the stanza is of until the files are written; None without a change.

        A run that broke off may have written the one, but not the other.
        """
        if self.new_archive is not self.archive:
            return Former(self.archive.current.system_id, self.archive.current.version)
        if self.new_backup is not self.backup:
            return Former(self.backup.current.system_id, self.backup.current.version)
        return None


def run(options: Options) -> StanzaResult:
    """Bring the stanza up to the cluster in every repository; one that fits already is left."""
    stanza = options.require_stanza()
    lock.check_stop(options.lock_path, stanza)
    keys = [repo.key for repo in options.repos]
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(options.lock_path, stanza, lock.ALL, keys)
        with cluster_control(options, locks.claim) as control:
            return _all(options, stanza, control, upgrade)


def preview(options: Options) -> StanzaResult:
    """What ``run`` would do at this moment, and its errors; nothing is locked or written."""

    def foresee(
        storage: Storage, repo: RepoOptions, stanza: str, control: ControlData
    ) -> Former | None:
        return planned(storage, repo, stanza, control).former

    stanza = options.require_stanza()
    lock.check_stop(options.lock_path, stanza)
    with cluster_control(options, None) as control:
        return _all(options, stanza, control, foresee)


def _all(
    options: Options,
    stanza: str,
    control: ControlData,
    work: t.Callable[[Storage, RepoOptions, str, ControlData], Former | None],
) -> StanzaResult:
    repos = []
    for repo in options.repos:
        log.info("stanza-upgrade for stanza '%s' on repo%d", stanza, repo.key)
        with open_storage(repo, io_timeout=options.io_timeout) as storage:
            former = work(storage, repo, stanza, control)
        repos.append(StanzaRepo(repo.key, former is not None, former))
    return StanzaResult(stanza, control.system_id, control.version, tuple(repos))


def planned(storage: Storage, repo: RepoOptions, stanza: str, control: ControlData) -> Planned:
    """What one repository needs.

    Raises FileMissingError without a stanza, FileInvalidError when the two files would not agree
    afterwards.
    """
    secret = cipher_pass(repo)
    archive = archive_info.load(storage, stanza, secret)
    backup = backup_info.load(storage, stanza, secret)
    wanted = (control.system_id, control.version)
    new_archive = archive
    if (archive.current.system_id, archive.current.version) != wanted:
        new_archive = archive.upgraded(control.system_id, control.version)
    new_backup = backup
    if (backup.current.system_id, backup.current.version) != wanted:
        new_backup = backup.upgraded(
            BackupDb(
                0,
                control.system_id,
                control.version,
                control.catalog_version,
                control.control_version,
            )
        )
    validate(new_archive, new_backup, control, repo)
    return Planned(archive, new_archive, backup, new_backup)


def upgrade(
    storage: Storage, repo: RepoOptions, stanza: str, control: ControlData
) -> Former | None:
    """Upgrade the stanza in one repository; None when there was nothing to write.

    Raises what ``planned`` does.
    """
    plan = planned(storage, repo, stanza, control)
    secret = cipher_pass(repo)
    # Whoever is interrupted between the two runs the command again: each is looked at by itself.
    if plan.new_archive is not plan.archive:
        archive_info.save(storage, stanza, plan.new_archive, secret)
    if plan.new_backup is not plan.backup:
        backup_info.save(storage, stanza, plan.new_backup, secret)
    if plan.former is None:
        log.info("stanza '%s' on repo%d is already up to date", stanza, repo.key)
    return plan.former
