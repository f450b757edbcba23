# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a manifest: the JSON of its line to its values (repository reference, section 8).

Whoever wrote it, what comes out can be worked with: numbers are in their ranges, digests are
digests, and a backup that is referred to has the name of one.
"""

from __future__ import annotations

import re
import sys
import typing as t

from ..errors import JsonFormatError
from . import label as labels
from .contents import (
    BLOCK_CHECKSUM_SIZE,
    BLOCK_CHECKSUM_SIZES,
    BLOCK_SIZE_MOST,
    BLOCK_UNIT,
    EMPTY_SHA1,
    Block,
    ManifestFile,
    PageErrors,
    Target,
)
from .fields import MOST, Fields

# How many different numbers are remembered, lest that takes more than it saves.
_SHARED = 1 << 14

DEFAULT: t.Any = object()
"""Stands in an entry for what a default section says: those come after the entries."""

# Bytes that a block map takes at most, and each block in it besides its checksum.
_MAP_EXTRA = 64
_MAP_ENTRY = 80

_MODE = re.compile(r"[0-7]{1,4}")
_OID = re.compile(r"[1-9][0-9]{0,9}")


def owner(name: str, values: t.Any) -> tuple[t.Any, t.Any, t.Any]:
    """User, group and mode of an entry."""
    if not isinstance(values, dict):
        raise JsonFormatError(f"'{name}': expected an object")
    user = group = mode = DEFAULT
    if "user" in values:
        user = _name(name, values["user"])
    if "group" in values:
        group = _name(name, values["group"])
    if "mode" in values:
        mode = _mode(name, values["mode"])
    return user, group, mode


def _name(what: str, value: object) -> str | None:
    # false stands for an owner that had no name.
    if isinstance(value, str):
        return sys.intern(value)
    if value is False:
        return None
    raise JsonFormatError(f"'{what}': an owner is neither a string nor false")


def _mode(what: str, value: object) -> int:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise JsonFormatError(f"'{what}': invalid mode '{value}'")
    return int(value, 8)


class FileParser:
    """One line of ``[target:file]``, a million times: shared values, few calls."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._numbers: dict[int, int] = {}

    def parse(self, name: str, values: t.Any) -> ManifestFile:
        """Raises JsonFormatError."""
        try:
            get = values.get
            size = values["size"]
            timestamp = values["timestamp"]
        except (KeyError, AttributeError, TypeError):
            raise JsonFormatError(
                f"file '{name}': required key 'size' or 'timestamp' not found"
            ) from None
        user = group = mode = DEFAULT
        if "user" in values or "group" in values or "mode" in values:
            user, group, mode = owner(name, values)
        reference = get("reference")
        if reference is not None:
            reference = self._label(name, reference)
        repo_size, bundle_id, offset = get("repo-size", size), get("bni", 0), get("bno", 0)
        if not (
            size.__class__ is repo_size.__class__ is bundle_id.__class__ is int
            and offset.__class__ is timestamp.__class__ is int
            # Of several numbers at once: a negative one makes it negative, a large one large.
            and 0 <= size | repo_size | bundle_id | offset < MOST
            and -MOST < timestamp < MOST
        ):
            raise JsonFormatError(f"file '{name}': invalid size, timestamp or place")
        checksum, repo_checksum = get("checksum"), get("rck")
        if checksum is not None and not (
            checksum.__class__ is str and len(checksum) == 40 and checksum.isalnum()
        ):
            raise JsonFormatError(f"file '{name}': invalid checksum")
        if repo_checksum is not None and not (
            repo_checksum.__class__ is str and len(repo_checksum) == 40 and repo_checksum.isalnum()
        ):
            raise JsonFormatError(f"file '{name}': invalid rck")
        page_valid = get("checksum-page")
        if page_valid is not None and page_valid.__class__ is not bool:
            raise JsonFormatError(f"file '{name}': invalid checksum-page")
        page_errors: PageErrors = ()
        if "checksum-page-error" in values:
            page_errors = _page_errors(name, values["checksum-page-error"])
        block = None
        if "bi" in values:
            block = _block(name, values, size, repo_size)
        original_size = get("szo")
        if original_size is not None and not _is_size(original_size):
            raise JsonFormatError(f"file '{name}': invalid szo")
        size, timestamp = self._share(size), self._share(timestamp)
        return ManifestFile(
            name,
            size,
            repo_size,
            timestamp,
            mode,
            user,
            group,
            checksum if size else EMPTY_SHA1,
            repo_checksum,
            reference,
            bundle_id,
            offset,
            page_valid,
            page_errors,
            block,
            original_size,
        )

    def _label(self, name: str, reference: object) -> str:
        """The same object for equal ones, which makes paths of the repository."""
        if not isinstance(reference, str):
            raise JsonFormatError(f"file '{name}': reference is not a string")
        known = self._labels.get(reference)
        if known is None:
            if not labels.is_label(reference):
                raise JsonFormatError(f"file '{name}': reference {reference!r} is no backup")
            known = self._labels[reference] = reference
        return known

    def _share(self, number: int) -> int:
        """The same object for equal numbers: most files have one of a few sizes and times."""
        if len(self._numbers) < _SHARED:
            return self._numbers.setdefault(number, number)
        return self._numbers.get(number, number)


def _is_size(value: t.Any) -> bool:
    return value.__class__ is int and 0 <= value < MOST


def _block(name: str, values: t.Mapping[str, t.Any], size: int, repo_size: int) -> Block | None:
    """None for a file without a map, which is stored whole, whatever its line says of blocks.

    The real writer leaves the size of the blocks there when repo-block is switched off in a chain.
    """
    units, map_size = values["bi"], values.get("bim", 0)
    checksum_size = values.get("bic", BLOCK_CHECKSUM_SIZE)
    if not (
        _is_size(units)
        and _is_size(map_size)
        and _is_size(checksum_size)
        and 0 < units <= BLOCK_SIZE_MOST // BLOCK_UNIT
        and map_size <= repo_size
        and checksum_size in BLOCK_CHECKSUM_SIZES
    ):
        raise JsonFormatError(f"file '{name}': invalid blocks")
    block = Block(units * BLOCK_UNIT, checksum_size, map_size)
    if map_size > _MAP_EXTRA + -(-size // block.size) * (checksum_size + _MAP_ENTRY):
        raise JsonFormatError(f"file '{name}': the map of its blocks is too large")
    return block if map_size else None


def _page_errors(name: str, value: object) -> PageErrors:
    errors: list[int | tuple[int, int]] = []
    item: t.Any
    for item in value if isinstance(value, list) else [None]:
        if _is_size(item):
            errors.append(item)
        elif isinstance(item, list) and len(item) == 2 and all(map(_is_size, item)):
            errors.append((item[0], item[1]))
        else:
            raise JsonFormatError(f"file '{name}': invalid checksum-page-error")
    return tuple(errors)


def target(name: str, value: object) -> Target:
    """A line of ``[backup:target]``."""
    row = Fields(f"target '{name}'", value)
    tablespace_id = row.optional_text("tablespace-id")
    if tablespace_id is not None and not _OID.fullmatch(tablespace_id):
        raise JsonFormatError(f"target '{name}': invalid tablespace-id '{tablespace_id}'")
    return Target(
        name,
        row.text("type"),
        row.text("path"),
        row.optional_text("file"),
        None if tablespace_id is None else int(tablespace_id),
        row.optional_text("tablespace-name"),
    )
