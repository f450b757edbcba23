# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a data directory, and what of it belongs in a backup.

One pass over the directories, one lstat for each entry. The rules are those of pgBackRest's
manifest (repository reference, section 9); most of them repeat the exclusions of PostgreSQL's own
basebackup.c.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ..errors import (
    AssertError,
    FileOpenError,
    FormatError,
    LinkExpectedError,
    PathMissingError,
)
from . import releases
from .entries import (
    CONTROL,
    DATA,
    TABLESPACES,
    DataDirectory,
    FileEntry,
    LinkEntry,
    Note,
    PathEntry,
    Target,
    primary_only,
)
from .links import LinkCheck
from .owner import group_name, user_name

# One number for all files of a mode, instead of one each.
_MODES = tuple(range(0o10000))

_TEMPORARY_PREFIX = "pgsql_tmp"
_RELATION = r"([0-9]+)(_(fsm|vm))?(\.[0-9]+)?"
_LOGGED_FORK = re.compile(_RELATION)
_TEMPORARY_RELATION = re.compile("t[0-9]+_" + _RELATION)
_INIT_FORK = re.compile(r"([0-9]+)_init")
_CACHE = re.compile(r"pg_internal\.init(\.[0-9]+)?")

# Directories that a server empties or rebuilds when it starts.
_EMPTIED = frozenset(
    (
        "pg_dynshmem",
        "pg_notify",
        "pg_replslot",
        "pg_serial",
        "pg_snapshots",
        "pg_stat_tmp",
        "pg_subtrans",
    )
)
_TOP_FILES = frozenset(
    (
        "backup_label",
        "backup_label.old",
        "postgresql.auto.conf.tmp",
        "postmaster.opts",
        "postmaster.pid",
    )
)
_NO_PAGES = frozenset(("PG_VERSION", "pg_filenode.map"))


def scan(
    root: str,
    *,
    online: bool,
    version: str,
    catalog_version: int,
    exclude: t.Collection[str] = (),
    tablespaces: t.Mapping[int, str] | None = None,
) -> DataDirectory:
    """Walk the data directory ``root``.

    ``exclude`` holds paths relative to it (with a slash at the end: the content only),
    ``tablespaces`` the names by oid as the server has them (None: it was not asked).

    Raises LinkExpectedError and LinkDestinationError for links that cannot be backed up,
    AssertError for a tablespace that the server does not know, FormatError for a name that a
    manifest cannot hold, PathMissingError and FileOpenError.
    """
    walk = _Walk(
        os.path.normpath(root),
        online=online,
        version=version,
        tablespace_directory=f"PG_{version}_{catalog_version}",
        exclude=frozenset(exclude),
        tablespaces=tablespaces,
    )
    walk.run()
    found = walk.found
    for rows in (found.paths, found.files, found.links, found.targets):
        rows.sort(key=_name)
    found.notes.sort()
    return found


class _Walk:
    def __init__(
        self,
        root: str,
        *,
        online: bool,
        version: str,
        tablespace_directory: str,
        exclude: frozenset[str],
        tablespaces: t.Mapping[int, str] | None,
    ) -> None:
        number = releases.number(version)
        self.found = DataDirectory(root)
        self._root = root
        self._online = online
        self._tablespace_directory = tablespace_directory
        self._exclude = frozenset(f"{DATA}/{path}" for path in exclude)
        self._tablespaces = tablespaces
        self._wal = f"{DATA}/pg_wal" if number >= 100000 else f"{DATA}/pg_xlog"
        self._relations = re.compile(
            rf"{DATA}/(global|base/[0-9]+)|{TABLESPACES}/[0-9]+/{tablespace_directory}/[0-9]+"
        )
        self._top_files = set(_TOP_FILES)
        if number >= 120000:
            self._top_files |= {"recovery.signal", "standby.signal"}
        else:
            self._top_files |= {"recovery.conf", "recovery.done"}
        if number >= 130000:
            self._top_files |= {"backup_manifest", "backup_manifest.tmp"}
        self._links = LinkCheck(root)
        self._tablespace_parent: PathEntry | None = None
        self._tablespace_count = 0

    def run(self) -> None:
        try:
            status = os.stat(self._root)
        except OSError as cause:
            raise PathMissingError(
                f"unable to list missing path '{self._root}': {cause.strerror}",
                hint="is pg1-path right?",
            ) from cause
        self._add_path(DATA, status)
        self.found.targets.append(Target(DATA, "path", self._root))
        self._directory(DATA, self._root)

    def _directory(self, parent: str, path: str) -> None:
        """Everything in one directory; ``parent`` is its name in the manifest."""
        relations = self._relations.fullmatch(parent) is not None
        first = len(self.found.files)
        others = []
        for name, status in _entries(path):
            # A directory may hold very many files: each is done with before the next is looked at.
            if stat.S_ISREG(status.st_mode):
                self._entry(parent, path, name, status, relations=relations)
            else:
                others.append((name, status))
        if relations:
            self._drop_unlogged(parent, first)
        for name, status in sorted(others):
            self._entry(parent, path, name, status, relations=relations)

    def _entry(
        self, parent: str, path: str, name: str, status: os.stat_result, *, relations: bool
    ) -> None:
        if name.startswith(_TEMPORARY_PREFIX):
            return
        full = f"{parent}/{name}"
        if full in self._exclude:
            excluded = full[len(DATA) + 1 :]
            self._note("info", f"exclude '{path}/{name}' from backup using '{excluded}' exclusion")
            return
        _check_name(name, path)
        kind = stat.S_IFMT(status.st_mode)
        if parent == f"{DATA}/{TABLESPACES}" and kind in (stat.S_IFDIR, stat.S_IFREG):
            raise LinkExpectedError(
                f"'{full}' is not a symlink - {TABLESPACES} should contain only symlinks",
                hint="move it elsewhere: PostgreSQL has only the links to its tablespaces there.",
            )
        if kind == stat.S_IFREG:
            self._file(parent, name, status, relations=relations)
        elif kind == stat.S_IFDIR:
            self._path(parent, f"{path}/{name}", name, status)
        elif kind == stat.S_IFLNK:
            if parent == f"{DATA}/{TABLESPACES}":
                self._tablespace(path, name, status)
            else:
                self._link(parent, path, name, status, relations=relations)
        else:
            self._note("warn", f"exclude special file '{path}/{name}' from backup")

    def _path(self, parent: str, path: str, name: str, status: os.stat_result) -> None:
        full = f"{parent}/{name}"
        self._add_path(full, status)
        if full == f"{DATA}/{TABLESPACES}":
            self._tablespace_parent = self.found.paths[-1]
        if full + "/" in self._exclude:
            excluded = full[len(DATA) + 1 :]
            self._note(
                "info", f"exclude contents of '{path}' from backup using '{excluded}/' exclusion"
            )
        elif (parent == DATA and name in _EMPTIED) or (
            self._online and parent == self._wal and name == "archive_status"
        ):
            pass  # the directory is restored, its content is of no use
        else:
            self._directory(full, path)

    def _file(self, parent: str, name: str, status: os.stat_result, *, relations: bool) -> None:
        if parent == DATA and name in self._top_files:
            return
        if self._online and parent == self._wal:
            return  # comes from the archive
        if relations and (_CACHE.fullmatch(name) or _TEMPORARY_RELATION.fullmatch(name)):
            return
        full = f"{parent}/{name}"
        self.found.files.append(
            FileEntry(
                full,
                status.st_size,
                status.st_mtime_ns // 1_000_000_000,
                _MODES[stat.S_IMODE(status.st_mode)],
                user_name(status.st_uid),
                group_name(status.st_gid),
                page_check=relations and name not in _NO_PAGES and full != CONTROL,
                fixed_size=not primary_only(full),
            )
        )

    def _drop_unlogged(self, parent: str, first: int) -> None:
        """Leave of unlogged relations only the init fork, from which recovery makes them anew."""
        prefix = len(parent) + 1
        here = self.found.files[first:]
        matches = (_INIT_FORK.fullmatch(entry.name, prefix) for entry in here)
        unlogged = {match[1] for match in matches if match}
        if not unlogged:
            return
        kept = []
        for entry in here:
            match = _LOGGED_FORK.fullmatch(entry.name, prefix)
            if match is None or match[1] not in unlogged:
                kept.append(entry)
        self.found.files[first:] = kept

    def _link(
        self, parent: str, path: str, name: str, status: os.stat_result, *, relations: bool
    ) -> None:
        full = f"{parent}/{name}"
        here = f"{path}/{name}"
        destination = self._add_link(full, path, here, status)
        end = _follow(here)
        if end is None or stat.S_ISDIR(end.st_mode):
            target = Target(full, "link", destination)
        else:
            target = Target(
                full, "link", os.path.dirname(destination) or ".", os.path.basename(destination)
            )
        self.found.targets.append(target)
        self._links.add(here, os.path.join(path, target.path), target.file)
        if end is None:
            raise _missing(here, destination)
        self._entry(parent, path, name, end, relations=relations)

    def _tablespace(self, path: str, name: str, status: os.stat_result) -> None:
        if not name.isdigit():
            raise FormatError(
                f"link '{path}/{name}' is no tablespace, its name is not a number",
                hint="remove it: PostgreSQL names these links by the oid of the tablespace.",
            )
        here = f"{path}/{name}"
        destination = self._add_link(f"{DATA}/{TABLESPACES}/{name}", path, here, status)
        target = Target(
            f"{TABLESPACES}/{name}",
            "link",
            destination,
            tablespace_id=int(name),
            tablespace_name=self._tablespace_name(int(name)),
        )
        self.found.targets.append(target)
        self._links.add(here, os.path.join(path, destination), None)
        # Two directories that are not there, but that a manifest has had since its first version.
        if self._tablespace_count == 0:
            self.found.paths.append(self.found.paths[0]._replace(name=TABLESPACES))
        self._tablespace_count += 1
        like = self._tablespace_parent or self.found.paths[0]
        self.found.paths.append(like._replace(name=target.name))
        inside = f"{here}/{self._tablespace_directory}"
        end = _follow(inside)
        if end is None:
            raise _missing(inside, destination)
        self._entry(target.name, here, self._tablespace_directory, end, relations=False)

    def _tablespace_name(self, oid: int) -> str:
        if self._tablespaces is None:
            return f"ts{oid}"
        if oid not in self._tablespaces:
            raise AssertError(
                f"tablespace with oid {oid} not found in tablespace map",
                hint="was a tablespace created or dropped during the backup?",
            )
        return self._tablespaces[oid]

    def _add_link(self, full: str, path: str, here: str, status: os.stat_result) -> str:
        try:
            destination = os.readlink(here)
        except OSError as cause:
            raise FileOpenError(
                f"unable to read link '{here}': {cause.strerror}",
                hint="run the command as the owner of the data directory.",
            ) from cause
        _check_name(destination, here)
        self._links.refuse_chain(here, os.path.join(path, destination))
        self.found.links.append(
            LinkEntry(full, destination, user_name(status.st_uid), group_name(status.st_gid))
        )
        return destination

    def _add_path(self, full: str, status: os.stat_result) -> None:
        self.found.paths.append(
            PathEntry(
                full,
                stat.S_IMODE(status.st_mode),
                user_name(status.st_uid),
                group_name(status.st_gid),
            )
        )

    def _note(self, level: str, text: str) -> None:
        self.found.notes.append(Note(level, text))


def _entries(path: str) -> t.Iterator[tuple[str, os.stat_result]]:
    """Names and what lstat says of them; what vanishes meanwhile is left out."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    yield entry.name, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
    except FileNotFoundError:
        return  # a database that was dropped just now
    except OSError as cause:
        raise FileOpenError(
            f"unable to list '{path}': {cause.strerror}",
            hint="run the command as the owner of the data directory.",
        ) from cause


def _name(entry: t.Any) -> str:
    return str(entry.name)


def _check_name(name: str, path: str) -> None:
    """Refuse what a manifest cannot hold: it is a UTF-8 text with one line an entry."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as cause:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise FormatError(
            f"name '{shown}' in '{path}' is not UTF-8",
            hint="rename or remove it; the format of the repository cannot hold such a name.",
        ) from cause
    if "\n" in name:
        raise FormatError(
            f"name {name!r} in '{path}' contains a line feed",
            hint="rename or remove it; the format of the repository cannot hold such a name.",
        )


def _follow(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise FileOpenError(
            f"unable to get info for '{path}': {cause.strerror}",
            hint="run the command as the owner of the data directory.",
        ) from cause


def _missing(path: str, destination: str) -> FileOpenError:
    return FileOpenError(
        f"unable to get info for missing path/file '{path}'",
        hint=f"the link leads to '{destination}'.",
    )
