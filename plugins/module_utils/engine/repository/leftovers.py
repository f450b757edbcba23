# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary files that nobody will give their name to: of processes that were killed.

Readers pass over them, so that they cost space and nothing else. Some may be all that is left of a
file whose server could not rename it, and one of today may be on its way: neither is removed.
"""

from __future__ import annotations

import typing as t

from ..storage.base import FileInfo, FileKind, final_names
from .archive import parse_segment

# Nothing is on its way for so many seconds, even where the server's clock is not ours.
OLD = 24 * 3600.0


def abandoned(entries: t.Sequence[FileInfo], now: float) -> list[str]:
    """Names among the entries of one directory that are temporary, old, and of files that are
    there (pure). ``now`` is in seconds of the epoch.

    A segment is on its way by its name alone, and gets its checksum with its last byte.
    """
    names = {entry.name for entry in entries}
    names |= {row.name for row in map(parse_segment, list(names)) if row is not None}
    return [
        entry.name
        for entry in entries
        if entry.kind is FileKind.FILE
        and now - entry.mtime > OLD
        and any(name in names for name in final_names(entry.name))
    ]
