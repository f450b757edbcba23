# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the operating system that a local repository needs, with the engine's errors."""

from __future__ import annotations

import errno
import os
import typing as t

from ..errors import (
    EngineError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageLimitError,
    StorageMissingError,
)
from .base import PATH_MODE

_CAUSES: t.Mapping[int, type[EngineError]] = {
    errno.ENOENT: StorageMissingError,
    errno.ENOTDIR: StorageMissingError,
    errno.EACCES: StorageAccessError,
    errno.EPERM: StorageAccessError,
    errno.EROFS: StorageAccessError,
    errno.ENOSPC: StorageFullError,
    errno.EDQUOT: StorageFullError,
    errno.EMFILE: StorageLimitError,
    errno.ENFILE: StorageLimitError,
}


def failure(action: str, path: str, cause: OSError) -> EngineError:
    """The error for what the operating system refused."""
    kind = _CAUSES.get(cause.errno or 0, StorageError)
    reason = (cause.strerror or str(cause)).lower()
    hint = None
    if kind is StorageFullError:
        reason += _free_text(path)
        hint = "nothing that is not whole was published; free space and run again."
    elif kind is StorageAccessError:
        hint = "does the user who runs this own the repository directory?"
    return kind(f"unable to {action} '{path}': {reason}", hint=hint)


def _free_text(path: str) -> str:
    while not os.path.isdir(path) and len(path) > 1:
        path = os.path.dirname(path)
    try:
        return f" ({free(path)} bytes free)"
    except OSError:
        return ""


def free(path: str) -> int:
    """Bytes that an unprivileged user can still write to the file system of ``path``."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def make_path(path: str) -> None:
    """Make a directory and its parents, each durable in its own parent; one that exists is kept."""
    try:
        os.mkdir(path, PATH_MODE)
    except FileExistsError:
        if not os.path.isdir(path):
            raise StorageError(f"unable to create path '{path}': it is not a directory") from None
    except FileNotFoundError as cause:
        parent = os.path.dirname(path)
        if parent == path:
            raise failure("create path", path, cause) from cause
        make_path(parent)
        make_path(path)
    except OSError as cause:
        raise failure("create path", path, cause) from cause
    else:
        # Else a file that is durable may be in a directory that is not.
        sync_path(os.path.dirname(path))


def rename(source: str, target: str) -> None:
    """Rename over whatever has the name."""
    try:
        os.rename(source, target)
    except OSError as cause:
        raise failure("rename", source, cause) from cause


def sync_path(path: str) -> None:
    """Make the names of a directory durable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as cause:
        raise failure("sync path", path, cause) from cause
    try:
        os.fsync(descriptor)
    except OSError as cause:
        # Some file systems have no such thing as a directory flush.
        if cause.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise failure("sync path", path, cause) from cause
    finally:
        os.close(descriptor)
