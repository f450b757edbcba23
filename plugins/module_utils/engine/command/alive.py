# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody still makes a backup that is not finished.

Locks exclude commands of one host, and of hosts that know of each other. The repository may have
others: so a backup announces itself there before it reads anything, with the copy of its manifest,
which says what made it and is written again now and then. Of our own lock's holder we know that it
has ended; whoever else wrote something a moment ago may go on.
"""

from __future__ import annotations

import os
import socket
import typing as t

from ..config.options import Options
from ..errors import EngineError, LockAcquireError, TransportLostError
from ..repository import layout, manifest
from ..repository.contents import Manifest
from ..repository.reconstruct import Reconstruction
from ..storage.base import TEMPORARY_SUFFIX, Storage
from ..storage.walk import files_below

MARK = "pgsftp-made-by"
"""The annotation of an unfinished backup that names the host and the locks of its maker."""

QUIET = 15 * 60
"""Seconds without a new file after which nobody makes a backup any more."""

PULSE = 3 * 60
"""Seconds after which the maker of a backup shows that it goes on."""


def here(options: Options) -> str:
    """What names all commands that our backup lock excludes."""
    return f"{socket.gethostname()}:{os.path.abspath(options.lock_path)}"


def refuse(storage: Storage, options: Options, found: Reconstruction) -> None:
    """Raise LockAcquireError while another host makes a backup; the caller has the backup lock.

    Ages are differences between times of the repository's own clock.
    """
    stanza = options.require_stanza()
    # One that was listed is what an expire has left that was interrupted.
    unfinished = [
        name for name, whole in found.on_disk.items() if not whole and name not in found.removed
    ]
    copies = [layout.copy_of(layout.manifest_path(stanza, name)) for name in unfinished]
    announced = [name for name, info in zip(unfinished, storage.info_many(copies)) if info]
    if not announced:
        return
    now = _now(storage, stanza)
    for name in announced:
        age = now - _newest(storage, layout.label_path(stanza, name))
        if age >= QUIET:
            continue
        announced_as = _load(storage, stanza, name, found.info.cipher_pass)
        # While a backup is made, its copy has no end: with one, only the manifest's own name is
        # missing, since its maker was killed in that moment, or an expire has removed it.
        if announced_as is not None and announced_as.backup.timestamp_stop:
            continue
        maker = None if announced_as is None else announced_as.annotation.get(MARK)
        if maker == here(options):
            continue
        raise _being_made(name, maker or "somebody else", age if now else None)


def _being_made(label: str, maker: str, age: int | None) -> LockAcquireError:
    """``age`` of its youngest file in seconds; None on a server that tells no times."""
    if age is None:
        return LockAcquireError(
            f"backup {label} is being made by {maker}, or was: the server tells no times",
            hint=f"wait until it is done; if nobody makes it any more, remove its directory {label}"
            " from the repository.",
        )
    return LockAcquireError(
        f"backup {label} is being made by {maker}: a file of it is {max(age, 0)} seconds old",
        hint="wait until it is done; one that was broken off is given up"
        f" {QUIET // 60} minutes after its last file.",
    )


def _now(storage: Storage, stanza: str) -> int:
    """The repository's clock: the time of a file that was written just now."""
    path = f"{layout.backup_path(stanza)}/clock{TEMPORARY_SUFFIX}"
    storage.write(path, b"")
    try:
        info = storage.info(path)
        return 0 if info is None else info.mtime
    finally:
        storage.remove(path)


def _newest(storage: Storage, top: str) -> int:
    """When the youngest file below a directory was written."""
    return max((info.mtime for _path, info in files_below(storage, top)), default=0)


def _load(storage: Storage, stanza: str, label: str, cipher_pass: str | None) -> Manifest | None:
    try:
        return manifest.load(storage, stanza, label, cipher_pass)
    except TransportLostError:
        raise
    except EngineError:
        return None


def mark(options: Options) -> t.Mapping[str, str]:
    """The annotations of a backup that is not finished."""
    return {**dict(options.annotation), MARK: here(options)}
