# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place that a restore writes to: refuse, clean, make directories and links, finish.

The order makes an aborted restore harmless: pg_control goes first and comes back last, and without
it no server starts (repository reference, section 15).
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ... import log
from ...errors import (
    FileOwnerError,
    FileRemoveError,
    PathCreateError,
    PathNotEmptyError,
)
from ...postgres import control
from ...repository.contents import PG_DATA, Manifest, ManifestPath
from ...storage.base import TEMPORARY_SUFFIX
from .copy import RestoreFile, attributes, create
from .flush import Written, make_durable
from .owner import Owners
from .plan import Places
from .superfluous import Known, superfluous
from .trouble import advice, looking, making, writing

PG_CONTROL = "global/pg_control"

# Written first and removed last, as pgBackRest does: with it, --delta recognises a data directory
# whose restore was aborted.
MARKER = "backup.manifest"

# Files without bytes that are open at a time: the first flush is one of all of them.
_FLUSHED_TOGETHER = 100


def is_data_directory(pg_data: str) -> bool:
    """Whether --delta and --force may take the directory for one of PostgreSQL's."""
    return any(os.path.exists(f"{pg_data}/{name}") for name in ("PG_VERSION", MARKER))


def holds(path: str, preserve: t.Collection[str] = ()) -> bool:
    """Whether a directory holds something else than these names, or there is a file.

    PathOpenError when that cannot be seen.
    """
    with looking(path):
        try:
            return not set(os.listdir(path)) <= set(preserve)
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            return os.path.lexists(path)


def not_empty(path: str) -> PathNotEmptyError:
    """The refusal of a directory that holds something: in a task other words say that it may go."""
    return PathNotEmptyError(
        f"unable to restore to path '{path}' because it contains files",
        hint="--delta changes it in place; a task replaces it with force and confirm_host.",
    )


class Target:
    """The directories of one restore."""

    def __init__(self, manifest: Manifest, where: Places, owners: Owners) -> None:
        self._manifest = manifest
        self._where = where
        self._owners = owners
        self.pg_data = where.pg_data

    def refuse_unless_empty(self, *, preserve: t.Collection[str] = ()) -> None:
        """PathNotEmptyError when the data directory holds something already.

        ``preserve`` are names below it that may be there.
        """
        for root in self.roots():
            self._check_owner(root)
        if holds(self.pg_data, preserve):
            raise not_empty(self.pg_data)

    def roots(self) -> list[str]:
        """The data directory, the version's directory of each tablespace, linked directories."""
        return list(self._roots())

    def _roots(self) -> dict[str, str]:
        """The same, each with the path by which the server comes to it."""
        roots = {self._where.pg_data: self._where.pg_data}
        for path in self._manifest.paths:
            if path.name.count("/") == 2 and path.name.startswith("pg_tblspc/"):
                root = self._where.of(path.name) or ""
                roots[root] = root
        for name in self._where.links:
            if not name.startswith(f"{PG_DATA}/pg_tblspc/") and name not in self._where.file_links:
                roots[self._where.destination(name)] = self._where.link_place(name)
        return roots

    def _check_owner(self, root: str) -> None:
        with looking(root):
            try:
                status = os.stat(root)
            except FileNotFoundError:
                return
        if not stat.S_ISDIR(status.st_mode):
            raise PathCreateError(
                f"'{root}' exists but is not a directory",
                hint="remove it, or restore to another place: see --pg1-path and --tablespace-map.",
            )
        if os.geteuid() not in (0, status.st_uid):
            raise FileOwnerError(
                f"unable to restore to path '{root}' not owned by current user",
                hint="run the restore as the owner of the data directory.",
            )

    def remove_control(self) -> None:
        """From here on the directory cannot be started until the restore is complete."""
        directory = f"{self.pg_data}/global"
        for name in ("pg_control", "pg_control" + TEMPORARY_SUFFIX):
            path = f"{directory}/{name}"
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as cause:
                raise _not_removed(path, cause) from cause
            sync_directory(directory)

    def clean(self, *, preserve: t.Collection[str]) -> int:
        """Remove what the backup does not have; the number of files, links and directories removed.

        ``preserve`` are names below the data directory that stay. All of it is looked at before
        pg_control goes as the first: a directory that is refused can still be started.
        """
        found = list(self.superfluous(preserve=preserve))
        self.remove_control()
        removed = 0
        for path in found:
            try:
                if os.path.isdir(path) and not os.path.islink(path):
                    os.rmdir(path)
                else:
                    os.unlink(path)
            except FileNotFoundError:
                continue  # it belonged to pg_control
            except OSError as cause:
                raise _not_removed(path, cause) from cause
            removed += 1
        if removed:
            log.info(
                "remove invalid files/links/paths from '%s': %d removed", self.pg_data, removed
            )
        return removed

    def superfluous(self, *, preserve: t.Collection[str]) -> t.Iterator[str]:
        """What ``clean`` removes, what is in a directory before the directory."""
        files = {f"{self.pg_data}/{name}" for name in preserve}
        files.update(self._where.of(file.name) or "" for file in self._manifest.files)
        directories = {self._where.of(path.name) or "" for path in self._manifest.paths}
        links = {self._where.link_place(name): text for name, text in self._where.links.items()}
        known = Known(files, directories, links)
        for root, shown in self._roots().items():
            self._check_owner(root)
            if os.path.isdir(root):
                with looking(root):
                    yield from superfluous(root, shown, known)

    def make_directories(self) -> None:
        """Directories and links of the backup, parents first."""
        for path in sorted(self._manifest.paths, key=lambda path: path.name):
            place = self._where.of(path.name)
            if place is None:
                continue
            if path.name in self._where.links:
                place = self._where.destination(path.name)
            self._make(path, place)
            # Links of this directory, so that what lies below one finds it.
            self._make_links(path.name)
        owner = self._owners.of(*self._link_owner(PG_DATA))
        for place in self._where.file_links.values():
            parent = os.path.dirname(place)
            with making(parent):
                _make_directories(parent, owner)

    def _make(self, path: ManifestPath, place: str) -> None:
        owner = self._owners.of(path.user, path.group)
        with making(place):
            _make_directories(place, owner)
            if os.geteuid() == 0:
                os.chown(place, *owner)
            os.chmod(place, path.mode)

    def _make_links(self, parent: str) -> None:
        for name, text in self._where.links.items():
            if name.rsplit("/", 1)[0] != parent:
                continue
            link = self._where.link_place(name)
            try:
                if not os.path.islink(link) or os.readlink(link) != text:
                    os.symlink(text, link)
                if os.geteuid() == 0:
                    user, group = self._link_owner(name)
                    os.chown(link, *self._owners.of(user, group), follow_symlinks=False)
            except OSError as cause:
                raise PathCreateError(
                    f"unable to create symlink '{link}' to '{text}': {cause.strerror}",
                    hint=advice(link, cause),
                ) from cause

    def _link_owner(self, name: str) -> tuple[str | None, str | None]:
        """Who owns a link; one that --link-map made of something else is the data directory's."""
        for link in self._manifest.links:
            if link.name == name:
                return link.user, link.group
        data = next(path for path in self._manifest.paths if path.name == PG_DATA)
        return data.user, data.group

    def mark(self, text: str) -> None:
        """Leave the manifest in the directory while the restore is under way, for its owner."""
        path = f"{self.pg_data}/{MARKER}"
        with writing(path):
            descriptor = create(path)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)

    def make_empty(self, files: t.Iterable[RestoreFile]) -> None:
        """Make durable what has no bytes in the backup, and what gets zeroes instead of its own.

        The latter keeps the time at which it was made: with the backup's own a later restore would
        take it for restored.
        """
        waiting = list(files)
        for first in range(0, len(waiting), _FLUSHED_TOGETHER):
            made: list[Written] = []
            try:
                for file in waiting[first : first + _FLUSHED_TOGETHER]:
                    with writing(file.target):
                        made.append(Written(_made(file), None if file.size else file.mtime))
                        attributes(made[-1].descriptor, file)
                with writing(waiting[first].target):
                    make_durable(made)
            finally:
                for row in made:
                    os.close(row.descriptor)

    def write_file(self, name: str, text: str) -> None:
        """A configuration file below the data directory, replaced as a whole and durable."""
        path = f"{self.pg_data}/{name}"
        temporary = path + TEMPORARY_SUFFIX
        with writing(path):
            root = os.stat(self.pg_data)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
                file.flush()
                if os.geteuid() == 0:
                    os.fchown(descriptor, root.st_uid, root.st_gid)
                os.fchmod(descriptor, root.st_mode & 0o644)
                os.fsync(descriptor)
            os.replace(temporary, path)

    def finish(self, *, online: bool) -> None:
        """Make all names durable, then give pg_control its own: now a server can start."""
        marker = f"{self.pg_data}/{MARKER}"
        with writing(marker), contextlib.suppress(FileNotFoundError):
            os.unlink(marker)
        places = {self._where.of(path.name) for path in self._manifest.paths}
        for place in sorted(filter(None, places)):
            if place != f"{self.pg_data}/global":
                sync_directory(place)
        log.info(
            "restore %s (performed last to ensure aborted restores cannot be started)", PG_CONTROL
        )
        path = f"{self.pg_data}/{PG_CONTROL}"
        with writing(path):
            if online:
                _invalidate_checkpoint(path + TEMPORARY_SUFFIX)
            os.replace(path + TEMPORARY_SUFFIX, path)
        sync_directory(f"{self.pg_data}/global")


def _made(file: RestoreFile) -> int:
    """A descriptor of the file, of its size and without blocks on disk, however large; one that is
    empty already, and should be, is left as it is.
    """
    if file.size == 0:
        with contextlib.suppress(OSError):
            descriptor = os.open(file.target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            found = os.fstat(descriptor)
            own = os.geteuid() in (0, found.st_uid)
            if own and stat.S_ISREG(found.st_mode) and not found.st_size:
                return descriptor
            os.close(descriptor)
    descriptor = create(file.target)
    os.ftruncate(descriptor, file.size)
    return descriptor


def _invalidate_checkpoint(path: str) -> None:
    """Without backup_label the server must not start from a checkpoint of its own choice."""
    status = os.stat(path)
    with open(path, "r+b") as file:
        data = control.invalidate_checkpoint(file.read())
        file.seek(0)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        os.utime(file.fileno(), (status.st_mtime, status.st_mtime))


def _make_directories(path: str, owner: tuple[int, int]) -> None:
    """Make a directory; root gives it, and the parents that were not there, to their owner."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for place in reversed(missing):
        os.mkdir(place, 0o700)
        if os.geteuid() == 0:
            os.chown(place, *owner)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _not_removed(path: str, cause: OSError) -> FileRemoveError:
    return FileRemoveError(f"unable to remove '{path}': {cause.strerror}", hint=advice(path, cause))
