# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup: copy a running cluster into a repository (repository reference, sections 9 to 12).

Lock, look at what is there, start, scan, copy, stop, wait for the WAL, and only then the manifest
that makes it a backup and the line in backup.info that lists it.
"""

from __future__ import annotations

import contextlib
import time

from ... import dependency, log
from ...config.options import Options
from ...errors import (
    LockAcquireError,
    OptionInvalidValueError,
)
from ...repository import (
    label,
    lock,
)
from ...storage.open import open_storage, prepare
from ...storage.sftp.borrow import lender
from ...worker.pool import WorkerPool
from ..cluster import open_node
from ..expire import expire, expire_after
from .copy import worker_setup
from .result import BackupPreview, BackupResult
from .source import opened
from .steps import Backup

TYPES = (label.FULL, label.DIFF, label.INCR)


def run(options: Options) -> BackupResult:
    """Take one backup; everything that is raised leaves nothing listed that is not whole."""
    stanza = options.require_stanza()
    repo = options.repo()
    wanted = options.type or label.INCR
    if wanted not in TYPES:
        raise OptionInvalidValueError(
            f"'{wanted}' is not allowed for 'type' option",
            hint="the types are full, diff and incr.",
        )
    lock.check_stop(options.lock_path, stanza)
    started = time.monotonic()
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(options.lock_path, stanza, [lock.LockType.BACKUP], [repo.key])
        opener = prepare(repo, io_timeout=options.io_timeout, lender=lender(options))
        # One more process reads from the primary while the others read from the standby.
        extra = 1 if options.online and options.backup_standby != "n" else 0
        setup = worker_setup(opener, options, open_node)
        with (
            WorkerPool(options.process_max + extra, setup) as pool,
            contextlib.ExitStack() as stack,
        ):
            if options.online:
                dependency.need_soon(dependency.psycopg2)
            storage = stack.enter_context(opener.storage())
            source = stack.enter_context(opened(options, locks.claim))
            backup = Backup(options, repo, storage, source, locks)
            result = backup.run(pool, wanted, started, borrows=opener.borrows)
            if options.expire_auto:
                _expire(backup)
            return result


def _expire(backup: Backup) -> None:
    storage, options, repo, known = backup.storage, backup.options, backup.repo, backup.known
    try:
        if known is None:
            expire(storage, options, repo)
        else:
            expire_after(storage, options, repo, known.archive, known.info)
    except LockAcquireError as cause:
        log.warn("expire is left to the next run: %s", cause.message)


def preview(options: Options) -> BackupPreview:
    """What ``run`` would do at this moment; nothing is started, locked or written.

    Raises StopError as ``run`` does.
    """
    repo = options.repo()
    lock.check_stop(options.lock_path, options.require_stanza())
    with (
        open_storage(repo, io_timeout=options.io_timeout, lender=lender(options)) as storage,
        opened(options) as source,
    ):
        locks = lock.Locks(options.exec_id or None)
        return Backup(options, repo, storage, source, locks).preview(options.type or label.INCR)
