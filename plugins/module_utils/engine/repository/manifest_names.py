# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names the entries of a manifest may have (repository reference, section 8).

A restore makes paths of the names, and removes what no name stands for. Whoever wrote the manifest,
none may lead out of the data directory, nor, in a tablespace, out of the directory that PostgreSQL
has made there for itself: the place around it may hold anything.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import FormatError
from .contents import PG_DATA

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .contents import Target

TABLESPACES = "pg_tblspc"

_LINKS = f"{PG_DATA}/{TABLESPACES}"
_NO_PART = frozenset(("", ".", ".."))
_OID = re.compile(r"[1-9][0-9]{0,9}")
_VERSION_DIRECTORY = re.compile(r"PG_[0-9]+(\.[0-9]+)?_[0-9]+")


class Names:
    """Looks at all names of one manifest; every method raises FormatError."""

    def __init__(self) -> None:
        self._directories: set[str] = set()
        self._used: set[str] = set()

    def file(self, name: str) -> None:
        """That of a file, of which there can be a million: most are in a directory seen before."""
        directory, _slash, last = name.rpartition("/")
        if directory not in self._directories:
            self._content(name, directory)
            self._directories.add(directory)
        if last in _NO_PART:
            raise _refused(name)

    def path(self, name: str) -> None:
        """That of a directory: also of those that only lead to the tablespaces."""
        if name in (PG_DATA, TABLESPACES, _LINKS):
            return
        top, _slash, oid = name.partition("/")
        if top == TABLESPACES and "/" not in oid:
            self._tablespace(name, oid)
        else:
            self._content(name, name)

    def link(self, name: str) -> None:
        """That of a symlink: a tablespace's has the long name."""
        parent, _slash, last = name.rpartition("/")
        if parent == _LINKS:
            self._tablespace(name, last)
        elif name != _LINKS:
            self._content(name, f"{parent}/{last}")

    def targets(self, targets: Iterable[Target]) -> None:
        """All targets, when all other names were looked at: each tablespace is one of them."""
        there = {self._target(target) for target in targets}
        for oid in sorted(self._used - there):
            raise _refused(f"{TABLESPACES}/{oid}", "which is no tablespace of the backup")

    def _target(self, target: Target) -> str | None:
        """The oid of a tablespace; None for the data directory and for other links."""
        name, oid = target.name, target.tablespace_id
        if name.startswith(PG_DATA + "/"):
            if name != _LINKS:
                self._content(name, name)
            fits = target.kind == "link" and oid is None
        elif name == PG_DATA:
            fits = target.kind == "path" and oid is None and target.file is None
        else:
            fits = target.kind == "link" and name == f"{TABLESPACES}/{oid}" and not target.file
        if target.file is not None and ("/" in target.file or target.file in _NO_PART):
            fits = False
        if not fits:
            raise FormatError(f"manifest has the target {name!r}, which is none", hint=_HINT)
        return None if oid is None else str(oid)

    def _content(self, name: str, directory: str) -> None:
        """A directory that holds what is the server's, directly or further below."""
        parts = directory.split("/")
        good = not any(part in _NO_PART for part in parts)
        if parts[0] == TABLESPACES:
            if not (good and len(parts) > 2 and _VERSION_DIRECTORY.fullmatch(parts[2])):
                raise _refused(name)
            self._tablespace(name, parts[1])
        elif not good or parts[0] != PG_DATA or parts[1:2] == [TABLESPACES]:
            raise _refused(name)

    def _tablespace(self, name: str, oid: str) -> None:
        if not _OID.fullmatch(oid):
            raise _refused(name)
        self._used.add(oid)


_HINT = "pgBackRest writes no such manifest: who else can write to the repository?"


def _refused(
    name: str, why: str = "which is neither in the data directory nor in a tablespace"
) -> FormatError:
    return FormatError(f"manifest has the name {name!r}, {why}", hint=_HINT)
