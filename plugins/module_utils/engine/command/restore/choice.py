# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup of which repository is restored, and whether its WAL leads to the target."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from datetime import datetime

from ... import log
from ...config.options import Options, RepoOptions
from ...errors import (
    AssertError,
    BackupSetInvalidError,
    DbMismatchError,
    EngineError,
    HostConnectError,
)
from ...postgres import recovery, timeline
from ...postgres.goal import Goal
from ...repository import archive_info, backup_info, manifest, selection
from ...repository.backup_info import BackupDb, BackupEntry, BackupInfo
from ...repository.cluster_archive import ClusterArchive
from ...repository.contents import PG_DATA, Manifest
from ...storage.base import Storage
from ...storage.open import Opener
from ..cipher import cipher_pass
from ..stored_control import stored_control
from .histories import Histories
from .reach import WITHOUT_RECOVERY, Reach, start_of, way

_WAL = f"{PG_DATA}/pg_wal/"

# A cluster, by its version and system id: its number differs from one repository to another.
Cluster = tuple[str, int]

# Types of targets that are in the WAL alone: they cannot choose the backup.
_UNDATED = ("name", "xid")


class Chosen(t.NamedTuple):
    """The backup to restore; ``path`` is None where no recovery follows that could be checked."""

    repo: RepoOptions
    entry: BackupEntry
    contents: Manifest
    path: timeline.Path | None


class Choice:
    """The repositories that may be asked, each one opened when its turn comes."""

    def __init__(
        self, options: Options, repos: t.Sequence[RepoOptions], openers: t.Mapping[int, Opener]
    ) -> None:
        self._options = options
        self._stanza = options.require_stanza()
        self._repos = repos
        self._openers = openers
        self._stack = contextlib.ExitStack()
        self._storages: dict[int, Storage] = {}
        self._archives: dict[tuple[int, Cluster], ClusterArchive] = {}
        self._away: set[int] = set()

    def __enter__(self) -> Choice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._stack.close()
        self._storages.clear()

    def connect(self) -> bool:
        """Connect to the repository if there is only one; then it is clear which one it will be."""
        if len(self._repos) != 1:
            return False
        self._storage(self._repos[0])
        return True

    def storage(self, chosen: Chosen) -> Storage:
        """The repository that was chosen."""
        return self._storage(chosen.repo)

    def choose(self, aim: Goal) -> Chosen:
        """The first repository that has the right backup decides.

        Raises BackupSetInvalidError or DbMismatchError when none has one, and what went wrong when
        the only repository cannot be read.
        """
        causes: list[EngineError] = []
        for repo in self._repos:
            try:
                return self._choose_from(repo, aim)
            except EngineError as cause:
                if len(self._repos) == 1:
                    raise
                log.warn("repo%d: %s", repo.key, cause.message)
                causes.append(cause)
                if isinstance(cause, HostConnectError):
                    self._away.add(repo.key)
        wanted = (BackupSetInvalidError, DbMismatchError)
        raise next((cause for cause in causes if isinstance(cause, wanted)), causes[0])

    def _choose_from(self, repo: RepoOptions, aim: Goal) -> Chosen:
        storage = self._storage(repo)
        info = backup_info.load(storage, self._stanza, cipher_pass(repo))
        entry, path = self._reachable(repo, info, aim)
        contents = manifest.load(storage, self._stanza, entry.label, info.cipher_pass)
        manifest.validate_whole(contents)
        log.info(
            "repo%d: restore backup set %s, recovery will start at %s",
            repo.key,
            entry.label,
            datetime.fromtimestamp(entry.timestamp_start).strftime("%Y-%m-%d %H:%M:%S"),
        )
        if aim.kind in _UNDATED and self._options.set in (None, selection.LATEST):
            log.warn(
                "nothing but recovery can tell where target '%s' of type %s lies: it is reached"
                " only if it came after %s, when backup set %s, the newest, was complete\n"
                "HINT: for an earlier one name an older backup with --set.",
                aim.text,
                aim.kind,
                selection.utc(entry.timestamp_stop),
                entry.label,
            )
        return Chosen(repo, entry, contents, path)

    def _reachable(
        self, repo: RepoOptions, info: BackupInfo, aim: Goal
    ) -> tuple[BackupEntry, timeline.Path | None]:
        """The best backup from which a way leads to the target timeline."""
        first: DbMismatchError | None = None
        entries = selection.candidates(info, aim, self._options.set)
        for entry in entries:
            if entry.archive_start is None or aim.kind == "none":
                return entry, None
            try:
                return entry, self._way(repo, info, entry, aim)
            except DbMismatchError as cause:
                if len(entries) > 1:
                    log.info("repo%d: %s", repo.key, cause.message)
                first = first or cause
        raise first or AssertError("there is no backup to choose from")

    def _way(
        self, repo: RepoOptions, info: BackupInfo, entry: BackupEntry, aim: Goal
    ) -> timeline.Path:
        options = dataclasses.replace(self._options, type=aim.kind)
        db = _db(info, entry)
        wanted = recovery.target_timeline(options, db.version)
        return way(Histories(self._all(repo, (db.version, db.system_id))), entry, wanted)

    def check_reach(self, chosen: Chosen, aim: Goal) -> None:
        """Raise when the WAL that recovery needs is not in any repository; see ``Reach.check``."""
        reach = self.reach(chosen, aim)
        if reach is None:
            return
        self.check(reach, aim)
        log.info(
            "recovery has %d WAL segments, from %s to %s",
            reach.count,
            chosen.entry.archive_start,
            reach.last,
        )

    def check(self, reach: Reach, aim: Goal) -> None:
        """Raise when recovery cannot reach the goal, or may go where nobody wants it.

        See ``Reach.check`` and ``branch.check``.
        """
        reach.check(aim)
        if aim.kind not in ("immediate", *WITHOUT_RECOVERY):
            given = {key.replace("-", "_") for key, _value in self._options.recovery_option}
            named = bool(self._options.target_timeline) or "recovery_target_timeline" in given
            reach.check_branches(aim, named=named)

    def reach(self, chosen: Chosen, aim: Goal) -> Reach | None:
        """The WAL for the recovery; None where there is none that could be checked."""
        entry, contents, path = chosen.entry, chosen.contents, chosen.path
        if path is None or entry.archive_start is None:
            return None
        size = self._segment_size(chosen)
        own = [file.name[len(_WAL) :] for file in contents.files if file.name.startswith(_WAL)]
        reach = Reach(path, start_of(entry, size), size, own=own)
        cluster = contents.db.version, contents.db.system_id
        reach.add(self._archive(chosen.repo, cluster), aim)
        # Where the archive ends only all repositories together know.
        if aim.kind == "default" or not reach.is_whole(aim):
            for repo in self._others(chosen.repo):
                with self._telling(repo):
                    reach.add(self._archive(repo, cluster), aim)
        return reach

    def _others(self, first: RepoOptions) -> t.Iterator[RepoOptions]:
        """archive-get asks all repositories, whichever the backup is from."""
        for repo in self._options.repos:
            if repo.key != first.key and repo.key in self._openers and repo.key not in self._away:
                yield repo

    @contextlib.contextmanager
    def _telling(self, repo: RepoOptions) -> t.Iterator[None]:
        """What another repository cannot tell is told once; it is not asked again."""
        try:
            yield
        except EngineError as cause:
            log.warn("repo%d: %s", repo.key, cause.message)
            self._away.add(repo.key)

    def _all(self, first: RepoOptions, cluster: Cluster) -> t.Iterator[ClusterArchive]:
        """The archives of all repositories, as far as they can be asked."""
        yield self._archive(first, cluster)
        for repo in self._others(first):
            with self._telling(repo):
                archive = self._archive(repo, cluster)
                archive.timelines()
                yield archive

    def _segment_size(self, chosen: Chosen) -> int:
        """As pg_control of the backup has it; the info files do not."""
        storage = self._storage(chosen.repo)
        return stored_control(storage, self._stanza, chosen.contents).wal_segment_size

    def _archive(self, repo: RepoOptions, cluster: Cluster) -> ClusterArchive:
        known = self._archives.get((repo.key, cluster))
        if known is None:
            storage = self._storage(repo)
            version, system_id = cluster
            known = self._archives[repo.key, cluster] = ClusterArchive(
                storage,
                self._stanza,
                archive_info.load(storage, self._stanza, cipher_pass(repo)),
                version=version,
                system_id=system_id,
            )
        return known

    def _storage(self, repo: RepoOptions) -> Storage:
        if repo.key not in self._storages:
            storage = self._openers[repo.key].storage()
            self._storages[repo.key] = self._stack.enter_context(storage)
        return self._storages[repo.key]


def _db(info: BackupInfo, entry: BackupEntry) -> BackupDb:
    """The cluster that was backed up."""
    return next(row for row in info.history if row.id == entry.db_id)
