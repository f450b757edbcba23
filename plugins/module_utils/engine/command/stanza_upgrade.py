# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stanza-upgrade: the cluster has another major version, or another system id, from now on.

Each info file gets a new entry in its history where its current one does not fit (repository
reference, section 17). Backups and WAL of the former cluster stay.
"""

from __future__ import annotations

from .. import log
from ..config.options import Options, RepoOptions
from ..postgres.control import ControlData
from ..repository import archive_info, backup_info, lock
from ..repository.backup_info import BackupDb
from ..storage.base import Storage
from ..storage.open import open_storage
from .cipher import cipher_pass
from .cluster import cluster_control
from .stanza import StanzaRepo, StanzaResult, validate


def run(options: Options) -> StanzaResult:
    """Bring the stanza up to the cluster in every repository; one that fits already is left."""
    stanza = options.require_stanza()
    lock.check_stop(options.lock_path, stanza)
    keys = [repo.key for repo in options.repos]
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(options.lock_path, stanza, lock.ALL, keys)
        control = cluster_control(options)
        repos = []
        for repo in options.repos:
            log.info("stanza-upgrade for stanza '%s' on repo%d", stanza, repo.key)
            with open_storage(repo, io_timeout=options.io_timeout) as storage:
                repos.append(StanzaRepo(repo.key, upgrade(storage, repo, stanza, control)))
    return StanzaResult(stanza, control.system_id, control.version, tuple(repos))


def upgrade(storage: Storage, repo: RepoOptions, stanza: str, control: ControlData) -> bool:
    """Upgrade the stanza in one repository; True when something was written.

    Raises FileInvalidError when the two files do not agree afterwards.
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
    # Whoever is interrupted between the two runs the command again: each is looked at by itself.
    if new_archive is not archive:
        archive_info.save(storage, stanza, new_archive, secret)
    if new_backup is not backup:
        backup_info.save(storage, stanza, new_backup, secret)
    if new_archive is archive and new_backup is backup:
        log.info("stanza '%s' on repo%d is already up to date", stanza, repo.key)
        return False
    return True
