# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Info files come in twins, and either one is enough (repository reference, section 1).

``archive.info``, ``backup.info`` and ``backup.manifest`` have a ``.copy`` with the same bytes, so
that a write that is interrupted never leaves a stanza without a good one.
"""

from __future__ import annotations

import typing as t

from ..errors import EngineError, FileMissingError, FileOpenError, TransportLostError
from ..storage.base import Publish
from .layout import copy_of

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..storage.base import Completion, Storage

_T = t.TypeVar("_T")


class Loading(t.Generic[_T]):
    """A twin on its way: asked for when this is made, waited for by ``result``.

    ``decode`` makes the value of the stored bytes, which come in chunks, and raises what is wrong
    with them.
    """

    def __init__(
        self,
        storage: Storage,
        path: str,
        decode: t.Callable[[Iterable[bytes]], _T],
        *,
        kind: str = "info",
        hint: str | None = None,
    ) -> None:
        self._storage = storage
        self._path = path
        self._decode = decode
        self._kind = kind
        self._hint = hint
        self._reader = storage.reader(path)

    def result(self) -> _T:
        """The value of the file or, when anything is wrong with it, of its copy.

        When both fail one error lists both causes. A lost connection says nothing about the files:
        it is raised as it is.
        """
        first: EngineError
        try:
            with self._reader as reader:
                return self._decode(reader)
        except TransportLostError:
            raise
        except EngineError as cause:
            first = cause
        try:
            with self._storage.reader(copy_of(self._path)) as reader:
                return self._decode(reader)
        except TransportLostError:
            raise
        except EngineError as cause:
            raise _both(self._path, self._kind, first, cause, self._hint) from cause


def save_twins(
    storage: Storage, path: str, data: bytes, *, after: t.Sequence[Completion] = ()
) -> list[Completion]:
    """Replace ``path`` and its copy, such that one of them is always good.

    Both are on their way at once. Does not wait; nothing appears before ``after`` is complete.
    """
    writers = [storage.writer(name, publish=Publish.RENAME) for name in (path, copy_of(path))]
    try:
        for writer in writers:
            writer.write(data)
        first = writers[0].finish(after=after)
        return [first, writers[1].finish(after=after, twin=first)]
    except BaseException:
        for writer in writers:
            writer.abort()
        raise


def _both(
    path: str, kind: str, first: EngineError, second: EngineError, hint: str | None
) -> EngineError:
    message = (
        f"unable to load {kind} file '{path}' or '{copy_of(path)}':\n"
        f"{_line(first)}\n{_line(second)}"
    )
    return _error_class(first, second)(message, hint=hint or second.hint or first.hint)


def _line(cause: EngineError) -> str:
    return f"{cause.family}: {cause.message}"


def _error_class(first: EngineError, second: EngineError) -> type[EngineError]:
    if isinstance(first, FileMissingError):
        return type(second)
    if isinstance(second, FileMissingError) or type(second) is type(first):
        return type(first)
    return FileOpenError
