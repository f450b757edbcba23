# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in a local directory."""

from __future__ import annotations

import contextlib
import errno
import functools
import grp
import os
import pwd
import shutil
import stat
import sys
import typing as t

from ..errors import (
    EngineError,
    FileReadError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageLimitError,
    StorageMissingError,
)
from .base import (
    FILE_MODE,
    PATH_MODE,
    Bytes,
    Completion,
    Done,
    Features,
    FileInfo,
    FileKind,
    Publish,
    Reader,
    Storage,
    Writer,
    temporary_name,
)

CHUNK = 1024 * 1024

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
        return f" ({_free(path)} bytes free)"
    except OSError:
        return ""


def _free(path: str) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


class PosixStorage(Storage):
    """The verbs on ``root``."""

    features = Features(symlink=True, hardlink=True, path_sync=True)

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") or "/"
        self.location = self._root

    def _path(self, path: str) -> str:
        return os.path.join(self._root, path) if path else self._root

    def reader(self, path: str, *, offset: int = 0, size: int | None = None) -> Reader:
        """See Storage."""
        return _PosixReader(self._path(path), offset, size)

    def writer(self, path: str, *, publish: Publish) -> Writer:
        """See Storage."""
        return _PosixWriter(self._path(path), publish)

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
            _make_path(self._path(path))

    def rename(self, source: str, target: str) -> None:
        """See Storage."""
        _rename(self._path(source), self._path(target))

    def sync_path(self, path: str) -> None:
        """See Storage."""
        _sync_path(self._path(path))

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
            return _free(self._root)
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


def _make_path(path: str) -> None:
    try:
        os.mkdir(path, PATH_MODE)
    except FileExistsError:
        if not os.path.isdir(path):
            raise StorageError(f"unable to create path '{path}': it is not a directory") from None
    except FileNotFoundError as cause:
        parent = os.path.dirname(path)
        if parent == path:
            raise failure("create path", path, cause) from cause
        _make_path(parent)
        _make_path(path)
    except OSError as cause:
        raise failure("create path", path, cause) from cause
    else:
        # Else a file that is durable may be in a directory that is not.
        _sync_path(os.path.dirname(path))


def _rename(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as cause:
        raise failure("rename", source, cause) from cause


def _sync_path(path: str) -> None:
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


class _PosixReader(Reader):
    """Opens at once, so that the order of events is that of a remote storage."""

    def __init__(self, path: str, offset: int, size: int | None) -> None:
        self._path = path
        self._position = offset
        self._left = size
        self._descriptor: int | None = None
        self._error: EngineError | None = None
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as cause:
            self._error = failure("open", path, cause)

    def take(self) -> bytes:
        """See Reader."""
        if self._error is not None:
            raise self._error
        if self._descriptor is None:
            return b""
        want = CHUNK if self._left is None else min(CHUNK, self._left)
        try:
            data = os.pread(self._descriptor, want, self._position) if want else b""
        except OSError as cause:
            self.close()
            raise failure("read", self._path, cause) from cause
        self._position += len(data)
        if self._left is not None:
            self._left -= len(data)
        if not data:
            self.close()
            if self._left:
                raise FileReadError(
                    f"'{self._path}' ends at {self._position} bytes, "
                    f"{self._position + self._left} were expected"
                )
        return data

    def close(self) -> None:
        """See Reader."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _PosixWriter(Writer):
    """Writes at once; an error of opening is raised with the first bytes."""

    def __init__(self, path: str, publish: Publish) -> None:
        self._path = path
        self._publish = publish
        self._name = temporary_name(path) if publish is Publish.RENAME else path
        self._descriptor: int | None = None
        self._finished = False
        self._error: EngineError | None = None
        try:
            self._descriptor = self._open()
        except EngineError as error:
            self._error = error

    def _open(self) -> int:
        once = os.O_EXCL if self._publish is Publish.RENAME else os.O_TRUNC
        flags = os.O_WRONLY | os.O_CREAT | once
        try:
            try:
                return os.open(self._name, flags, FILE_MODE)
            except FileNotFoundError:
                _make_path(os.path.dirname(self._name))
                return os.open(self._name, flags, FILE_MODE)
        except OSError as cause:
            raise failure("open", self._name, cause) from cause

    def write(self, data: Bytes) -> None:
        """See Writer."""
        if self._error is not None:
            raise self._error
        if self._descriptor is None:
            raise StorageError(f"unable to write '{self._name}': it is closed")
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as cause:
            self._fail(failure("write", self._name, cause))
            raise self._error or StorageError(str(cause)) from cause

    def finish(
        self, *, after: t.Sequence[Completion] = (), twin: Completion | None = None
    ) -> Completion:
        """See Writer. Blocks, as local storage does, which replaces a file in one step."""
        if self._error is None and self._descriptor is not None:
            try:
                for other in after:
                    other.wait()
                os.fsync(self._descriptor)
                descriptor, self._descriptor = self._descriptor, None
                os.close(descriptor)
                if self._publish is Publish.RENAME:
                    _rename(self._name, self._path)
                    _sync_path(os.path.dirname(self._path))
            except OSError as cause:
                self._fail(failure("write", self._name, cause))
            except EngineError as error:
                self._fail(error)
        self._finished = True
        return Done() if self._error is None else _Failed(self._error)

    def abort(self) -> None:
        """See Writer."""
        if not self._finished:
            self._fail(StorageError(f"unable to write '{self._name}': it was given up"))

    def _fail(self, error: EngineError) -> None:
        first = self._error is None
        self._error = self._error or error
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if first:
            with contextlib.suppress(OSError):
                os.unlink(self._name)


class _Failed:
    """A completion that has failed."""

    def __init__(self, error: EngineError) -> None:
        self._error = error

    def ready(self) -> bool:
        """Always true."""
        return True

    def wait(self) -> None:
        """Raise the error."""
        raise self._error
