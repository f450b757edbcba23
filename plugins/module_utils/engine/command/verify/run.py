# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify: read everything that is in the repository (repository reference, section 17).

First the info files, then the WAL, then the backups from the oldest on: what a backup refers to was
checked with the backup that holds it, and is not read again. Damage is reported, not raised.

As with pgBackRest no lock is taken: it takes hours, and a backup and its expire may run meanwhile,
here or on another host. What they removed is not damage, so whatever seems to be missing is looked
at again in the light of a backup.info read anew.
"""

from __future__ import annotations

import dataclasses

from ... import log
from ...config.options import Options, RepoOptions
from ...repository import archive_info, backup_info, label, layout
from ...repository.archive_info import ArchiveInfo
from ...repository.backup_info import BackupInfo
from ...storage.open import prepare
from ...storage.sftp.borrow import lender
from ...worker.pool import WorkerPool
from ..cipher import cipher_pass
from . import history, twins
from .archives import Archives
from .backups import Backups
from .files import worker_setup
from .result import BackupResult, Status, VerifyResult, render_json, render_text
from .session import Session


def run(options: Options) -> VerifyResult:
    """Check the repository that is selected; with ``set`` one backup and the WAL it needs."""
    repo = options.repo()
    stanza = options.require_stanza()
    opener = prepare(repo, io_timeout=options.io_timeout, lender=lender(options))
    with (
        WorkerPool(options.process_max, worker_setup(opener.owning())) as pool,
        opener.storage() as storage,
    ):
        pool.begin()
        result = _verify(Session(storage, pool, stanza, options.set, cipher_pass(repo)), repo)
    text = render_text(result, verbose=options.verbose)
    if text:
        log.info("%s", text.rstrip("\n"))
    if options.output == "json":
        text = render_json(result) + "\n"
    elif options.output != "text":
        text = ""
    return dataclasses.replace(result, text=text)


def _verify(session: Session, repo: RepoOptions) -> VerifyResult:
    result = VerifyResult(session.stanza, repo.key, checked_backups=False)
    info = _info_files(session, cipher_pass(repo))
    if info is not None:
        wal, backups = info
        archives = Archives(session, wal, backups).results()
        checked = list(Backups(session, backups).results())
        if session.only is None:
            history.check(session, backups.cipher_pass)
        result = dataclasses.replace(
            result,
            archives=tuple(archives),
            backups=tuple(_without_expired(session, checked)),
            checked_backups=True,
        )
    return dataclasses.replace(
        result, errors=tuple(session.errors), findings=tuple(session.findings)
    )


def _without_expired(session: Session, checked: list[BackupResult]) -> list[BackupResult]:
    """Nothing is wrong with a backup that was expired while its files were read."""
    gone = session.expired()
    for name in gone:
        log.info("backup '%s' was expired while it was verified", name)
        session.forget(layout.label_path(session.stanza, name))
    return [
        BackupResult(row.label, Status.MANIFEST_MISSING) if row.label in gone else row
        for row in checked
    ]


def _info_files(session: Session, secret: str | None) -> tuple[ArchiveInfo, BackupInfo] | None:
    """Both info files; None when there is nothing to go on with."""
    wanted = session.only
    if wanted is not None and not label.is_label(wanted):
        session.error(f"'{wanted}' is not a valid backup label format")
        return None
    backups = _info(
        session,
        layout.backup_info(session.stanza),
        twins.info_decoder(backup_info.parse, secret),
    )
    wal = _info(
        session,
        layout.archive_info(session.stanza),
        twins.info_decoder(archive_info.parse, secret),
    )
    if backups is None or wal is None:
        return None
    ours = [(row.id, row.system_id, row.version) for row in wal.history]
    theirs = [(row.id, row.system_id, row.version) for row in backups.history]
    if ours != theirs or wal.current_id != backups.current_id:
        session.error("backup info file and archive info file do not match")
    session.listed = frozenset(backups.backups)
    if wanted is not None and wanted not in backups.backups:
        session.error(f"backup set '{wanted}' is not in backup.info")
        return None
    return wal, backups


def _info(session: Session, path: str, decode: twins.Decode[twins.ValueT]) -> twins.ValueT | None:
    found = session.twins(path, decode)
    if found.value is None:
        session.error(f"no usable {path.rsplit('/', 1)[1]} file")
    return found.value
