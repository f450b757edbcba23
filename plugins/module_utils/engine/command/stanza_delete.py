# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stanza-delete: remove a stanza from a repository, backups and WAL (repository reference, 17).

The stop file shows that somebody means it, and keeps everything else away meanwhile. What makes it
a stanza goes first: whoever is interrupted leaves nothing that looks like one.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import asdict, dataclass

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import (
    EngineError,
    FileMissingError,
    HostConnectError,
    OptionRequiredError,
    PostgresRunningError,
    StopError,
    StorageMissingError,
)
from ..postgres.node import Node
from ..repository import layout, lock
from ..repository.reconstruct import labels_on_disk
from ..storage.base import Storage
from ..storage.open import open_storage
from .cluster import open_node


@dataclass(frozen=True)
class StanzaDeleteResult:
    """What was removed."""

    stanza: str
    repo: int
    backups: tuple[str, ...]
    changed: bool

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def run(options: Options) -> StanzaDeleteResult:
    """Remove the stanza from one repository.

    Raises FileMissingError without a stop file. Unless ``force``, it is PostgresRunningError while
    the cluster runs on any of its hosts, LockAcquireError while another host of it works on the
    stanza and HostConnectError when that cannot be asked. A stanza that is not there is no error.
    """
    stanza, repo = options.require_stanza(), _repo(options)
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(options.lock_path, stanza, lock.ALL, [repo.key])
        with open_storage(repo, io_timeout=options.io_timeout) as storage:
            found = _found(storage, stanza, repo)
            if found.changed:
                with _idle(options, locks.claim):
                    delete(storage, stanza)
    if lock.remove_stop(options.lock_path, stanza):
        log.info("stop file removed for stanza %s", stanza)
    return found


def preview(options: Options) -> StanzaDeleteResult:
    """What ``run`` would remove; nothing is locked or touched.

    What would keep it from that is only a warning: whoever asks may mean to stop all before.
    """
    stanza, repo = options.require_stanza(), _repo(options)
    with open_storage(repo, io_timeout=options.io_timeout) as storage:
        found = _found(storage, stanza, repo)
    if found.changed:
        try:
            with _idle(options, None):
                pass
        except EngineError as cause:
            log.warn("%s", cause)
    return found


def _repo(options: Options) -> RepoOptions:
    if len(options.repos) > 1 and options.selected_repo is None:
        raise OptionRequiredError(
            "stanza-delete command requires option: repo",
            hint="a stanza is deleted from one repository at a time.",
        )
    return options.repo()


def _found(storage: Storage, stanza: str, repo: RepoOptions) -> StanzaDeleteResult:
    backups = tuple(labels_on_disk(storage, stanza))
    return StanzaDeleteResult(stanza, repo.key, backups, _is_there(storage, stanza))


def delete(storage: Storage, stanza: str) -> None:
    """Remove everything of a stanza; the directories of all stanzas stay."""
    info_files = [
        name
        for path in (layout.archive_info(stanza), layout.backup_info(stanza))
        for name in (path, layout.copy_of(path))
    ]
    storage.remove_many(info_files)
    # Then the backups, as expire does: one without its manifest is none.
    for label in reversed(labels_on_disk(storage, stanza)):
        path = layout.manifest_path(stanza, label)
        storage.remove_many([path, layout.copy_of(path)])
    for path in (layout.archive_path(stanza), layout.backup_path(stanza)):
        storage.remove_tree(path)


def _is_there(storage: Storage, stanza: str) -> bool:
    paths = [layout.archive_path(stanza), layout.backup_path(stanza)]
    for listing in storage.list_many(paths):
        if isinstance(listing, StorageMissingError):
            continue
        if isinstance(listing, EngineError):
            raise listing
        return True
    return False


@contextlib.contextmanager
def _idle(options: Options, claim: lock.Claim | None) -> t.Iterator[None]:
    """Refuse while anything may still write to the stanza.

    The other hosts hold the locks of ``claim`` until the end of the block.
    """
    stanza = options.require_stanza()
    if not os.path.exists(lock.stop_file(options.lock_path, stanza)):
        raise FileMissingError(
            f"stop file does not exist for stanza '{stanza}'",
            hint="has the stop command been run on this host for this stanza?",
        )
    with contextlib.ExitStack() as stack:
        for pg in () if options.force else options.pgs:
            node = stack.enter_context(contextlib.closing(open_node(options, pg.key, claim)))
            try:
                running = _is_running(node)
            except StopError:
                # Nothing begins there, as we want it; it would grant no lock either.
                node = stack.enter_context(contextlib.closing(open_node(options, pg.key)))
                running = _is_running(node)
            if running:
                where = "" if pg.host is None else f" on '{pg.host}'"
                raise PostgresRunningError(
                    f"PostgreSQL is running in '{pg.path}'{where}: found postmaster.pid",
                    hint="stop it, or use --force.",
                )
        yield


def _is_running(node: Node) -> bool:
    try:
        return node.has_postmaster()
    except HostConnectError as cause:
        raise HostConnectError(
            f"unable to tell whether PostgreSQL is running in '{node.pg.path}': {cause.message}",
            hint="bring the host back, or use --force when it is gone for good.",
        ) from cause
