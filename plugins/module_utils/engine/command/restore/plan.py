# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore has to do: where everything goes, and which files come from where.

Pure, but for where the data directory is when its own path has links.
"""

from __future__ import annotations

import os
import posixpath
import typing as t
from dataclasses import dataclass

from ... import log
from ...config.options import Options
from ...errors import LinkDestinationError, LinkMapError, TablespaceMapError
from ...postgres.links import LinkCheck
from ...repository.blockmap import Chain
from ...repository.contents import PG_CONTROL, PG_DATA, Manifest, ManifestFile, Target
from ...repository.databases import database_of
from ...repository.stored import Stored, stored
from ...storage.base import TEMPORARY_SUFFIX
from ...transform.compression import Framing, decompressor
from ..ranges import groups
from .copy import Keep, RestoreFile, RestoreJob
from .owner import Owners

# Left out: links are made from the manifest, and the server must not read it.
TABLESPACE_MAP = f"{PG_DATA}/tablespace_map"

# Of an empty file that is only made.
NOWHERE = Stored("", 0, 0, Framing.WHOLE)

# Small files stored alone are fetched together by one worker.
JOB_FILES = 128
JOB_SIZE = 16 * 1024 * 1024

# Of a bundle so many are fetched by one worker: a small cluster's at once, but not all of those
# that fit into 20 MiB when they are of a few bytes.
BUNDLE_JOB_FILES = 1024


@dataclass(frozen=True)
class Places:
    """Where the parts of the backup go."""

    pg_data: str
    tablespaces: t.Mapping[int, str]
    """Absolute path of each tablespace, by oid."""
    links: t.Mapping[str, str]
    """Symlinks to make, manifest name -> what the link says; tablespaces included."""
    file_links: t.Mapping[str, str]
    """Of these the ones that lead to a file, manifest name -> absolute path of the file."""

    def of(self, name: str) -> str | None:
        """The absolute path of a manifest name; None for the parent of all tablespaces."""
        if name in self.file_links:
            return self.file_links[name]
        if name == PG_DATA:
            return self.pg_data
        if name.startswith(PG_DATA + "/"):
            return f"{self.pg_data}/{name[len(PG_DATA) + 1 :]}"
        _dummy, _dummy, rest = name.partition("/")
        if not rest:
            return None
        oid, _dummy, below = rest.partition("/")
        root = self.tablespaces[int(oid)]
        return f"{root}/{below}" if below else root

    def link_place(self, name: str) -> str:
        """The absolute path of the link itself, whatever it leads to."""
        return _place(self.pg_data, name)

    def destination(self, name: str) -> str:
        """The absolute path that a link leads to."""
        return _destination(self.pg_data, self.links, name)


def places(manifest: Manifest, options: Options) -> Places:
    """Apply the maps of the command line to the targets of the backup.

    Raises TablespaceMapError and LinkMapError for a map that names what the backup does not have,
    LinkDestinationError for places that are in each other's way.
    """
    pg_data = options.pg.path.rstrip("/")
    original = next(target.path for target in manifest.targets if target.name == PG_DATA)
    if original.rstrip("/") != pg_data:
        log.info("remap data directory to '%s'", pg_data)
    tablespaces = _tablespaces(manifest, options)
    links = {f"{PG_DATA}/pg_tblspc/{oid}": path for oid, path in tablespaces.items()}
    files = set()
    wanted = dict(options.link_map)
    for target in manifest.targets:
        if target.kind != "link" or target.tablespace_id is not None:
            continue
        relative = target.name[len(PG_DATA) + 1 :]
        destination = wanted.pop(relative, None)
        if destination is None and not options.link_all:
            kind = "file" if target.file is not None else "path"
            log.warn(
                "%s link '%s' will be restored as a %s at the same location",
                kind,
                target.name,
                "file" if target.file is not None else "directory",
            )
            continue
        if destination is None:
            destination = link_text(target)
        else:
            log.info("remap link '%s' to '%s'", relative, destination)
        links[target.name] = destination
        if target.file is not None:
            files.add(target.name)
    made, made_files = _made_links(manifest, wanted)
    links.update(made)
    files.update(made_files)
    _refuse_in_the_way(pg_data, links, files)
    return Places(
        pg_data,
        {oid: _destination(pg_data, links, f"{PG_DATA}/pg_tblspc/{oid}") for oid in tablespaces},
        links,
        {name: _destination(pg_data, links, name) for name in files},
    )


def _place(pg_data: str, name: str) -> str:
    return f"{pg_data}/{name[len(PG_DATA) + 1 :]}"


def _destination(pg_data: str, links: t.Mapping[str, str], name: str) -> str:
    """Where the server comes to by a link, which may say it relative to where the link is."""
    parent = name.rpartition("/")[0]
    return posixpath.normpath(posixpath.join(_directory(pg_data, links, parent), links[name]))


def _directory(pg_data: str, links: t.Mapping[str, str], name: str) -> str:
    """Where a directory of the backup really is: it is from there that ``..`` leads up."""
    if name == PG_DATA:
        return os.path.realpath(pg_data)
    if name in links:
        return _destination(pg_data, links, name)
    parent, _dummy, last = name.rpartition("/")
    return f"{_directory(pg_data, links, parent)}/{last}"


def _refuse_in_the_way(pg_data: str, links: t.Mapping[str, str], files: t.Collection[str]) -> None:
    """What a backup of the restored cluster would refuse is refused before there is one.

    Else two workers could write the same file, and what one link leads to would be removed as
    superfluous below the other.
    """
    check = LinkCheck(pg_data)
    for name, text in sorted(links.items()):
        place = _place(pg_data, name)
        directory, file = (text, None) if name not in files else posixpath.split(text)
        if file is not None and not (directory and file):
            raise LinkMapError(
                f"'{text}' is not long enough to be the destination for file link '{place}'",
                hint="name the file, too, as in postgresql.conf=/etc/postgresql/postgresql.conf.",
            )
        destination = posixpath.normpath(posixpath.join(posixpath.dirname(place), directory))
        check.add(place, destination, file)
        # A tablespace may lie around the data directory: of its place it has one directory only.
        plain = file is None and not name.startswith(f"{PG_DATA}/pg_tblspc/")
        if plain and f"{pg_data}/".startswith(destination.rstrip("/") + "/"):
            raise LinkDestinationError(f"link '{place}' destination '{destination}' has PGDATA")


def _made_links(manifest: Manifest, wanted: t.Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """What ``--link-map`` makes a link of, although it is an ordinary directory or file.

    Second come the names of those that lead to a file.
    """
    paths = {path.name for path in manifest.paths} if wanted else set()
    files = {file.name for file in manifest.files} if wanted else set()
    links = {}
    for relative, destination in wanted.items():
        name = f"{PG_DATA}/{relative}"
        if name not in paths and name not in files:
            raise LinkMapError(
                f"unable to remap invalid link '{relative}'",
                hint="name what the backup has below the data directory, such as pg_wal.",
            )
        log.info("map link '%s' to '%s'", relative, destination)
        links[name] = destination
    return links, files & links.keys()


def link_text(target: Target) -> str:
    """What a link of the cluster that was backed up says."""
    return target.path if target.file is None else f"{target.path}/{target.file}"


def _tablespaces(manifest: Manifest, options: Options) -> dict[int, str]:
    """What the link of each tablespace says, by oid."""
    wanted = dict(options.tablespace_map)
    result = {}
    for target in manifest.targets:
        oid = target.tablespace_id
        if oid is None:
            continue
        name = target.tablespace_name or str(oid)
        by_name, by_oid = wanted.pop(name, None), wanted.pop(str(oid), None)
        if by_name and by_oid and by_name.rstrip("/") != by_oid.rstrip("/"):
            raise TablespaceMapError(
                f"tablespace remapped by name '{name}' and id {oid} with different paths",
                hint="map it once, by its name or by its oid.",
            )
        path = by_name or by_oid
        if path is None and options.tablespace_map_all is not None:
            path = f"{options.tablespace_map_all.rstrip('/')}/{name}"
        if path is None:
            path = target.path
        elif path != target.path:
            log.info("map tablespace '%s' to '%s'", target.name, path)
        result[oid] = path.rstrip("/") or "/"
    if wanted:
        known = [row.tablespace_name or row.name for row in manifest.targets if row.tablespace_id]
        raise TablespaceMapError(
            f"unable to remap invalid tablespace '{sorted(wanted)[0]}'",
            hint=f"the backup has {', '.join(known) or 'no tablespaces'}.",
        )
    return result


@dataclass(frozen=True)
class RestorePlan:
    """The files to fetch, as jobs, and those that are only made: empty, or of zeroes."""

    jobs: tuple[RestoreJob, ...]
    empty: tuple[RestoreFile, ...]
    size: int
    """Bytes to fetch, unless they are there already."""
    file_total: int

    @property
    def files(self) -> t.Iterator[RestoreFile]:
        """The files that take room."""
        return (file for job in self.jobs for file in job.files)


def plan(
    manifest: Manifest,
    where: Places,
    owners: Owners,
    *,
    stanza: str,
    keep: Keep,
    preserve: t.Collection[str] = (),
    left_out: t.Collection[int] = (),
    repo: int = 1,
) -> RestorePlan:
    """Divide the files of the backup into jobs, largest first.

    ``preserve`` are names below the data directory of files that are not restored, ``left_out`` the
    oids of databases of which only the sizes of files are restored; ``repo`` is the key of the
    repository that the files come from.
    """
    bundles: dict[str, list[RestoreFile]] = {}
    singles: list[RestoreFile] = []
    empty: list[RestoreFile] = []
    kept = {TABLESPACE_MAP, *(f"{PG_DATA}/{name}" for name in preserve)}
    # Refuses what cannot be decompressed, before anything is touched.
    decompressor(manifest.options.compress_type)
    files = [file for file in manifest.files if file.name not in kept]
    for file in files:
        place = stored(stanza, manifest, file) or NOWHERE
        item = _restore_file(file, place, where, owners)
        if file.size == 0 or database_of(file.name) in left_out:
            empty.append(item)
        elif file.bundle_id:
            bundles.setdefault(place.path, []).append(item)
        else:
            singles.append(item)
    groups = [part for files in bundles.values() for part in _parts(files)]
    groups += _group(singles)
    start = manifest.backup.timestamp_copy_start
    chain = Chain.of(stanza, manifest)
    jobs = [RestoreJob(chain, keep, start, tuple(group), repo) for group in groups]
    jobs.sort(key=lambda job: -job.size)
    size = sum(job.size for job in jobs)
    return RestorePlan(tuple(jobs), tuple(empty), size, len(files))


def _parts(bundle: list[RestoreFile]) -> t.Iterator[list[RestoreFile]]:
    """Neighbours in a bundle, which lie in one range of it."""
    bundle.sort(key=lambda file: file.stored.offset)
    for start in range(0, len(bundle), BUNDLE_JOB_FILES):
        yield bundle[start : start + BUNDLE_JOB_FILES]


def _restore_file(file: ManifestFile, place: Stored, where: Places, owners: Owners) -> RestoreFile:
    target = where.of(file.name) or ""
    if file.name == PG_CONTROL:
        target += TEMPORARY_SUFFIX
    uid, gid = owners.of(file.user, file.group)
    return RestoreFile(
        file.name,
        target,
        file.size,
        file.checksum or "",
        place,
        file.block,
        file.mode,
        uid,
        gid,
        file.timestamp,
    )


def _group(files: list[RestoreFile]) -> t.Iterator[list[RestoreFile]]:
    largest_first = sorted(files, key=lambda file: (-file.size, file.name))
    return groups(largest_first, lambda file: file.size, most=JOB_FILES, limit=JOB_SIZE)
