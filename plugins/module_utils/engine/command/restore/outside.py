# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the tablespaces and linked directories are that a restore would change.

They lie outside of the data directory, and the backup names the places of the cluster that it is
of. That cluster may well run on this host while a copy of it is restored: whoever says that the
copy may be changed in place has not said that of the cluster.
"""

from __future__ import annotations

import os
import typing as t

from ...config.options import Options
from ...errors import FileExistsError_, PathNotEmptyError, PostgresRunningError
from ...repository.contents import PG_DATA, Manifest
from . import running
from .plan import Places, link_text
from .target import holds, is_data_directory

_SPACES = "pg_tblspc"
_WAL = ("pg_wal", "pg_xlog")


class Outside(t.NamedTuple):
    """A directory or file outside of the data directory."""

    path: str
    end: str
    """What the link leads to: the same, or the tablespace that the directory is in."""
    name: str
    """Of the link, below the data directory."""
    link: str
    """Its path."""
    original: bool
    """The backup has the link as it would be made."""
    option: str
    """What gives it another place."""


class Other(t.NamedTuple):
    """Another data directory on this host."""

    path: str
    process: int | None
    """Of the server that runs in it."""


def outside_of(manifest: Manifest, where: Places) -> list[Outside]:
    """What a restore writes to outside of the data directory."""
    texts = {row.name: row for row in manifest.targets}
    found = []
    for path in manifest.paths:
        if path.name.count("/") != 2 or not path.name.startswith(f"{_SPACES}/"):
            continue
        oid = path.name.split("/")[1]
        name = f"{PG_DATA}/{_SPACES}/{oid}"
        row = texts[f"{_SPACES}/{oid}"]
        found.append(
            Outside(
                where.of(path.name) or "",
                where.tablespaces[int(oid)],
                name[len(PG_DATA) + 1 :],
                where.link_place(name),
                row.path.rstrip("/") == where.links[name],
                f"--tablespace-map={row.tablespace_name or oid}=DIRECTORY",
            )
        )
    for name, text in where.links.items():
        if name.startswith(f"{PG_DATA}/{_SPACES}/"):
            continue
        place, relative = where.destination(name), name[len(PG_DATA) + 1 :]
        found.append(
            Outside(
                place,
                place,
                relative,
                where.link_place(name),
                name in texts and link_text(texts[name]) == text,
                f"--link-map={relative}=PLACE",
            )
        )
    return found


def others(manifest: Manifest, options: Options) -> list[Other]:
    """The data directories that may use such places as well, as far as they can be known.

    Those of servers that run here, that of the cluster that was backed up, configured ones, and
    those beside the own: what was there before is moved aside before a restore.
    """
    known: dict[str, int | None] = dict(running.data_directories())
    named = [_original(manifest), *(pg.path for pg in options.pgs if pg.host is None)]
    for path in (*named, *_beside(options.pg.path.rstrip("/"))):
        if path and is_data_directory(path):
            known.setdefault(path.rstrip("/"), running.process_of(path))
    own = os.path.realpath(options.pg.path)
    return [Other(*row) for row in sorted(known.items()) if os.path.realpath(row[0]) != own]


def refuse_servers(places: t.Sequence[Outside], known: t.Sequence[Other]) -> None:
    """PostgresRunningError when another server, which runs, uses one of them, empty or not."""
    for other in known:
        for place in places if other.process is not None else ():
            if _uses(other.path, place):
                raise PostgresRunningError(
                    f"unable to restore to '{place.path}': the server in '{other.path}' uses it",
                    hint=f"process {other.process} is running; give the copy a place of its own"
                    f" with {place.option}.",
                )


def refuse_strangers(
    places: t.Sequence[Outside],
    known: t.Sequence[Other],
    manifest: Manifest,
    where: Places,
    *,
    force: bool,
    empty: bool,
) -> None:
    """Raise for what holds something and is not the data directory's own.

    It is when the data directory has the link that leads there. One that has lost the link still
    has it when it is the directory that was backed up, and the place that of the backup. With
    ``force`` it suffices that no other cluster is known to use it; but when the data directory is
    ``empty``, it has to look like what one has left. There pgBackRest has no --force at all.

    PathNotEmptyError, FileExistsError_ for a file.
    """
    same = os.path.realpath(where.pg_data) == os.path.realpath(_original(manifest))
    at_home = same and is_data_directory(where.pg_data)
    for place in places:
        if not holds(place.path) or _leads(place.link, place.end):
            continue
        for other in known:
            if _uses(other.path, place) and not _set_aside(other.path, place, where.pg_data):
                raise PathNotEmptyError(
                    f"unable to restore to path '{place.path}' because it belongs to the cluster in"
                    f" '{other.path}'",
                    hint=f"give the copy a place of its own with {place.option}; or move that data"
                    " directory away, if nobody needs it.",
                )
        forced = not empty or _left_over(place, manifest)
        if (force and forced) or (at_home and place.original and not os.path.lexists(place.link)):
            continue
        if not forced:
            raise PathNotEmptyError(
                f"unable to restore to path '{place.path}' because it contains files that need not"
                f" be of the cluster that '{where.pg_data}' had",
                hint=f"{place.option} gives it another place; or move away what is there, if"
                " nothing else uses it.",
            )
        if os.path.isdir(place.path):
            raise PathNotEmptyError(
                f"unable to restore to path '{place.path}' because it contains files, and"
                f" '{place.link}' does not lead there",
                hint=f"{place.option} gives it another place; --force takes it over, in a task"
                " with confirm_host, if nothing else uses it.",
            )
        raise FileExistsError_(
            f"unable to restore file '{place.path}' because it already exists, and '{place.link}'"
            " does not lead there",
            hint=f"{place.option} gives it another place; --force replaces it, in a task with"
            " confirm_host, if nothing else uses it.",
        )


def _left_over(place: Outside, manifest: Manifest) -> bool:
    """Whether the place is one of a data directory that is gone, by what is there.

    The version's directory of a tablespace, and that of the WAL, hold nothing else. A directory of
    logs may be one for many: then it has what the backup has not.
    """
    if place.name.startswith(f"{_SPACES}/"):
        return True
    if not place.original:
        return False
    if place.name in _WAL or not os.path.isdir(place.path):
        return True
    below = f"{PG_DATA}/{place.name}/"
    names = [row.name for row in manifest.files]
    names += [row.name for row in manifest.paths]
    names += [row.name for row in manifest.links]
    known = {name[len(below) :].split("/")[0] for name in names if name.startswith(below)}
    return known.issuperset(_names(place.path))


def _original(manifest: Manifest) -> str:
    return next(row.path for row in manifest.targets if row.name == PG_DATA)


def _leads(link: str, end: str) -> bool:
    return os.path.islink(link) and os.path.realpath(link) == os.path.realpath(end)


def _uses(other: str, place: Outside) -> bool:
    """Whether what the data directory ``other`` has would be changed with the place."""
    path = os.path.realpath(place.path)
    data = os.path.realpath(other)
    if _within(path, data):
        return True
    return any(_within(end, path) for end in (data, *_ends(other, place.name)))


def _set_aside(other: str, place: Outside, pg_data: str) -> bool:
    """Whether ``other`` is what a restore has set aside of the data directory, and what it had in
    this place with it: the link still leads there, but what is there now came later.
    """
    for own in (pg_data.rstrip("/"), os.path.realpath(pg_data)):
        suffix = other[len(own) :] if other.startswith(own) else ""
        if suffix.startswith(".aside-") and os.path.lexists(place.path + suffix):
            return True
    return False


def _within(path: str, directory: str) -> bool:
    return f"{path}/".startswith(directory.rstrip("/") + "/")


def _ends(other: str, deep: str) -> t.Iterator[str]:
    """What the links of a data directory lead to; of tablespaces what is of its version.

    Of links further down only the one by the name of ``deep`` is looked for.
    """
    version = _version(other)
    names = _names(other)
    if deep.count("/") and not deep.startswith(f"{_SPACES}/"):
        names.append(deep)
    for name in names:
        if os.path.islink(f"{other}/{name}"):
            yield os.path.realpath(f"{other}/{name}")
    for name in _names(f"{other}/{_SPACES}"):
        end = os.path.realpath(f"{other}/{_SPACES}/{name}")
        for inner in _names(end):
            if inner.startswith(f"PG_{version}_"):
                yield f"{end}/{inner}"


def _beside(pg_data: str) -> t.Iterator[str]:
    """What lies where the data directory does, and where it is when its path has links."""
    for parent in sorted({os.path.dirname(path) for path in (pg_data, os.path.realpath(pg_data))}):
        yield from (f"{parent.rstrip('/')}/{name}" for name in _names(parent))


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []  # no directory, or not of this user, who could not write below it either


def _version(data: str) -> str:
    try:
        with open(f"{data}/PG_VERSION", encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
