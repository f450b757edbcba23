# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifests of former backups, ``backup.history``: no restore needs them, but they are there.

gzip's own check sum tells whether one is whole; taking it apart would tell no more.
"""

from __future__ import annotations

import typing as t

from ...errors import EngineError, StorageMissingError, TransportLostError
from ...repository import layout
from ...storage.base import Reader, Storage
from ...transform.pipeline import Decoder, Encoding
from .result import Finding, Problem
from .session import Session

# Files opened ahead of the one that is being read.
_AHEAD = 16

_BEGIN = b"[backrest]\n"


def check(run: Session, cipher_pass: str | None) -> int:
    """Read them all; how many there are. ``cipher_pass`` is that of backup.info."""
    paths = list(_paths(run.storage, run.stanza))
    encoding = Encoding("gz", cipher_pass=cipher_pass)
    opened: list[tuple[str, Reader]] = []
    waiting = iter(paths)
    for path in paths:
        while len(opened) < _AHEAD and (following := next(waiting, None)) is not None:
            opened.append((following, run.storage.reader(following)))
        _path, reader = opened.pop(0)
        finding = _check(path, reader, encoding)
        if finding is not None:
            run.findings.append(finding)
            run.tell(finding, 0)
    return len(paths)


def _paths(storage: Storage, stanza: str) -> t.Iterator[str]:
    base = layout.history_path(stanza)
    try:
        years = [f"{base}/{row.name}" for row in storage.list(base)]
    except StorageMissingError:
        return
    for year, listing in zip(years, storage.list_many(years)):
        if isinstance(listing, StorageMissingError):
            continue
        if isinstance(listing, EngineError):
            raise listing
        for row in listing:
            if row.name.endswith(layout.HISTORY_SUFFIX):
                yield f"{year}/{row.name}"


def _check(path: str, reader: Reader, encoding: Encoding) -> Finding | None:
    name = path.rsplit("/", 1)[1]
    begin = b""
    try:
        with reader:
            for piece in Decoder(encoding).stream(reader):
                begin = begin or piece[: len(_BEGIN)]
    except TransportLostError:
        raise
    except StorageMissingError:
        # It was listed a moment ago: expire removes what is too old.
        return None
    except EngineError as cause:
        return Finding(Problem.CHECKSUM, path, name, cause.message)
    if begin != _BEGIN:
        return Finding(Problem.OTHER, path, name, "it is no manifest")
    return None
