# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a primary is ahead of the standby whose files a backup reads. Pure.

The disk of the standby has what the WAL says up to the start of the backup. What the primary wrote
later may be there in memory alone, while the scan, which is of the primary, sees its time: a copy
that lacks it would be recorded with that time. The WAL of this backup brings it, that of the next
one begins behind it; so the next one must not take such a file for unchanged.

What was written before the start is on the standby's disk whole: of that times can be trusted, also
by a run that goes on with what another one stored.
"""

from __future__ import annotations

from ...postgres.entries import DataDirectory, primary_only
from ...repository.contents import Manifest, ManifestFile

# Seconds before the beginning that count as after it: the kernel's clock for files goes in ticks,
# and so may give a file the second before.
_TICK = 1


def files(data: DataDirectory, begin: int) -> set[str]:
    """Names of the files of a scan that the standby may not have whole.

    ``begin`` is a second before the start of the backup, by the clock of the primary.
    """
    return {entry.name for entry in data.files if _is_ahead(entry.name, entry.mtime, begin)}


def is_doubtful(row: ManifestFile, made: Manifest) -> bool:
    """Whether the time of a line says nothing of what is stored.

    No backup of ours that is listed has such lines, but those of the real tool do.
    """
    return bool(made.options.backup_standby) and _is_ahead(
        row.name, row.timestamp, made.backup.timestamp_start
    )


def _is_ahead(name: str, mtime: int, begin: int) -> bool:
    return mtime >= begin - _TICK and not primary_only(name)
