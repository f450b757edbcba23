# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check: is everything in place for archiving and backups? (repository reference, section 17)"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, replace

from .. import log
from ..config.options import Options, RepoOptions
from ..repository import archive_info, backup_info
from ..repository.backup_info import BackupInfo
from ..storage.base import Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from . import preflight, wal
from .backup.source import check_archiving
from .cipher import cipher_pass
from .cluster import Cluster, connected
from .preflight import Preflight
from .stanza import validate


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
    """Whether a standby was found, too."""
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
    """Compare cluster, configuration and repositories; then archive a segment and see it arrive."""
    stanza = options.require_stanza()
    wanted = "n" if options.backup_standby == "n" else "prefer"
    with connected(options, standby=wanted) as cluster:
        check_archiving(cluster.primary.db.facts(), options)
        log.info("check stanza '%s'", stanza)
        with contextlib.ExitStack() as stack:
            checked = []
            for repo in options.repos:
                storage = stack.enter_context(
                    open_storage(repo, io_timeout=options.io_timeout, lender=lender(options))
                )
                archive_id, backups = _check_info(storage, repo, stanza, cluster)
                found = preflight.run(storage, repo.key, backups) if options.preflight else None
                checked.append((repo, storage, archive_id, found))
            repos = []
            segment = None
            if options.archive_check:
                # Without a record there may be nothing to switch away from.
                cluster.primary.db.create_restore_point("pgBackRest Archive Check")
                segment = cluster.primary.db.switch_wal()
            started = time.monotonic()
            for repo, storage, archive_id, found in checked:
                took = None
                if segment is not None:
                    wal.wait_for(storage, stanza, archive_id, [segment], options.archive_timeout)
                    took = round(time.monotonic() - started, 3)
                    log.info("WAL segment %s successfully archived on repo%d", segment, repo.key)
                repos.append(CheckRepo(repo.key, segment, took, found))
        result = CheckResult(
            stanza,
            cluster.control.system_id,
            cluster.control.version,
            cluster.standby is not None,
            tuple(repos),
            "",
        )
        return replace(result, text=_text(result, options.output))


def _text(result: CheckResult, output: str) -> str:
    if output == "json":
        return json.dumps(result.as_dict(), sort_keys=True, separators=(",", ":")) + "\n"
    tables = [preflight.render(row.key, row.preflight) for row in result.repos if row.preflight]
    return "".join(tables)


def _check_info(
    storage: Storage, repo: RepoOptions, stanza: str, cluster: Cluster
) -> tuple[str, BackupInfo]:
    """Compare the info files with the cluster; the archive id, and the backups."""
    secret = cipher_pass(repo)
    archive = archive_info.load(storage, stanza, secret)
    backup = backup_info.load(storage, stanza, secret)
    validate(archive, backup, cluster.control, repo)
    return archive.current.archive_id, backup
