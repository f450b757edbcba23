# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check: is everything in place for archiving and backups? (repository reference, section 17)"""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
from dataclasses import dataclass, replace

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import EngineError, HostConnectError
from ..postgres.control import ControlData
from ..postgres.node import Node
from ..repository import archive_info, backup_info
from ..repository.archive_info import ArchiveInfo
from ..repository.backup_info import BackupInfo
from ..storage.base import Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from . import preflight, wal
from .backup.source import check_archiving
from .cipher import cipher_pass
from .cluster import Cluster, checked_control, complete, reached
from .preflight import Preflight
from .stanza import validate


class _Infos(t.NamedTuple):
    archive: ArchiveInfo
    backup: BackupInfo


@dataclass(frozen=True)
class CheckRepo:
    """One repository that passed."""

    key: int
    segment: str | None
    """The WAL segment that was archived; None when archiving was not checked."""
    archived_after: float | None
    """Seconds from the WAL switch until the segment was in the archive."""
    preflight: Preflight | None
    """None for a repository without a server, or when it was left out."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "key": self.key,
            "segment": self.segment,
            "archived_after": self.archived_after,
            "preflight": None if self.preflight is None else self.preflight.as_dict(),
        }


@dataclass(frozen=True)
class CheckResult:
    """What was checked; anything wrong is raised."""

    stanza: str
    system_id: int
    version: str
    standby: bool
    """Whether a standby was found."""
    repos: tuple[CheckRepo, ...]
    text: str
    """For the command's output."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "stanza": self.stanza,
            "system_id": self.system_id,
            "version": self.version,
            "standby": self.standby,
            "repos": [repo.as_dict() for repo in self.repos],
        }


def run(options: Options) -> CheckResult:
    """Try the repositories' servers; compare cluster, configuration and repositories; then archive
    a segment and see it arrive. A host that knows only its standby does all but the last.
    """
    stanza = options.require_stanza()
    with contextlib.ExitStack() as stack:
        targets = []
        for repo in options.repos:
            storage = stack.enter_context(
                open_storage(repo, io_timeout=options.io_timeout, lender=lender(options))
            )
            targets.append(_look_at(storage, repo, stanza, options))
        wanted = "n" if options.backup_standby == "n" else "prefer"
        try:
            with reached(options) as found:
                standby = found.standby
                if standby is not None and found.primary is None and _is_outpost(options):
                    result = _check_standby(options, stanza, targets, standby)
                else:
                    result = _check(options, stanza, targets, complete(found, options, wanted))
        except EngineError:
            for target in targets:
                if target.preflight is not None:
                    log.warn("before it failed, the check found\n%s", target.table)
            raise
        return replace(result, text=_text(result, options.output))


class _Target(t.NamedTuple):
    """A repository whose server was tried."""

    repo: RepoOptions
    storage: Storage
    infos: _Infos | EngineError
    """Not looked at yet; an error is one only for whoever needs them."""
    preflight: Preflight | None

    @property
    def table(self) -> str:
        """What was found, for people."""
        found = self.preflight
        return "" if found is None else preflight.render(self.repo.key, found).rstrip("\n")


def _look_at(storage: Storage, repo: RepoOptions, stanza: str, options: Options) -> _Target:
    """Read the info files and run the preflight, neither of which needs a stanza or a cluster."""
    infos: _Infos | EngineError
    try:
        secret = cipher_pass(repo)
        both = (
            archive_info.begin(storage, stanza, secret),
            backup_info.begin(storage, stanza, secret),
        )
        infos = _Infos(both[0].result(), both[1].result())
    except HostConnectError:
        raise
    except EngineError as cause:
        infos = cause
    found = None
    if options.preflight:
        backups = infos.backup if isinstance(infos, _Infos) else None
        found = preflight.run(storage, repo.key, backups)
    target = _Target(repo, storage, infos, found)
    if found is not None:
        log.info("preflight\n%s", target.table)
    return target


def _check(options: Options, stanza: str, targets: list[_Target], cluster: Cluster) -> CheckResult:
    check_archiving(cluster.primary.db.facts(), options)
    log.info("check stanza '%s'", stanza)
    archive_ids = [_check_info(target, cluster.control) for target in targets]
    repos = []
    segment = None
    if options.archive_check:
        # Without a record there may be nothing to switch away from.
        cluster.primary.db.create_restore_point("pgBackRest Archive Check")
        segment = cluster.primary.db.switch_wal()
    started = time.monotonic()
    for target, archive_id in zip(targets, archive_ids):
        took = None
        key = target.repo.key
        if segment is not None:
            wal.wait_for(target.storage, stanza, archive_id, [segment], options.archive_timeout)
            took = round(time.monotonic() - started, 3)
            log.info("WAL segment %s successfully archived on repo%d", segment, key)
        repos.append(CheckRepo(key, segment, took, target.preflight))
    return _result(stanza, cluster.control, cluster.standby is not None, repos)


def _is_outpost(options: Options) -> bool:
    """Whether nobody would miss a primary here: this is one host, with no repository of its own."""
    return len(options.pgs) == 1 and all(repo.type != "posix" for repo in options.repos)


def _check_standby(
    options: Options, stanza: str, targets: list[_Target], standby: Node
) -> CheckResult:
    """What there is to see from a host whose server cannot switch WAL."""
    control = checked_control(standby)
    log.info("check stanza '%s' (standby)", stanza)
    for target in targets:
        _check_info(target, control)
    if options.archive_check:
        log.warn(
            "switch wal not performed because this is a standby\n"
            "HINT: whether WAL is archived shows a check on the primary."
        )
    repos = [CheckRepo(target.repo.key, None, None, target.preflight) for target in targets]
    return _result(stanza, control, True, repos)


def _result(
    stanza: str, control: ControlData, standby: bool, repos: list[CheckRepo]
) -> CheckResult:
    return CheckResult(stanza, control.system_id, control.version, standby, tuple(repos), "")


def _text(result: CheckResult, output: str) -> str:
    if output == "json":
        return json.dumps(result.as_dict(), sort_keys=True, separators=(",", ":")) + "\n"
    tables = [preflight.render(row.key, row.preflight) for row in result.repos if row.preflight]
    return "".join(tables)


def _check_info(target: _Target, control: ControlData) -> str:
    """Compare the info files with the cluster; the archive id."""
    if isinstance(target.infos, EngineError):
        raise target.infos
    validate(*target.infos, control, target.repo)
    return target.infos.archive.current.archive_id
