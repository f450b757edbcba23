# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a storage, and the values that they give.

Paths are relative to the repository (``archive/demo/archive.info``), with ``/``; the empty path is
the repository itself. Every verb may raise the five storage causes of ``errors.py``:
StorageMissingError, StorageAccessError, StorageFullError, StorageLimitError, TransportLostError;
and StorageError for whatever else the storage refused, with the reason that it gave.
"""

from __future__ import annotations

import abc
import contextlib
import enum
import functools
import re
import secrets
import typing as t

from ..errors import EngineError, StorageMissingError
from .survey import Survey

# A file on its way to its name; readers of a repository pass over such names (repository
# reference, section 1).
TEMPORARY_SUFFIX = ".pgbackrest.tmp"

_WITH_TOKEN = re.compile(r"(.+)\.[0-9a-f]{16}")

# What files and directories are made with (repository reference, section 1).
FILE_MODE = 0o640
PATH_MODE = 0o750

Bytes = t.Union[bytes, bytearray, memoryview]


def temporary_name(path: str) -> str:
    """A name for a file on its way to ``path``, which nobody else on any host uses.

    Two that send the same file must never write to one name: what the first of them renames would
    be what the second has of it. It is made with O_EXCL, or what the storage has for that.
    """
    return f"{path}.{_token()}{TEMPORARY_SUFFIX}"


def _token() -> str:
    return secrets.token_hex(8)


def final_names(temporary: str) -> tuple[str, ...]:
    """The names that a file may have been on its way to (pure): ours, and what pgBackRest would
    have meant. Empty for a name that is no temporary one.
    """
    if not temporary.endswith(TEMPORARY_SUFFIX):
        return ()
    name = temporary[: -len(TEMPORARY_SUFFIX)]
    ours = _WITH_TOKEN.fullmatch(name)
    return (name,) if ours is None else (ours[1], name)


def parent(path: str) -> str:
    """The directory of a path; empty for what lies in the repository itself."""
    return path.rpartition("/")[0]


def join(path: str, name: str) -> str:
    """A name in a directory."""
    return f"{path}/{name}" if path else name


class FileKind(enum.Enum):
    """What a name stands for."""

    FILE = "file"
    PATH = "path"
    LINK = "link"
    SPECIAL = "special"


class FileInfo(t.NamedTuple):
    """One entry: size in bytes, mtime in epoch seconds. What a storage does not say is None."""

    name: str
    kind: FileKind
    size: int
    mtime: int
    mode: int | None = None
    user: str | None = None
    group: str | None = None
    destination: str | None = None  # of a link


Entries = list[FileInfo]
Listing = t.Union[Entries, EngineError]


class Features(t.NamedTuple):
    """What a kind of storage offers beyond files and directories."""

    symlink: bool


class Publish(enum.Enum):
    """How a file gets its name."""

    # Written under a temporary name, made durable, renamed over the name.
    RENAME = "rename"
    # Written under its name; durable when the completion says so.
    DIRECT = "direct"


class Missing(enum.Enum):
    """What it means that something to remove is not there."""

    IGNORE = "ignore"
    ERROR = "error"


class Completion(t.Protocol):
    """The end of something that is still under way."""

    def ready(self) -> bool:
        """True when ``wait`` will not block; makes progress, never blocks, never raises."""

    def wait(self) -> None:
        """Wait until it is durable, or raise what went wrong."""


class Done:
    """A completion that needs no waiting."""

    def ready(self) -> bool:
        """Always true."""
        return True

    def wait(self) -> None:
        """Return."""


class Reader(abc.ABC):
    """The bytes of one file or of a range of it, in order.

    It is asked for when the reader is made; what goes wrong is raised when bytes are taken. Taking
    all of them closes it.
    """

    def __iter__(self) -> t.Iterator[bytes]:
        while True:
            data = self.take()
            if not data:
                return
            yield data

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_all(self) -> bytes:
        """Everything that was not taken yet."""
        return b"".join(self)

    @abc.abstractmethod
    def take(self) -> bytes:
        """The next bytes, as many as are at hand; empty at the end.

        Raises FileReadError when the file ends before the range that was asked for.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Give up what was not taken; never raises."""


class Writer(abc.ABC):
    """One file being written."""

    @abc.abstractmethod
    def write(self, data: Bytes) -> None:
        """Take bytes; blocks only when too many are on their way. May raise for earlier ones."""

    @abc.abstractmethod
    def finish(
        self,
        *,
        name: str | None = None,
        after: t.Sequence[Completion] = (),
        twin: Completion | None = None,
    ) -> Completion:
        """No more bytes follow: make the file durable and publish it. Does not block.

        ``name`` is what it is called in its directory, where that was not known at the beginning
        (Publish.RENAME).

        With ``after``, completions of other writers, it gets its name (Publish.RENAME) only when
        all of those have their own, and never when one fails. ``twin`` holds the same bytes: one of
        the two names must stand for a whole file at any time, so that where replacing a file takes
        the server two steps this one waits for its twin, too.
        """

    @abc.abstractmethod
    def abort(self) -> None:
        """Leave nothing of it, as far as that is possible; never raises."""


class Storage(abc.ABC):
    """A place for a repository."""

    features: t.ClassVar[Features]

    # Shown in messages: a directory, or ``host:directory``.
    location: str

    @property
    def ended(self) -> bool:
        """Whether the session is known to be gone: what is asked next raises, or connects first.

        To ask costs nothing.
        """
        return False

    def at_once(self) -> t.ContextManager[None]:
        """Within, a session that is lost is replaced only where the server lets us in at once.
        Otherwise the loss is raised, a TransportLostError, and who asks afterwards connects.
        """
        return contextlib.nullcontext()

    @property
    def answered(self) -> bool:
        """Whether the server has answered on this session; a borrowed one may have been dead."""
        return True

    @property
    def unfinished(self) -> frozenset[str]:
        """Temporary files on their way. When the session is lost they are what it left behind, and
        whoever sends the files anew removes them.
        """
        return frozenset()

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def reader(self, path: str, *, offset: int = 0, size: int | None = None) -> Reader:
        """Read a file, or ``size`` bytes of it from ``offset``."""

    def read(self, path: str) -> bytes:
        """The whole of a (small) file."""
        return self.reader(path).read_all()

    @abc.abstractmethod
    def writer(self, path: str, *, publish: Publish, most: int = 0) -> Writer:
        """Write a file with mode 0640; directories that are missing are made with 0750.

        ``most`` bytes are expected, or fewer, so that much can be prepared for; 0: not known.
        """

    def write(self, path: str, data: bytes) -> None:
        """Replace a (small) file as a whole, and wait until it is durable under its name."""
        writer = self.writer(path, publish=Publish.RENAME)
        writer.write(data)
        writer.finish().wait()

    def list(self, path: str) -> Entries:
        """The entries of a directory, sorted by name; StorageMissingError when there is none."""
        entries = self.list_many([path])[0]
        if isinstance(entries, EngineError):
            raise entries
        return entries

    @abc.abstractmethod
    def list_many(self, paths: t.Iterable[str]) -> t.Sequence[Listing]:
        """``list`` of each path; what fails gives its error instead. A lost transport raises."""

    def begin_list_many(self, paths: t.Iterable[str]) -> t.Callable[[], t.Sequence[Listing]]:
        """``list_many``, as far as it goes without waiting; to call what this gives is the rest."""
        return functools.partial(self.list_many, list(paths))

    def info(self, path: str) -> FileInfo | None:
        """What a name stands for (a link is not followed); None only when it surely is missing."""
        return self.info_many([path])[0]

    @abc.abstractmethod
    def info_many(self, paths: t.Iterable[str]) -> t.Sequence[FileInfo | None]:
        """``info`` of each path."""

    def remove(self, path: str, *, missing: Missing = Missing.IGNORE) -> None:
        """Remove a file or link."""
        if not self.remove_many([path]) and missing is Missing.ERROR:
            raise StorageMissingError(
                f"unable to remove '{path}' on {self.location}: no such file or directory"
            )

    @abc.abstractmethod
    def remove_many(self, paths: t.Iterable[str]) -> int:
        """Remove files and links; how many of them were there. All are tried before it raises."""

    @abc.abstractmethod
    def remove_tree(self, path: str) -> None:
        """Remove a directory and everything below it; one that is not there is no error."""

    def make_path(self, path: str) -> None:
        """Make a directory and its parents, mode 0750; no error when it is there."""
        self.make_paths([path])

    @abc.abstractmethod
    def make_paths(self, paths: t.Iterable[str]) -> None:
        """``make_path`` of each path."""

    def expect_paths(self, paths: t.Iterable[str]) -> None:
        """Have directories made that files will be put into, without waiting where that costs.

        What fails is told by whoever writes there.
        """
        self.make_paths(paths)

    @abc.abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Give a file another name, over an existing one."""

    @abc.abstractmethod
    def sync_path(self, path: str) -> None:
        """Make the names in a directory durable, where the storage can."""

    @abc.abstractmethod
    def link(self, target: str, path: str) -> None:
        """Make ``path`` a symbolic link to ``target``."""

    @abc.abstractmethod
    def free_size(self) -> int | None:
        """Bytes that are free for us; None when the storage does not say."""

    def survey(self, scratch: str) -> Survey | None:
        """Try in directory ``scratch`` what the server can do, and leave nothing of it; None where
        there is no server. What the server refuses is in the survey, and is not raised.
        """
        return None

    def wait(self, completions: t.Iterable[Completion]) -> None:
        """Wait for all; raises the first error, after all have ended."""
        first: EngineError | None = None
        for completion in completions:
            try:
                completion.wait()
            except EngineError as error:
                first = first or error
        if first is not None:
            raise first

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of it; never raises."""
