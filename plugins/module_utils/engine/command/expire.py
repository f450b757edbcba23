# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""expire: remove the backups and the WAL that retention no longer keeps (repository reference, 16).

The order makes a crash harmless at every step. What goes is taken off backup.info first: whatever
is listed is whole at every moment, and what a crash leaves unlisted with its manifest is whole as
well, so that the next run, stock pgBackRest's too, lists it again. Then the manifests go, which
makes their directories dead, then the files, and WAL last. (pgBackRest begins with the manifests.)
"""

from __future__ import annotations

import time
import typing as t

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import (
    BackupSetInvalidError,
    CommandError,
    EngineError,
    OptionInvalidError,
    OptionInvalidValueError,
    StorageFullError,
    StorageMissingError,
)
from ..repository import archive_info, backup_info, layout, lock, reconstruct, retention
from ..repository.archive_info import ArchiveInfo
from ..repository.backup_info import BackupInfo
from ..repository.label import DIFF, FULL, INCR, is_label
from ..repository.reconstruct import Reconstruction
from ..repository.retention import RetentionRule, Verdict
from ..storage.base import Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from . import alive
from .cipher import cipher_pass
from .expire_report import ExpireReport, ExpireResult
from .expire_wal import ArchivePlan, check_histories, expire_archives, plan_archives
from .latest import restore_latest

_T = t.TypeVar("_T")


def run(options: Options) -> ExpireReport:
    """Expire every repository, or the one that is selected.

    One that fails keeps no other from being expired; it is told at the end. A backup that is named
    need not be in all of them.
    """
    stanza = options.require_stanza()
    if options.set is not None and options.oldest:
        raise OptionInvalidError(
            "option 'oldest' not valid with option 'set'", hint="give one of them."
        )
    if options.set is not None and not is_label(options.set):
        raise OptionInvalidValueError(
            f"'{options.set}' is not a valid backup label format",
            hint="a label is like 20260131-120000F; the info command lists those that there are.",
        )
    repos = options.repos if options.selected_repo is None else (options.repo(),)
    lock.check_stop(options.lock_path, stanza)
    results: list[ExpireResult] = []
    causes: dict[int, EngineError] = {}
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(
            options.lock_path, stanza, [lock.LockType.BACKUP], [repo.key for repo in repos]
        )
        for repo in repos:
            try:
                with open_storage(
                    repo, io_timeout=options.io_timeout, lender=lender(options)
                ) as storage:
                    results.append(expire(storage, options, repo))
            except EngineError as cause:
                causes[repo.key] = cause
                if len(repos) > 1:
                    log.warn("repo%d: %s", repo.key, cause)
    unknown = [cause for cause in causes.values() if isinstance(cause, _UnknownSetError)]
    if len(repos) == 1 and causes:
        raise causes[repos[0].key]
    if len(unknown) == len(repos):
        raise unknown[0]
    if len(causes) > len(unknown):
        raise CommandError(
            "; ".join(f"repo{key}: {cause.message}" for key, cause in causes.items()),
            hint=next((cause.hint for cause in causes.values() if cause.hint), None),
        )
    return ExpireReport(tuple(results), options.dry_run)


class _UnknownSetError(BackupSetInvalidError):
    """The backup to expire is not in this repository."""


def expire(storage: Storage, options: Options, repo: RepoOptions) -> ExpireResult:
    """Expire one repository; the caller holds the backup lock.

    Raises LockAcquireError while another host makes a backup.
    """
    stanza = options.require_stanza()
    secret = cipher_pass(repo)
    loading = archive_info.begin(storage, stanza, secret)
    found = reconstruct.load_reconstructed(storage, stanza, secret)
    archive = loading.result()
    if not options.dry_run:
        # It may build on what would be removed.
        alive.refuse(storage, options, found)
    return _expire(storage, options, repo, archive, found)


def expire_after(
    storage: Storage, options: Options, repo: RepoOptions, archive: ArchiveInfo, info: BackupInfo
) -> ExpireResult:
    """``expire`` with what a backup knows that has just been listed in ``info``.

    The repository is looked at again when a backup has to go, and that alone: WAL that no listed
    backup needs is none that one builds on which another host makes.
    """
    verdicts = _verdicts(info, _rule(repo), None, int(time.time()))
    if any(row.remove for row in verdicts):
        return expire(storage, options, repo)
    found = Reconstruction(info, on_disk=dict.fromkeys(info.backups, True))
    return _expire(storage, options, repo, archive, found)


def _expire(
    storage: Storage,
    options: Options,
    repo: RepoOptions,
    archive: ArchiveInfo,
    found: Reconstruction,
) -> ExpireResult:
    stanza = options.require_stanza()
    secret = cipher_pass(repo)
    rule = _rule(repo)
    if rule.full is None:
        log.warn(
            "option 'repo%d-retention-full' is not set for 'repo%d-retention-full-type=%s', the "
            "repository may run out of space",
            repo.key,
            repo.key,
            rule.full_type,
        )
    _warn_of_endless_wal(repo, rule)
    if options.oldest:
        rule = retention.oldest(found.info.backups, rule)
    now = int(time.time())
    verdicts = _verdicts(found.info, rule, options.set, now)
    doomed = [row.label for row in verdicts if row.remove]
    if options.set is not None and max(found.info.backups) in doomed:
        log.warn(
            "repo%d: expiring latest backup %s - the ability to perform point-in-time-recovery "
            "(PITR) may be affected\n"
            "HINT: of older backups repo%d-retention-archive may have kept no WAL but their own.",
            repo.key,
            max(found.info.backups),
            repo.key,
        )
    info = found.info.without_backups(doomed)
    for row in verdicts:
        (log.info if row.remove else log.detail)(
            "repo%d: %s backup %s: %s",
            repo.key,
            "expire" if row.remove else "keep",
            row.label,
            row.reason,
        )
    dead = sorted(_dead(storage, stanza, found, info), reverse=True)
    left = sorted(set(dead) - set(doomed))
    for name in left:
        log.info("repo%d: remove directory of no backup %s", repo.key, name)
    too_old = [] if options.set else retention.outdated(found.info.backups, rule, now=now)
    check_histories(archive, info)

    def plan() -> list[ArchivePlan]:
        return plan_archives(storage, stanza, archive, info, rule, too_old)

    # Dead directories without a doomed backup are of a run that ended here: it may have left the
    # copy of backup.info as it was, or none at all.
    if not options.dry_run and (doomed or dead or found.changed or found.half_saved):
        plans = _unlist(storage, stanza, info, secret, doomed, left, plan)
    else:
        plans = plan()
    if not options.dry_run:
        _remove_backups(storage, stanza, found, doomed, dead)
        if info.backups:
            restore_latest(storage, repo, stanza, info.backups)
    wal = expire_archives(storage, plans, repo, options.dry_run)
    history = _expire_history(storage, stanza, repo, info, options.dry_run)
    return ExpireResult(
        repo.key,
        tuple(verdicts),
        wal.verdicts,
        tuple(wal.removed),
        tuple(wal.timelines),
        tuple(history),
        tuple(left),
        tuple(sorted({*found.added, *found.removed})),
        options.dry_run,
    )


def _rule(repo: RepoOptions) -> RetentionRule:
    return RetentionRule(
        repo.retention_full,
        repo.retention_full_type,
        repo.retention_diff,
        repo.retention_archive,
        repo.retention_archive_type,
    )


def _warn_of_endless_wal(repo: RepoOptions, rule: RetentionRule) -> None:
    """Tell of a retention type of WAL that has no number: nothing of the WAL ever goes."""
    wanted = f"option 'repo{repo.key}-retention-archive'"
    if rule.archive_type == DIFF and rule.diff is None:
        lacking = f"neither {wanted} nor option 'repo{repo.key}-retention-diff' is set"
    elif rule.archive_type == INCR:
        lacking = f"{wanted} is not set"
    else:
        return
    if rule.archive is None:
        log.warn(
            "WAL segments will not be expired: option 'repo%d-retention-archive-type=%s' but %s",
            repo.key,
            rule.archive_type,
            lacking,
        )


def _verdicts(info: BackupInfo, rule: RetentionRule, wanted: str | None, now: int) -> list[Verdict]:
    if wanted is None:
        return retention.backups(info.backups, rule, now=now)
    if wanted not in info.backups:
        raise _UnknownSetError(
            f"backup set {wanted} is not valid", hint="the info command lists the backups."
        )
    gone = set(backup_info.dependents(info.backups, wanted))
    fulls = {name: entry.db_id for name, entry in info.backups.items() if entry.backup_type == FULL}
    # The cluster of the newest one: after stanza-upgrade the current one may have none yet.
    last = fulls[max(fulls)] if fulls else None
    if fulls and gone.issuperset(name for name, db_id in fulls.items() if db_id == last):
        raise BackupSetInvalidError(
            f"full backup {wanted} cannot be expired until another full backup has been created",
            hint="take a full backup first.",
        )
    return [
        Verdict(name, name in gone, f"named by --set={wanted}" if name in gone else "not named")
        for name in info.backups
    ]


def _unlist(
    storage: Storage,
    stanza: str,
    info: BackupInfo,
    secret: str | None,
    doomed: t.Sequence[str],
    left: t.Sequence[str],
    meanwhile: t.Callable[[], _T],
) -> _T:
    """Save backup.info without the doomed, and read ``meanwhile`` what that gives.

    A repository that is full takes not even this file, and expire is what it is to be freed with:
    copies of doomed manifests, and directories ``left`` by nobody listed, make room for it. What is
    listed can be restored without them.
    """
    try:
        saving = backup_info.begin_save(storage, stanza, info, secret)
        try:
            result = meanwhile()
        finally:
            storage.wait(saving)
    except StorageFullError:
        if not (doomed or left):
            raise
        storage.remove_many(layout.copy_of(layout.manifest_path(stanza, name)) for name in doomed)
        for name in left:
            storage.remove_tree(layout.label_path(stanza, name))
        storage.wait(backup_info.begin_save(storage, stanza, info, secret))
        return meanwhile()
    return result


def _remove_backups(
    storage: Storage,
    stanza: str,
    found: Reconstruction,
    doomed: t.Sequence[str],
    dead: t.Sequence[str],
) -> None:
    """Remove what backup.info does not list any more."""
    # Dependents before what they depend on. Of each the copy before the manifest: a directory with
    # a copy alone looks like a backup that is being made, and the newest one would stay.
    paths = [layout.manifest_path(stanza, label) for label in sorted(doomed, reverse=True)]
    storage.remove_many(name for path in paths for name in (layout.copy_of(path), path))
    for label in dead:
        log.info("remove expired backup %s", label)
        storage.remove_tree(layout.label_path(stanza, label))
    storage.remove_many([*found.orphans(dead), *found.parts])


def _dead(
    storage: Storage, stanza: str, found: Reconstruction, info: BackupInfo
) -> t.Iterator[str]:
    """Directories that no listed backup is in.

    The newest one may be a backup that another host is making, or one to be resumed: it stays while
    it has a copy of a manifest and backup.info never said that it was done.
    """
    unlisted = [name for name in found.on_disk if name not in info.backups]
    newest = max(found.on_disk, default="")
    for name in unlisted:
        if name == newest and not found.on_disk[name] and name not in found.removed:
            copy = layout.copy_of(layout.manifest_path(stanza, name))
            if storage.info(copy) is not None:
                continue
        if name not in found.invalid:
            yield name


def _expire_history(
    storage: Storage, stanza: str, repo: RepoOptions, info: BackupInfo, dry_run: bool
) -> list[str]:
    """Remove manifests of former backups that are too old; those of listed backups stay."""
    if repo.retention_history is None:
        return []
    limit = time.localtime(time.time() - repo.retention_history * retention.DAY)
    first = time.strftime("%Y%m%d-%H%M%S", limit)
    base = layout.history_path(stanza)
    try:
        years = [row.name for row in storage.list(base) if row.name <= first[:4]]
    except StorageMissingError:
        return []
    files: list[str] = []
    trees: list[str] = []
    for year, listing in zip(years, storage.list_many(f"{base}/{year}" for year in years)):
        if isinstance(listing, StorageMissingError):
            # Another host expires as well.
            continue
        if isinstance(listing, EngineError):
            raise listing
        names = [row.name for row in listing]
        kept = retention.history(names, info.backups, first)
        if kept:
            # Also what a backup that was killed has left of a manifest.
            files += [f"{base}/{year}/{name}" for name in names if name not in kept]
        else:
            trees.append(f"{base}/{year}")
    paths = sorted([*files, *trees])
    for path in paths:
        log.info("repo%d: remove expired backup history %s", repo.key, path[len(base) + 1 :])
    if not dry_run:
        storage.remove_many(files)
        for path in trees:
            storage.remove_tree(path)
    return paths
