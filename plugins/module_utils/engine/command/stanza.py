# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stanza-create: give a cluster its place in the repositories (repository reference, 17)."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import asdict, dataclass

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import (
    ChecksumError,
    DbMismatchError,
    EngineError,
    FileInvalidError,
    FileMissingError,
    FormatError,
    PathCreateError,
    PathNotEmptyError,
    StorageMissingError,
    VersionNotSupportedError,
)
from ..postgres.control import ControlData
from ..repository import archive_info, backup_info, layout, lock
from ..repository.archive_info import ArchiveInfo
from ..repository.backup_info import BackupDb, BackupInfo
from ..storage.base import TEMPORARY_SUFFIX, Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from .cipher import cipher_pass, new_sub_key
from .cluster import cluster_control, open_node

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


def preview(options: Options) -> tuple[StanzaRepo, ...]:
    """What ``run`` would do at this moment, and its errors; nothing is locked or written.

    A cluster that cannot be read is only a warning, since a play may be about to make or start it.
    """
    stanza = options.require_stanza()
    lock.check_stop(options.lock_path, stanza)
    control = _control_if_there(options)
    repos = []
    for repo in options.repos:
        with open_storage(repo, io_timeout=options.io_timeout, lender=lender(options)) as storage:
            found = examine(storage, repo, stanza, control)
        repos.append(StanzaRepo(repo.key, not found.is_complete))
    return tuple(repos)


def _control_if_there(options: Options) -> ControlData | None:
    """pg_control of the cluster, or as it lies there when the server does not answer."""
    try:
        with cluster_control(options, None) as control:
            return control
    except (ChecksumError, DbMismatchError, FormatError, VersionNotSupportedError):
        # It can be read, and is not what it should be.
        raise
    except EngineError as cause:
        log.warn("the stanza is not compared with a running cluster: %s", cause.message)
    if options.online and options.pg.host is None:
        with contextlib.suppress(EngineError):
            return open_node(options, options.pg.key).control()
    return None


class Found(t.NamedTuple):
    """What of a stanza is in one repository."""

    archive: ArchiveInfo | None
    backup: BackupInfo | None
    is_complete: bool
    """Whether there is nothing to write."""
    parts: list[str]
    """What a run that was killed has left of the info files it wrote."""


def examine(storage: Storage, repo: RepoOptions, stanza: str, control: ControlData | None) -> Found:
    """Look at what is there, and refuse what ``run`` does; None for a cluster that is not known."""
    secret = cipher_pass(repo)
    there = _present(storage, stanza)
    if not any(there.values()):
        return Found(None, None, False, _refuse_leftovers(storage, stanza))
    archive_there = there["archive.info"] or there["archive.info.copy"]
    backup_there = there["backup.info"] or there["backup.info.copy"]
    if not (archive_there and backup_there):
        if not (archive_there and _no_backups(storage, stanza)):
            gone, kept = ("archive", "backup") if backup_there else ("backup", "archive")
            raise FileMissingError(
                f"{kept}.info exists but {gone}.info is missing on repo{repo.key}",
                hint="this may be a symptom of repository corruption; verify shows what is left.",
            )
        # A run that ended between the two files. WAL may have come since: it needs archive.info,
        # which stays; and nothing is there that backup.info could tell of.
        archive, backup = archive_info.load(storage, stanza, secret), None
        if control is not None:
            validate(archive, backup_info.create(_history_row(control), None), control, repo)
    else:
        archive = archive_info.load(storage, stanza, secret)
        backup = backup_info.load(storage, stanza, secret)
        if control is None:
            agree(archive, backup, repo)
        else:
            validate(archive, backup, control, repo)
        if all(there.values()):
            return Found(archive, backup, True, [])
    return Found(archive, backup, False, _parts(_contents(storage, stanza)))


def create(storage: Storage, repo: RepoOptions, stanza: str, control: ControlData) -> bool:
    """Make the info files of one repository where there are none; True when they were made.

    Raises what ``run`` does.
    """
    found = examine(storage, repo, stanza, control)
    if found.is_complete:
        log.info("stanza '%s' already exists on repo%d and is valid", stanza, repo.key)
        return False
    archive = found.archive or archive_info.create(
        control.system_id, control.version, new_sub_key(repo)
    )
    backup = found.backup or backup_info.create(_history_row(control), new_sub_key(repo))
    try:
        _save(storage, stanza, archive, backup, cipher_pass(repo))
    except StorageMissingError as cause:
        raise PathCreateError(
            f"unable to make the stanza's directories: {cause.message}",
            hint=f"is repo{repo.key}-path={repo.path} a directory on the repository's host?",
        ) from cause
    storage.remove_many(found.parts)
    return True


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
    agree(archive, backup, repo)
    ours = archive.current
    if (ours.system_id, ours.version) != (control.system_id, control.version):
        raise FileInvalidError(
            f"the stanza on repo{repo.key} is of another cluster: version {ours.version}, "
            f"system-id {ours.system_id}, but the cluster is version {control.version}, system-id "
            f"{control.system_id}",
            hint="is this the right stanza and pg1-path? after a major upgrade run stanza-upgrade.",
        )


def agree(archive: ArchiveInfo, backup: BackupInfo, repo: RepoOptions) -> None:
    """The two files must be of the same cluster; else FileInvalidError."""
    ours = (archive.current.id, archive.current.system_id, archive.current.version)
    theirs = (backup.current.id, backup.current.system_id, backup.current.version)
    if ours != theirs:
        raise FileInvalidError(
            f"backup info file and archive info file do not match on repo{repo.key}\n"
            f"archive: id = {ours[0]}, version = {ours[2]}, system-id = {ours[1]}\n"
            f"backup : id = {theirs[0]}, version = {theirs[2]}, system-id = {theirs[1]}",
            hint="this may be a symptom of repository corruption.",
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


def _no_backups(storage: Storage, stanza: str) -> bool:
    """Whether nothing lies where backups do, but for parts of info files."""
    return all(
        name.startswith(_INFO_FILES) or _is_part(name)
        for path, names in _contents(storage, stanza)
        for name in names
        if path == layout.backup_path(stanza)
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
