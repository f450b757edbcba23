# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When time stamps of files cannot be trusted (repository reference, section 11). Pure."""

from __future__ import annotations

from ...postgres.entries import DataDirectory
from ...postgres.wal import timeline_of
from ...repository.contents import Manifest


def reason(
    data: DataDirectory,
    prior: Manifest | None,
    *,
    archive_start: str | None,
    online: bool,
    copy_start: int,
) -> str | None:
    """Why files have to be compared by their checksums; None when their times will do.

    ``prior`` is the backup that this one builds on, or the one that it goes on with.
    ``archive_start`` is the backup's first WAL segment, ``copy_start`` the second in which copying
    begins.
    """
    if prior is not None:
        label = prior.backup.label
        # One that was broken off, and is gone on with, has not stopped.
        stopped = prior.backup.archive_stop or prior.backup.archive_start
        if archive_start and stopped and timeline_of(archive_start) != timeline_of(stopped):
            return f"a timeline switch has occurred since the {label} backup"
        if prior.options.online != online:
            return f"the online option has changed since the {label} backup"
    before = {file.name: file for file in prior.files} if prior is not None else {}
    for entry in data.files:
        if entry.mtime > copy_start:
            return (
                f"file '{entry.name}' has timestamp ({entry.mtime}) in the future (relative to"
                f" copy start {copy_start})"
            )
        old = before.get(entry.name)
        if old is None:
            continue
        if entry.mtime < old.timestamp:
            return (
                f"file '{entry.name}' has timestamp earlier than prior backup"
                f" (prior {old.timestamp}, current {entry.mtime})"
            )
        size = old.size if old.original_size is None else old.original_size
        if entry.mtime == old.timestamp and entry.size != size:
            return (
                f"file '{entry.name}' has same timestamp ({entry.mtime}) as prior but different"
                f" size (prior {size}, current {entry.size})"
            )
    return None
