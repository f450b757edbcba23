# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""repo-ls and repo-get: look into a repository of any type."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from ..config.options import Options, RepoOptions
from ..errors import (
    EngineError,
    OptionInvalidValueError,
    ParamInvalidError,
    ParamRequiredError,
    StorageMissingError,
)
from ..repository import archive_info, backup_info, label, layout, manifest
from ..storage.base import FileInfo, FileKind, Storage, join
from ..storage.open import open_storage
from ..transform.pipeline import Decoder, Encoding
from .cipher import cipher_pass

# What repo-get ends with when the file is missing and that is to be ignored.
MISSING = 1


@dataclass(frozen=True)
class ListResult:
    """What lies in a directory, by name relative to it; ``.`` is the directory itself."""

    entries: t.Mapping[str, FileInfo]
    text: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {name: _row(info) for name, info in self.entries.items()}


@dataclass(frozen=True)
class FileResult:
    """The bytes of a file, which are read as they are taken."""

    chunks: t.Iterator[bytes]


@dataclass(frozen=True)
class MissingResult:
    """There is no such file, and nobody minds."""

    exit_code: int = MISSING


def relative(repo: RepoOptions, path: str) -> str:
    """A path as a user gives it, absolute or not, relative to the repository (pure).

    Raises ParamInvalidError for one that does not lie in the repository.
    """
    text = path
    if text.startswith("/"):
        base = repo.path.rstrip("/")
        if text.rstrip("/") != base and not text.startswith(f"{base}/"):
            raise ParamInvalidError(
                f"absolute path '{path}' is not in base path '{repo.path}'",
                hint=f"name a path below '{repo.path}', or one relative to it.",
            )
        text = text[len(base) :]
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ParamInvalidError(
            f"path '{path}' may not contain '..'",
            hint="name it relative to the repository, without going up.",
        )
    return "/".join(parts)


# --- repo-ls ---------------------------------------------------------------------------------


def list_path(options: Options) -> ListResult:
    """List a directory, or with ``recurse`` everything below it; one that is missing is empty."""
    if len(options.parameters) > 1:
        raise ParamInvalidError(
            "only one path may be specified", hint="run the command once for each."
        )
    repo = options.repo()
    path = relative(repo, options.parameters[0] if options.parameters else "")
    wanted = _pattern(options.filter)
    with open_storage(repo, io_timeout=options.io_timeout) as storage:
        found = _listed(storage, path, recurse=options.recurse)
    names = sorted(found, key=lambda name: name.split("/"), reverse=options.sort == "desc")
    entries = {name: found[name] for name in names if wanted is None or wanted.search(name)}
    if options.output == "json":
        rows = {name: _row(info) for name, info in entries.items()}
        text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n"
    else:
        # The directory itself goes without saying, a file does not.
        shown = [
            name for name, info in entries.items() if name != "." or info.kind is not FileKind.PATH
        ]
        text = "".join(f"{name}\n" for name in shown)
    return ListResult(entries, text)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as cause:
        raise OptionInvalidValueError(
            f"'{text}' is no regular expression: {cause}",
            hint="see the syntax of Python's re; a sign that stands for itself needs a backslash.",
        ) from cause


def _listed(storage: Storage, path: str, *, recurse: bool) -> dict[str, FileInfo]:
    top = storage.info(path) if path else None
    # A link, such as that to the latest backup, is looked through.
    if top is not None and top.kind is FileKind.FILE:
        return {".": top}
    found = {".": FileInfo(".", FileKind.PATH, 0, 0)}
    # One level at a time, all of its directories together.
    level = [""]
    while level:
        paths = [join(path, name) if name else path for name in level]
        below: list[str] = []
        for name, listing in zip(level, storage.list_many(paths)):
            if isinstance(listing, StorageMissingError):
                continue
            if isinstance(listing, EngineError):
                raise listing
            for entry in listing:
                inner = join(name, entry.name)
                found[inner] = entry
                if entry.kind is FileKind.PATH:
                    below.append(inner)
        level = below if recurse else []
    return found


def _row(info: FileInfo) -> dict[str, object]:
    if info.kind is FileKind.FILE:
        return {"type": "file", "size": info.size, "time": info.mtime}
    if info.kind is FileKind.LINK:
        return {"type": "link", "destination": info.destination}
    return {"type": info.kind.value}


# --- repo-get --------------------------------------------------------------------------------


def get(options: Options) -> FileResult | MissingResult:
    """Give a file: decrypted (unless ``raw``), but compressed as it is.

    Raises ParamRequiredError without a path, FileMissingError when there is no such file.
    """
    if len(options.parameters) != 1:
        raise ParamRequiredError(
            "source file required", hint="the repo-ls command shows the files."
        )
    repo = options.repo()
    path = relative(repo, options.parameters[0])
    storage = open_storage(repo, io_timeout=options.io_timeout)
    try:
        passphrase = None if options.raw else passphrase_of(storage, repo, path, options.stanza)
        chunks = _opened(storage, path, passphrase)
        first = next(chunks, b"")
    except StorageMissingError:
        storage.close()
        if options.ignore_missing:
            return MissingResult()
        raise
    except BaseException:
        storage.close()
        raise
    return FileResult(_rest(storage, first, chunks))


def passphrase_of(storage: Storage, repo: RepoOptions, path: str, stanza: str | None) -> str | None:
    """The pass of a file, which depends on where it lies (repository reference, section 4)."""
    user = cipher_pass(repo)
    if user is None:
        return None
    parts = path.split("/")
    if len(parts) < 3 or parts[0] not in (layout.ARCHIVE, layout.BACKUP):
        raise OptionInvalidValueError(
            f"unable to determine cipher passphrase for '{path}'",
            hint="--raw gets a file as it is stored.",
        )
    if stanza is not None and parts[1] != stanza:
        raise OptionInvalidValueError(
            f"stanza name '{stanza}' given in option doesn't match the given path",
            hint="leave out --stanza, or name the one in the path.",
        )
    stanza = parts[1]
    base = path[: -len(layout.COPY_SUFFIX)] if path.endswith(layout.COPY_SUFFIX) else path
    if base in (layout.archive_info(stanza), layout.backup_info(stanza)):
        return user
    if parts[0] == layout.ARCHIVE:
        return archive_info.load(storage, stanza, user).cipher_pass
    info = backup_info.load(storage, stanza, user)
    if parts[2] == "backup.history" or base == layout.manifest_path(stanza, parts[2]):
        return info.cipher_pass
    latest = parts[2] == layout.LATEST and len(parts) > 3
    if not (latest or label.is_label(parts[2])):
        raise OptionInvalidValueError(
            f"unable to determine cipher passphrase for '{path}'",
            hint="--raw gets a file as it is stored.",
        )
    link = storage.info(layout.latest_path(stanza)) if latest else None
    name = parts[2] if link is None else link.destination or parts[2]
    return manifest.load(storage, stanza, name, info.cipher_pass).cipher_pass


def _opened(storage: Storage, path: str, passphrase: str | None) -> t.Iterator[bytes]:
    with storage.reader(path) as reader:
        yield from Decoder(Encoding(cipher_pass=passphrase)).stream(reader)


def _rest(storage: Storage, first: bytes, chunks: t.Iterator[bytes]) -> t.Iterator[bytes]:
    with storage:
        yield first
        yield from chunks
