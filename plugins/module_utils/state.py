# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true already: the questions that make the modules idempotent. Nothing here changes it."""

from __future__ import annotations

import enum
import os
import time

from .engine.command.backup.result import BackupResult
from .engine.command.cipher import cipher_pass
from .engine.command.restore.target import MARKER, PG_CONTROL
from .engine.config import values
from .engine.config.options import Options
from .engine.errors import FileMissingError, OptionInvalidValueError, PathNotEmptyError
from .engine.postgres import control
from .engine.repository import backup_info, layout
from .engine.repository.backup_info import BackupEntry
from .engine.storage.open import open_storage

# A backup serves whoever asked for one of its own type or of a weaker one.
_STRENGTH = {"incr": 0, "diff": 1, "full": 2}


class Directory(enum.Enum):
    """What a data directory is in the eyes of a restore."""

    EMPTY = "empty"
    INTERRUPTED = "interrupted"  # an earlier restore did not end; no server can start in it
    STANDBY = "standby"  # of the cluster that the stanza backs up
    OTHER = "other"


def repositories_without_stanza(options: Options) -> list[int]:
    """Keys of the repositories that do not have the stanza."""
    stanza = options.require_stanza()
    missing = []
    for repo in options.repos:
        with open_storage(repo) as storage:
            found = storage.info_many([layout.archive_info(stanza), layout.backup_info(stanza)])
            if not any(found):
                missing.append(repo.key)
    return missing


def young_backup(options: Options, max_age: str) -> dict[str, object] | None:
    """The newest backup that makes another one of ``options.type`` unnecessary, or None.

    ``max_age`` is a time as in the configuration, such as ``20h``; else OptionInvalidValueError.
    """
    seconds = values.seconds(max_age)
    if seconds is None:
        raise OptionInvalidValueError(
            f"'{max_age}' is not valid for 'max_age'", hint="a time is written 90m, 20h or 7d."
        )
    info = _backups(options)
    if info is None:
        return None
    for entry in sorted(info.backups.values(), key=_stopped, reverse=True):
        if (
            entry.db_id == info.current_id
            and _STRENGTH[entry.backup_type] >= _STRENGTH[options.type or "incr"]
            and entry.option_backup_standby == (options.backup_standby != "n")
            and entry.timestamp_stop > time.time() - seconds
        ):
            duration = entry.timestamp_stop - entry.timestamp_start
            found = BackupResult.of(entry, 0, duration).as_dict()
            del found["file_total"]
            return found
    return None


def directory(options: Options) -> Directory:
    """What the data directory of ``options`` is; only for a standby the repository is asked."""
    path = options.pg.path
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return Directory.EMPTY
    if not names:
        return Directory.EMPTY
    if MARKER in names and not os.path.exists(f"{path}/{PG_CONTROL}"):
        return Directory.INTERRUPTED
    if "standby.signal" in names and os.path.exists(f"{path}/{PG_CONTROL}"):
        info = _backups(options)
        if info is not None and control.load(path).system_id == info.current.system_id:
            return Directory.STANDBY
    return Directory.OTHER


def not_empty(options: Options) -> PathNotEmptyError:
    """The refusal to replace a data directory unasked."""
    return PathNotEmptyError(
        f"unable to restore to '{options.pg.path}' because it contains files",
        hint="set force to replace them; this cannot be undone.",
    )


def _backups(options: Options) -> backup_info.BackupInfo | None:
    """What the repository lists; None when it has no such stanza."""
    repo = options.repo()
    with open_storage(repo) as storage:
        try:
            return backup_info.load(storage, options.require_stanza(), cipher_pass(repo))
        except FileMissingError:
            return None


def _stopped(entry: BackupEntry) -> int:
    return entry.timestamp_stop
