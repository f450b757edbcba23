# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in a local directory."""

from __future__ import annotations

import contextlib
import functools
import grp
import os
import pwd
import shutil
import stat
import sys
import typing as t

from ..errors import EngineError
from .base import (
    Features,
    FileInfo,
    FileKind,
    Publish,
    Reader,
    Storage,
    Writer,
    temporary_name,
)
from .posix_calls import failure, free, make_path, rename, sync_path
from .posix_files import PosixReader, PosixWriter


class PosixStorage(Storage):
    """The verbs on ``root``."""

    features = Features(symlink=True)

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") or "/"
        self.location = self._root

    def _path(self, path: str) -> str:
        return os.path.join(self._root, path) if path else self._root

    def reader(self, path: str, *, offset: int = 0, size: int | None = None) -> Reader:
        """See Storage."""
        return PosixReader(self._path(path), offset, size)

    def writer(self, path: str, *, publish: Publish, most: int = 0) -> Writer:
        """See Storage."""
        return PosixWriter(self._path(path), publish)

    def list_many(self, paths: t.Iterable[str]) -> list[list[FileInfo] | EngineError]:
        """See Storage."""
        listings: list[list[FileInfo] | EngineError] = []
        for path in paths:
            try:
                listings.append(self._entries(self._path(path)))
            except EngineError as error:
                listings.append(error)
        return listings

    def _entries(self, path: str) -> list[FileInfo]:
        entries = []
        try:
            with os.scandir(path) as found:
                for entry in found:
                    # A name that goes away meanwhile was not there.
                    with contextlib.suppress(FileNotFoundError):
                        entries.append(_info(entry.path, entry.stat(follow_symlinks=False)))
        except OSError as cause:
            raise failure("list path", path, cause) from cause
        return sorted(entries, key=lambda entry: entry.name)

    def info_many(self, paths: t.Iterable[str]) -> list[FileInfo | None]:
        """See Storage."""
        found: list[FileInfo | None] = []
        for path in map(self._path, paths):
            try:
                found.append(_info(path, os.lstat(path)))
            except (FileNotFoundError, NotADirectoryError):
                found.append(None)
            except OSError as cause:
                raise failure("get information on", path, cause) from cause
        return found

    def remove_many(self, paths: t.Iterable[str]) -> int:
        """See Storage."""
        removed = 0
        first: EngineError | None = None
        for path in map(self._path, paths):
            try:
                os.unlink(path)
                removed += 1
            except FileNotFoundError:
                continue
            except OSError as cause:
                first = first or failure("remove", path, cause)
        if first is not None:
            raise first
        return removed

    def remove_tree(self, path: str) -> None:
        """See Storage."""
        target = self._path(path)
        try:
            if sys.version_info >= (3, 12):
                shutil.rmtree(target, onexc=_unless_gone)
            else:
                shutil.rmtree(target, onerror=lambda *told: _unless_gone(None, None, told[2][1]))
        except OSError as cause:
            raise failure("remove", cause.filename or target, cause) from cause

    def make_paths(self, paths: t.Iterable[str]) -> None:
        """See Storage."""
        for path in paths:
            make_path(self._path(path))

    def rename(self, source: str, target: str) -> None:
        """See Storage."""
        rename(self._path(source), self._path(target))

    def sync_path(self, path: str) -> None:
        """See Storage."""
        sync_path(self._path(path))

    def link(self, target: str, path: str) -> None:
        """See Storage. An existing link is replaced."""
        name = self._path(path)
        temporary = temporary_name(name)
        try:
            os.symlink(target, temporary)
            os.rename(temporary, name)
        except OSError as cause:
            raise failure("link", name, cause) from cause

    def free_size(self) -> int | None:
        """See Storage."""
        try:
            return free(self._root)
        except OSError:
            return None

    def close(self) -> None:
        """See Storage."""


def _unless_gone(_function: object, _path: object, cause: BaseException) -> None:
    """Go on with the rest of a tree when somebody else has removed a part of it."""
    if not isinstance(cause, FileNotFoundError):
        raise cause


def _info(path: str, found: os.stat_result) -> FileInfo:
    kind = FileKind.SPECIAL
    destination = None
    if stat.S_ISREG(found.st_mode):
        kind = FileKind.FILE
    elif stat.S_ISDIR(found.st_mode):
        kind = FileKind.PATH
    elif stat.S_ISLNK(found.st_mode):
        kind = FileKind.LINK
        with contextlib.suppress(OSError):
            destination = os.readlink(path)
    return FileInfo(
        os.path.basename(path),
        kind,
        found.st_size if kind is FileKind.FILE else 0,
        int(found.st_mtime),
        stat.S_IMODE(found.st_mode),
        _user(found.st_uid),
        _group(found.st_gid),
        destination,
    )


@functools.cache
def _user(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


@functools.cache
def _group(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
