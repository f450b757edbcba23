# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true already: the questions that make the modules idempotent. Nothing here changes it."""

from __future__ import annotations

import time
import typing as t

from .engine.command.backup import run as backup
from .engine.command.backup.result import BackupResult
from .engine.command.cipher import cipher_pass
from .engine.config import values
from .engine.config.options import Options
from .engine.errors import FileMissingError, OptionInvalidValueError
from .engine.repository import backup_info, layout, lock
from .engine.repository.backup_info import BackupEntry
from .engine.storage.open import open_storage

# A backup serves whoever asked for one of its own type or of a weaker one.
_STRENGTH = {"incr": 0, "diff": 1, "full": 2}

# Whether it was taken from a standby, and what `backup-standby` makes it serve.
_WANTED_FOR = {True: ("y", "prefer"), False: ("n", "prefer")}


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
    info = backups(options)
    if info is None:
        return None
    for entry in sorted(info.backups.values(), key=_stopped, reverse=True):
        if (
            entry.db_id == info.current_id
            and _STRENGTH[entry.backup_type] >= _STRENGTH[options.type or "incr"]
            and not entry.error
            and options.backup_standby in _WANTED_FOR[entry.option_backup_standby]
            and entry.timestamp_stop > time.time() - seconds
        ):
            duration = entry.timestamp_stop - entry.timestamp_start
            found = BackupResult.of(entry, 0, duration).as_dict()
            del found["file_total"]
            return found
    return None


def backup_plan(options: Options) -> dict[str, object]:
    """What a backup would do; of a stanza that does not exist yet, only the type is known."""
    lock.check_stop(options.lock_path, options.require_stanza())
    if backups(options) is None:
        return {"type": "full"}
    return backup.preview(options).as_dict()


def expire_diff(repos: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, object]:
    """The backups and the WAL before and after, for ``--diff``; all that makes it a change."""
    before: dict[str, object] = {}
    after: dict[str, object] = {}
    for repo in repos:
        key = f"repo{repo['repo']}"
        before[key] = {
            "backups": [row["label"] for row in repo["backups"]],
            "removed_wal": [],
            "removed_timelines": [],
            "removed_history": [],
            "removed_directories": [],
            "relisted": [],
        }
        after[key] = {
            "backups": [row["label"] for row in repo["backups"] if not row["remove"]],
            "removed_wal": [
                f"{name}: {part['start']} to {part['stop']}"
                for name, row in sorted(repo["archives"].items())
                for part in row["removed"]
            ],
            "removed_timelines": repo["removed_timelines"],
            "removed_history": repo["removed_history"],
            "removed_directories": repo["removed_directories"],
            "relisted": repo["relisted"],
        }
    return {"before": before, "after": after}


def damage(found: t.Mapping[str, t.Any]) -> str:
    """What a verification found, in a line."""
    what = [*found["errors"]]
    broken = [row["label"] for row in found["backups"] if row["status"] == "invalid"]
    gaps = sum(1 for row in found["archives"] for gap in row["gaps"] if not gap["reason"])
    if broken:
        what.append(f"backups that are not whole: {', '.join(broken)}")
    if found["files"]:
        what.append(f"files that are damaged or missing: {len(found['files'])}")
    if gaps:
        what.append(f"gaps in the WAL: {gaps}")
    return f"the repository of stanza '{found['stanza']}' is damaged: {'; '.join(what)}"


def backups(options: Options) -> backup_info.BackupInfo | None:
    """What the repository lists; None when it has no such stanza."""
    repo = options.repo()
    with open_storage(repo) as storage:
        try:
            return backup_info.load(storage, options.require_stanza(), cipher_pass(repo))
        except FileMissingError:
            return None


def _stopped(entry: BackupEntry) -> int:
    return entry.timestamp_stop
