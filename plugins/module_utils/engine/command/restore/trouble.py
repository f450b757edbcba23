# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operating system refuses where a restore looks and writes, and what to do about it."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import typing as t

from ...errors import FileWriteError, PathCreateError, PathOpenError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def looking(path: str) -> t.Iterator[None]:
    """PathOpenError for what goes wrong meanwhile; ``path`` is what is looked at, or into.

    What is below it is named if the system names it.
    """
    try:
        yield
    except OSError as cause:
        place = cause.filename if isinstance(cause.filename, str) else path
        raise PathOpenError(
            f"unable to look into '{place}': {cause.strerror}", hint=advice(place, cause)
        ) from cause


@contextlib.contextmanager
def making(path: str) -> t.Iterator[None]:
    """PathCreateError for what goes wrong meanwhile; ``path`` is the directory that is made."""
    try:
        yield
    except OSError as cause:
        raise PathCreateError(
            f"unable to create path '{path}': {cause.strerror}", hint=advice(path, cause)
        ) from cause


@contextlib.contextmanager
def writing(path: str) -> t.Iterator[None]:
    """FileWriteError for what goes wrong meanwhile; ``path`` is what is written."""
    try:
        yield
    except OSError as cause:
        raise written_wrong(path, cause) from cause


def written_wrong(path: str, cause: OSError) -> FileWriteError:
    """The error of a file that cannot be written."""
    return FileWriteError(f"unable to write '{path}': {cause.strerror}", hint=advice(path, cause))


def advice(path: str, cause: OSError) -> str:
    """The hint: room is asked for where there is none, and else whose directory it is is said."""
    if cause.errno in _FULL:
        return (
            f"is there room, in bytes and in inodes, on the file system of '{_there(path)}', and"
            " does a quota allow it?"
        )
    if cause.errno == errno.EROFS:
        return f"the file system of '{_there(path)}' can only be read: mount it for writing."
    if cause.errno in _FORBIDDEN:
        where = _barrier(path)
        return (
            f"'{where}' belongs to {_owner(where)}, and {_name(os.geteuid())} runs this: run it as"
            " the owner of the data directory, who may enter and write all its places."
        )
    return f"is '{_there(path)}' what it should be? the system's log knows of damaged disks."


def _barrier(path: str) -> str:
    """What keeps this user out, as far as that can be seen."""
    above = []
    directory = os.path.dirname(os.path.abspath(path))
    while directory not in above:
        above.append(directory)
        directory = os.path.dirname(directory)
    for directory in reversed(above):
        if os.path.isdir(directory) and not os.access(directory, os.X_OK, effective_ids=True):
            return directory
    there = _there(path)
    parent = os.path.dirname(there)
    if there == os.path.abspath(path) and os.access(there, os.R_OK, effective_ids=True):
        return there if os.access(parent, os.W_OK, effective_ids=True) else parent
    return there


def _there(path: str) -> str:
    """The path, or the first above it that is there."""
    path = os.path.abspath(path)
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def _owner(path: str) -> str:
    try:
        return _name(os.stat(path, follow_symlinks=False).st_uid)
    except OSError:
        return "somebody else"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with number {uid}"
