# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stanza-create: give a cluster its place in the repositories (repository reference, 17)."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import (
    EngineError,
    FileInvalidError,
    FileMissingError,
    PathCreateError,
    PathNotEmptyError,
    StorageMissingError,
)
from ..postgres.control import ControlData
from ..repository import archive_info, backup_info, layout, lock
from ..repository.archive_info import ArchiveInfo
from ..repository.backup_info import BackupDb, BackupInfo
from ..storage.base import TEMPORARY_SUFFIX, Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from .cipher import cipher_pass, new_sub_key
from .cluster import cluster_control

_INFO_FILES = ("archive.info", "backup.info")


@dataclass(frozen=True)
class Former:
    """The cluster that a stanza was of until it was upgraded."""

    system_id: int
    version: str


@dataclass(frozen=True)
class StanzaRepo:
    """One repository after the command."""

    key: int
    created: bool
    """Whether anything was written."""
    former: Former | None = None
    """Of a stanza that was upgraded."""


@dataclass(frozen=True)
class StanzaResult:
    """What stanza-create found or made."""

    stanza: str
    system_id: int
    version: str
    repos: tuple[StanzaRepo, ...]

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return any(repo.created for repo in self.repos)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def run(options: Options) -> StanzaResult:
    """Create the stanza in every repository, or check that it matches the cluster.

    Raises FileInvalidError when the stanza is of another cluster, FileMissingError when half of it
    is gone, PathNotEmptyError when something else is in its place.
    """
    stanza = options.require_stanza()
    lock.check_stop(options.lock_path, stanza)
    keys = [repo.key for repo in options.repos]
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(options.lock_path, stanza, lock.ALL, keys)
        with cluster_control(options, locks.claim) as control:
            repos = []
            for repo in options.repos:
                log.info("stanza-create for stanza '%s' on repo%d", stanza, repo.key)
                with open_storage(
                    repo, io_timeout=options.io_timeout, lender=lender(options)
                ) as storage:
                    created = create(storage, repo, stanza, control)
                repos.append(StanzaRepo(repo.key, created))
    return StanzaResult(stanza, control.system_id, control.version, tuple(repos))


def create(storage: Storage, repo: RepoOptions, stanza: str, control: ControlData) -> bool:
    """Make the info files of one repository where there are none; True when they were made."""
    secret = cipher_pass(repo)
    found = _present(storage, stanza)
    if not any(found.values()):
        parts = _refuse_leftovers(storage, stanza)
        archive = archive_info.create(control.system_id, control.version, new_sub_key(repo))
        backup = backup_info.create(_history_row(control), new_sub_key(repo))
        try:
            _save(storage, stanza, archive, backup, secret)
        except StorageMissingError as cause:
            raise PathCreateError(
                f"unable to make the stanza's directories: {cause.message}",
                hint=f"is repo{repo.key}-path={repo.path} a directory on the repository's host?",
            ) from cause
        storage.remove_many(parts)
        return True
    archive_there = found["archive.info"] or found["archive.info.copy"]
    backup_there = found["backup.info"] or found["backup.info.copy"]
    if not (archive_there and backup_there):
        if archive_there and _only_info_files(storage, stanza):
            # A run that ended between the two files; nothing depends on them yet.
            archive = archive_info.load(storage, stanza, secret)
            backup = backup_info.create(_history_row(control), new_sub_key(repo))
            validate(archive, backup, control, repo)
            _save(storage, stanza, archive, backup, secret)
            storage.remove_many(_parts(_contents(storage, stanza)))
            return True
        gone, there = ("archive", "backup") if backup_there else ("backup", "archive")
        raise FileMissingError(
            f"{there}.info exists but {gone}.info is missing on repo{repo.key}",
            hint="this may be a symptom of repository corruption; verify shows what is left.",
        )
    archive = archive_info.load(storage, stanza, secret)
    backup = backup_info.load(storage, stanza, secret)
    validate(archive, backup, control, repo)
    if not all(found.values()):
        _save(storage, stanza, archive, backup, secret)
        storage.remove_many(_parts(_contents(storage, stanza)))
        return True
    log.info("stanza '%s' already exists on repo%d and is valid", stanza, repo.key)
    return False


def _save(
    storage: Storage, stanza: str, archive: ArchiveInfo, backup: BackupInfo, secret: str | None
) -> None:
    """Write both; backup.info appears when archive.info has, see ``create``."""
    first = archive_info.begin_save(storage, stanza, archive, secret)
    then = backup_info.begin_save(storage, stanza, backup, secret, after=first)
    storage.wait([*first, *then])


def validate(
    archive: ArchiveInfo, backup: BackupInfo, control: ControlData, repo: RepoOptions
) -> None:
    """The two files must agree with each other and with the cluster; else FileInvalidError."""
    ours = (archive.current.id, archive.current.system_id, archive.current.version)
    theirs = (backup.current.id, backup.current.system_id, backup.current.version)
    if ours != theirs:
        raise FileInvalidError(
            f"backup info file and archive info file do not match on repo{repo.key}\n"
            f"archive: id = {ours[0]}, version = {ours[2]}, system-id = {ours[1]}\n"
            f"backup : id = {theirs[0]}, version = {theirs[2]}, system-id = {theirs[1]}",
            hint="this may be a symptom of repository corruption.",
        )
    if (ours[1], ours[2]) != (control.system_id, control.version):
        raise FileInvalidError(
            f"the stanza on repo{repo.key} is of another cluster: version {ours[2]}, system-id "
            f"{ours[1]}, but the cluster is version {control.version}, system-id "
            f"{control.system_id}",
            hint="is this the right stanza and pg1-path? after a major upgrade run stanza-upgrade.",
        )


def _present(storage: Storage, stanza: str) -> dict[str, bool]:
    paths = {}
    for path in (layout.archive_info(stanza), layout.backup_info(stanza)):
        for name in (path, layout.copy_of(path)):
            paths[name.rsplit("/", 1)[1]] = name
    infos = storage.info_many(list(paths.values()))
    return {name: info is not None for name, info in zip(paths, infos)}


def _contents(storage: Storage, stanza: str) -> t.Iterator[tuple[str, list[str]]]:
    """The directories of the stanza and what lies in them."""
    paths = [layout.archive_path(stanza), layout.backup_path(stanza)]
    for path, found in zip(paths, storage.list_many(paths)):
        if isinstance(found, StorageMissingError):
            continue
        if isinstance(found, EngineError):
            raise found
        yield path, [info.name for info in found]


def _is_part(name: str) -> bool:
    return name.endswith(TEMPORARY_SUFFIX)


def _parts(contents: t.Iterable[tuple[str, list[str]]]) -> list[str]:
    """What a run that was killed has left of the info files it wrote; they are written anew."""
    return [
        f"{path}/{name}"
        for path, names in contents
        for name in names
        if _is_part(name) and name.startswith(_INFO_FILES)
    ]


def _only_info_files(storage: Storage, stanza: str) -> bool:
    return all(
        name.startswith(_INFO_FILES) or _is_part(name)
        for _dummy, names in _contents(storage, stanza)
        for name in names
    )


def _refuse_leftovers(storage: Storage, stanza: str) -> list[str]:
    """Raise where there is more than what a killed run has left of info files; gives that."""
    contents = list(_contents(storage, stanza))
    for path, found in contents:
        names = [name for name in found if not _is_part(name)]
        if names:
            raise PathNotEmptyError(
                f"'{path}' in the repository is not empty but has no info file: it holds "
                f"{', '.join(sorted(names)[:3])}",
                hint="were the info files removed by hand? move the directory away to start anew.",
            )
    return _parts(contents)


def _history_row(control: ControlData) -> BackupDb:
    return BackupDb(
        1, control.system_id, control.version, control.catalog_version, control.control_version
    )
