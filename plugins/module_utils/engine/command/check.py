# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check: is everything in place for archiving and backups? (repository reference, section 17)"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass

from .. import log
from ..config.options import Options, RepoOptions
from ..repository import archive_info, backup_info
from ..storage.base import Storage
from ..storage.open import open_storage
from . import wal
from .backup.source import check_archiving
from .cipher import cipher_pass
from .cluster import Cluster, connected
from .stanza import validate


@dataclass(frozen=True)
class CheckRepo:
    """One repository that passed."""

    key: int
    segment: str
    archived_after: float
    """Seconds from the WAL switch until the segment was in the archive."""


@dataclass(frozen=True)
class CheckResult:
    """What was checked; anything wrong is raised."""

    stanza: str
    system_id: int
    version: str
    standby: bool
    """Whether a standby was found, too."""
    repos: tuple[CheckRepo, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


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
                storage = stack.enter_context(open_storage(repo, io_timeout=options.io_timeout))
                checked.append((repo, storage, _check_info(storage, repo, stanza, cluster)))
            repos = []
            if options.archive_check:
                # Without a record there may be nothing to switch away from.
                cluster.primary.db.create_restore_point("pgBackRest Archive Check")
                segment = cluster.primary.db.switch_wal()
                started = time.monotonic()
                for repo, storage, archive_id in checked:
                    wal.wait_for(storage, stanza, archive_id, [segment], options.archive_timeout)
                    took = round(time.monotonic() - started, 3)
                    log.info("WAL segment %s successfully archived on repo%d", segment, repo.key)
                    repos.append(CheckRepo(repo.key, segment, took))
        return CheckResult(
            stanza,
            cluster.control.system_id,
            cluster.control.version,
            cluster.standby is not None,
            tuple(repos),
        )


def _check_info(storage: Storage, repo: RepoOptions, stanza: str, cluster: Cluster) -> str:
    """Compare the info files with the cluster; the archive id."""
    secret = cipher_pass(repo)
    archive = archive_info.load(storage, stanza, secret)
    backup = backup_info.load(storage, stanza, secret)
    validate(archive, backup, cluster.control, repo)
    return archive.current.archive_id
