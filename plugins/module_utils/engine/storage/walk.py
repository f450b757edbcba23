# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All files below a directory of a storage, with one round trip a level."""

from __future__ import annotations

import typing as t

from ..errors import EngineError, StorageMissingError
from .base import FileInfo, FileKind, Storage


def files_below(storage: Storage, top: str) -> t.Iterator[tuple[str, FileInfo]]:
    """Path and attributes of all that is no directory; what is not there any more has none.

    Raises what keeps a directory from being listed.
    """
    level = [top]
    while level:
        below = []
        for path, listing in zip(level, storage.list_many(level)):
            if isinstance(listing, StorageMissingError):
                continue
            if isinstance(listing, EngineError):
                raise listing
            for entry in listing:
                if entry.kind is FileKind.PATH:
                    below.append(f"{path}/{entry.name}")
                else:
                    yield f"{path}/{entry.name}", entry
        level = below
