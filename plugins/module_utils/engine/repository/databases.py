# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a selective restore leaves out (``--db-include``, ``--db-exclude``). Pure.

Their places are taken by files of zeroes without blocks on disk, so that the server can start and
the databases can be dropped. The rules are pgBackRest's (repository reference, section 15 step 10).
"""

from __future__ import annotations

import re
import typing as t

from ..errors import DbInvalidError, DbMissingError, FormatError
from .contents import PG_DATA

if t.TYPE_CHECKING:
    from .contents import Manifest

_VERSION_FILE = re.compile(
    rf"(?:{PG_DATA}/base|pg_tblspc/[0-9]+/[^/]+)/(?P<database>[0-9]+)/PG_VERSION"
)
_DATABASE_FILE = re.compile(
    rf"(?:{PG_DATA}/base|pg_tblspc/[0-9]+/[^/]+)/(?P<database>[0-9]+)/(?!PG_VERSION$).+"
)
_SYSTEM_NAMES = ("postgres", "template0", "template1")
# PostgreSQL's FirstNormalObjectId of access/transam.h: databases below it come from initdb.
_FIRST_USER_OID = 16384


def left_out(
    manifest: Manifest, include: t.Sequence[str], exclude: t.Sequence[str]
) -> frozenset[int]:
    """The databases (by oid) whose content is not restored.

    ``include`` and ``exclude`` are names or oids. Databases of the system stay unless they are
    excluded by name. Raises DbMissingError for a database that the backup does not have,
    DbInvalidError for one that cannot be included.
    """
    if not include and not exclude:
        return frozenset()
    system = {row.oid for row in manifest.databases if _is_system(row.name, row.oid)}
    known = set(system)
    for file in manifest.files:
        match = _VERSION_FILE.fullmatch(file.name)
        if match is not None:
            oid = int(match["database"])
            known.add(oid)
            if oid < _FIRST_USER_OID:
                system.add(oid)
    if not known:
        raise FormatError(
            "no databases found for selective restore", hint="is this a valid cluster?"
        )
    excluded = {_find(manifest, known, name, "exclude") for name in exclude}
    included = set()
    for name in include:
        oid = _find(manifest, known, name, "include")
        if oid in system:
            raise DbInvalidError(
                "system databases (template0, postgres, etc.) are included by default",
                hint="leave it out of db-include.",
            )
        if oid in excluded:
            raise DbInvalidError(
                f"database to include '{name}' is in the exclude list",
                hint="name it in db-include or in db-exclude.",
            )
        included.add(oid)
    if not include:
        return frozenset(excluded)
    return frozenset((known - included - system) | excluded)


def database_of(name: str) -> int | None:
    """The database whose content a file (its manifest name) belongs to; None for all other files.

    ``PG_VERSION`` is no content: without it the server would not know the directory for one of its.
    """
    match = _DATABASE_FILE.fullmatch(name)
    return None if match is None else int(match["database"])


def _is_system(name: str, oid: int) -> bool:
    return name in _SYSTEM_NAMES or oid < _FIRST_USER_OID


def _find(manifest: Manifest, known: t.Collection[int], wanted: str, verb: str) -> int:
    if wanted.isdigit() and int(wanted) in known:
        return int(wanted)
    for row in manifest.databases:
        if row.name == wanted and row.oid in known:
            return row.oid
    names = [row.name for row in manifest.databases if row.oid in known]
    raise DbMissingError(
        f"database to {verb} '{wanted}' does not exist",
        hint=f"the backup has {', '.join(names)}.",
    )
