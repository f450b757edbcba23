# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the storage's causes a refusal of an SFTP server is (pure rules)."""

from __future__ import annotations

import re
import typing as t

from ...errors import (
    EngineError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageLimitError,
    StorageMissingError,
    TransportLostError,
)
from . import protocol
from .protocol import Space, Status

# With less than this, a write that the server refused without a reason failed for want of room.
NO_ROOM = 1024 * 1024

READ_ONLY = "read-only file system"
NO_SPACE = "no space left on the server"
NO_INODES = "no inodes left on the server"

_KINDS: t.Mapping[int, type[EngineError]] = {
    protocol.NO_SUCH_FILE: StorageMissingError,
    protocol.NO_SUCH_PATH: StorageMissingError,
    protocol.PERMISSION_DENIED: StorageAccessError,
    protocol.WRITE_PROTECT: StorageAccessError,
    protocol.NO_CONNECTION: TransportLostError,
    protocol.CONNECTION_LOST: TransportLostError,
    protocol.NO_SPACE: StorageFullError,
    protocol.QUOTA_EXCEEDED: StorageFullError,
}

_REASONS: t.Mapping[int, str] = {
    protocol.NO_SUCH_FILE: "no such file or directory",
    protocol.NO_SUCH_PATH: "no such file or directory",
    protocol.PERMISSION_DENIED: "permission denied",
    protocol.WRITE_PROTECT: READ_ONLY,
    protocol.NO_SPACE: NO_SPACE,
    protocol.QUOTA_EXCEEDED: "quota exceeded",
    protocol.UNSUPPORTED: "operation not supported by the server",
}

_FULL = re.compile(r"no space|space left|disk full|quota", re.IGNORECASE)
_LIMIT = re.compile(r"too many|(handle|open file).*limit|limit.*(handle|open file)", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-only file ?system|write.protected", re.IGNORECASE)
_SAYS_NOTHING = re.compile(r"(failure|general failure|error|)\.?", re.IGNORECASE)

_HINTS: t.Mapping[type[EngineError], str] = {
    StorageAccessError: "is the repository directory there, as the SFTP user sees it, and may "
    "this user write to all that is in it?",
    StorageFullError: "nothing that is not whole was published; free space and run again.",
}

_NO_REASON = (
    "the server's log may tell; a quota that is used up looks like this, too, whatever is free on "
    "the disk."
)
_WHY_READ_ONLY = "file systems become read-only after errors of a disk, too: see the server's log."


def unsupported(status: Status) -> bool:
    """Whether a refused extension is one that the server does not offer (to us), so that the way
    without it is to be taken. OpenSSH answers a request that its administrator switched off with
    PERMISSION_DENIED.
    """
    return status.code in (
        protocol.UNSUPPORTED,
        protocol.PERMISSION_DENIED,
        protocol.BAD_MESSAGE,
    )


def is_vague(status: Status) -> bool:
    """Whether the state of the file system may tell more: OpenSSH answers with a bare failure when
    the disk is full, has no inodes, is read-only, or a quota is used up.
    """
    if status.code in (protocol.NO_SPACE, protocol.QUOTA_EXCEEDED):
        return True
    return status.code == protocol.FAILURE and bool(
        _SAYS_NOTHING.fullmatch(status.message) or _FULL.search(status.message)
    )


def shortage(space: Space, *, takes_room: bool = True) -> tuple[type[EngineError], str] | None:
    """The cause of a refusal without a reason, where the file system has one."""
    if space.read_only:
        return StorageAccessError, READ_ONLY
    if not takes_room:
        return None
    if space.free < NO_ROOM:
        return StorageFullError, NO_SPACE
    if space.files == 0:
        return StorageFullError, NO_INODES
    return None


def error(
    action: str, status: Status, space: Space | None = None, *, takes_room: bool = True
) -> EngineError:
    """The error for a refusal.

    ``action`` is what was wanted (``unable to open 'x' on sftp-srv``), ``space`` what the server
    said of its file system after it refused; who only removes needs no room on it.
    """
    kind = _KINDS.get(status.code, StorageError)
    silent = bool(_SAYS_NOTHING.fullmatch(status.message))
    reason = _REASONS.get(status.code) or status.message.lower().rstrip(".") or "failure"
    hint = None
    if kind is StorageError:
        found = None
        if space is not None and silent:
            found = shortage(space, takes_room=takes_room)
        if found is not None:
            kind, reason = found
        elif _FULL.search(status.message):
            kind = StorageFullError
        elif _READ_ONLY.search(status.message):
            kind = StorageAccessError
        elif _LIMIT.search(status.message):
            kind = StorageLimitError
        elif silent and status.code not in _REASONS:
            reason = f"the server gives no reason (SFTP status {status.code})"
            hint = _NO_REASON
            if space is not None and takes_room:
                reason += f"; {space.free} bytes are free"
    if kind is StorageFullError and space is not None:
        reason += f" ({space.free} bytes free)"
    if reason == READ_ONLY:
        hint = _WHY_READ_ONLY
    return kind(f"{action}: {reason}", hint=hint or _HINTS.get(kind))
