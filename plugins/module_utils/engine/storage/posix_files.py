# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers and writers of the files of a local repository."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..errors import EngineError, FileReadError, StorageError
from .base import (
    FILE_MODE,
    Bytes,
    Completion,
    Done,
    Publish,
    Reader,
    Writer,
    temporary_name,
)
from .posix_calls import failure, make_path, rename, sync_path

CHUNK = 1024 * 1024


class PosixReader(Reader):
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


class PosixWriter(Writer):
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
                make_path(os.path.dirname(self._name))
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
        self,
        *,
        name: str | None = None,
        after: t.Sequence[Completion] = (),
        twin: Completion | None = None,
    ) -> Completion:
        """See Writer. Blocks, as local storage does, which replaces a file in one step."""
        if name is not None:
            self._path = os.path.join(os.path.dirname(self._path), name)
        if self._error is None and self._descriptor is not None:
            try:
                for other in after:
                    other.wait()
                os.fsync(self._descriptor)
                descriptor, self._descriptor = self._descriptor, None
                os.close(descriptor)
                if self._publish is Publish.RENAME:
                    rename(self._name, self._path)
                    sync_path(os.path.dirname(self._path))
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
