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
from .protocol import Status

# With less than this, a write that the server refused without a reason failed for want of room.
NO_ROOM = 1024 * 1024

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
    protocol.NO_SPACE: "no space left on the server",
    protocol.QUOTA_EXCEEDED: "quota exceeded",
    protocol.UNSUPPORTED: "operation not supported by the server",
}

_FULL = re.compile(r"no space|space left|disk full|quota", re.IGNORECASE)
_LIMIT = re.compile(r"too many|(handle|open file).*limit|limit.*(handle|open file)", re.IGNORECASE)
_SAYS_NOTHING = re.compile(r"(failure|general failure|error|)\.?", re.IGNORECASE)

_HINTS: t.Mapping[type[EngineError], str] = {
    StorageAccessError: "may the SFTP user write to the repository directory and what is in it?",
    StorageFullError: "nothing that is not whole was published; free space and run again.",
}


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


def may_be_full(status: Status) -> bool:
    """Whether a full disk may be the reason, which OpenSSH does not tell."""
    return status.code == protocol.FAILURE and bool(
        _SAYS_NOTHING.fullmatch(status.message) or _FULL.search(status.message)
    )


def error(action: str, status: Status, free: int | None = None) -> EngineError:
    """The error for a refusal.

    ``action`` is what was wanted (``unable to open 'x' on sftp-srv``), ``free`` what the server
    said of its free bytes after it refused to write without a reason.
    """
    kind = _KINDS.get(status.code, StorageError)
    silent = bool(_SAYS_NOTHING.fullmatch(status.message))
    reason = _REASONS.get(status.code) or status.message.lower().rstrip(".") or "failure"
    hint = None
    if kind is StorageError:
        if _FULL.search(status.message):
            kind = StorageFullError
        elif _LIMIT.search(status.message):
            kind = StorageLimitError
        elif free is not None and free < NO_ROOM and silent:
            kind, reason = StorageFullError, "no space left on the server"
        elif silent and status.code not in _REASONS:
            reason = f"the server gives no reason (SFTP status {status.code})"
            hint = "the server's log may tell; a quota that is used up looks like this, too."
    if kind is StorageFullError and free is not None:
        reason += f" ({free} bytes free)"
    return kind(f"{action}: {reason}", hint=hint or _HINTS.get(kind))
