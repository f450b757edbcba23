# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup a restore begins with (repository reference, section 15). Pure."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ..errors import BackupSetInvalidError, EngineError
from ..postgres import wal

if t.TYPE_CHECKING:
    from ..postgres.goal import Goal
    from .backup_info import BackupEntry, BackupInfo

LATEST = "latest"

TIME_HINT = (
    "the form is YYYY-MM-DD HH:MM:SS with an optional fraction and offset (+HH, +HHMM or +HH:MM);"
    " without an offset it is local time. Or name a backup with --set."
)


def is_chosen(goal: Goal, wanted: str | None) -> bool:
    """Whether the target chooses the backup, and not the user or its age alone."""
    return wanted in (None, LATEST) and goal.kind in ("time", "lsn")


def candidates(info: BackupInfo, goal: Goal, wanted: str | None) -> list[BackupEntry]:
    """The backups that will do, the best one first; never empty.

    ``wanted`` is the label of ``--set``. With a time as the target it is the newest backup that was
    complete strictly before it, with a position the newest that was complete there; older ones
    follow, since the newest may be of another timeline. Any other target gives one backup.

    Raises BackupSetInvalidError when there is none.
    """
    if wanted is not None and wanted != LATEST:
        if wanted not in info.backups:
            raise BackupSetInvalidError(
                f"backup set {wanted} is not valid",
                hint="the info command lists the backups that there are.",
            )
        entry = info.backups[wanted]
        _refuse_early_target(entry, goal)
        return [entry]
    if not info.backups:
        raise BackupSetInvalidError(
            "no backup set found to restore", hint="has a backup been taken for this stanza?"
        )
    latest = info.backups[max(info.backups)]
    if latest.db_id != info.current_id:
        raise BackupSetInvalidError(
            f"the latest backup set {latest.label} is of a former cluster of this stanza",
            hint="name it with --set to restore it all the same.",
        )
    if not is_chosen(goal, wanted):
        return [latest]
    if goal.kind == "time" and goal.time is None:
        raise BackupSetInvalidError(
            f"automatic backup set selection cannot be performed with provided time '{goal.text}'",
            hint=TIME_HINT,
        )
    newest_first = [info.backups[label] for label in sorted(info.backups, reverse=True)]
    found = [
        entry
        for entry in newest_first
        if entry.db_id == info.current_id and _is_complete_before(entry, goal)
    ]
    if not found:
        raise _none_early_enough(newest_first, goal)
    return found


def _is_complete_before(entry: BackupEntry, goal: Goal) -> bool:
    if goal.time is not None:
        # A time within the second in which the backup ended may be before its end.
        return entry.timestamp_stop < goal.time
    if goal.lsn is not None:
        return entry.lsn_stop is not None and wal.lsn_parse(entry.lsn_stop) <= goal.lsn
    return True


def _none_early_enough(entries: t.Sequence[BackupEntry], goal: Goal) -> EngineError:
    oldest = entries[-1]
    if goal.lsn is not None:
        return BackupSetInvalidError(
            f"unable to find backup set with lsn less than or equal to '{goal.text}'",
            hint=f"the oldest backup {oldest.label} is complete at {oldest.lsn_stop}.",
        )
    return BackupSetInvalidError(
        f"unable to find backup set with stop time less than '{goal.text}'",
        hint=f"the oldest backup {oldest.label} was complete {utc(oldest.timestamp_stop)}.",
    )


def _refuse_early_target(entry: BackupEntry, goal: Goal) -> None:
    """A recovery cannot end before the backup that it begins with was complete."""
    stop = None if entry.lsn_stop is None else wal.lsn_parse(entry.lsn_stop)
    if goal.lsn is not None and stop is not None and goal.lsn < stop:
        raise BackupSetInvalidError(
            f"target '{goal.text}' lies before the end of backup set {entry.label}, which is at"
            f" {entry.lsn_stop}",
            hint="without --set the right backup is chosen.",
        )
    if goal.time is not None and goal.time < entry.timestamp_stop:
        raise BackupSetInvalidError(
            f"target '{goal.text}' lies before the end of backup set {entry.label}, which was"
            f" complete {utc(entry.timestamp_stop)}",
            hint="without --set the right backup is chosen.",
        )


def utc(moment: int) -> str:
    """An epoch second for a message; a target may come from any time zone."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S+00")
