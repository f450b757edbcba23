# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is restored has room where it goes, found out before anything is removed."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import typing as t

from ... import log
from ...errors import FileWriteError
from ...worker.progress import size_text
from .copy import RestoreFile
from .plan import Places
from .trouble import looking

# What a file takes at least; file systems with larger units are rare.
UNIT = 4096

# File systems that may compress what they store, or leave it to others that may, as FUSE does.
_MAY_COMPRESS = frozenset(
    ("9p", "bcachefs", "btrfs", "ceph", "cifs", "lustre", "nfs", "nfs4", "smb3", "virtiofs", "zfs")
)
_MOUNTS = "/proc/self/mountinfo"
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Room(t.NamedTuple):
    """What one file system has to take. Sizes in bytes."""

    path: str
    """A directory on it."""
    needed: int
    """By all files that go there."""
    returned: int
    """Taken now by files that are replaced, kept or removed."""
    free: int


def check(files: t.Iterable[RestoreFile], where: Places, roots: t.Iterable[str]) -> list[Room]:
    """Raise FileWriteError when a file system is too small; else what each one has to take.

    ``roots`` are the directories of which nothing stays but what the backup has: what is in them is
    room for what comes. Where files may take less than their size nobody knows before, and it is
    only a warning.
    """
    devices = _Devices(where)
    needed: dict[int, int] = {}
    for file in files:
        device = devices.of(os.path.dirname(file.target))
        needed[device] = needed.get(device, 0) + -(-file.size // UNIT) * UNIT
    returned: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    for root in roots:
        for status in _all_below(root):
            # Roots may contain each other, and files may have several names.
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                size = status.st_blocks * 512
                returned[status.st_dev] = returned.get(status.st_dev, 0) + size
    rooms = []
    for device, size in sorted(needed.items()):
        path = devices.example[device]
        rooms.append(Room(path, size, returned.get(device, 0), _free(path)))
    for room in rooms:
        if room.needed > room.free + room.returned:
            kind = _kind(room.path)
            if kind in _MAY_COMPRESS or kind.startswith("fuse"):
                log.warn(
                    "%s are needed in '%s', and %s are available: it fits only if %s compresses it",
                    size_text(room.needed),
                    room.path,
                    size_text(room.free + room.returned),
                    kind,
                )
                continue
            raise FileWriteError(
                f"unable to restore to '{room.path}': {size_text(room.needed)} are needed there,"
                f" but only {size_text(room.free + room.returned)} are available"
                f" ({size_text(room.free)} free, {size_text(room.returned)} in files that would be"
                " replaced)",
                hint="make room, or move tablespaces and links with --tablespace-map and"
                " --link-map.",
            )
    return rooms


def _kind(path: str) -> str:
    """The type of the file system that a directory is on; empty where that is not told."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            return kind_of(os.path.realpath(path), file.read())
    except OSError:
        return ""


def kind_of(path: str, mounts: str) -> str:
    """The same by the text of ``mountinfo``, see proc(5) (pure). Of two in one place the later one
    is on top.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        fields, _dash, rest = line.partition(" - ")
        words = fields.split(" ")
        if len(words) < 5 or not rest:
            continue
        place = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), words[4]).rstrip("/") + "/"
        if f"{path}/".startswith(place) and len(place) >= len(best):
            best, kind = place, rest.split(" ")[0]
    return kind


class _Devices:
    """The file system of each directory, those included that are not made yet."""

    def __init__(self, where: Places) -> None:
        self._links = {}
        for name in where.links:
            if name not in where.file_links:
                self._links[where.link_place(name)] = where.destination(name)
        self._pg_data = where.pg_data
        self._known: dict[str, int] = {}
        self.example: dict[int, str] = {}

    def of(self, directory: str) -> int:
        """The device number."""
        if directory not in self._known:
            self._known[directory] = self._find(directory)
        return self._known[directory]

    def _find(self, directory: str) -> int:
        if directory in self._links:
            return self.of(self._links[directory])
        # A link below the data directory that is none in the restore will be a directory.
        below = directory.startswith(self._pg_data + "/")
        with looking(directory):
            try:
                status = os.lstat(directory) if below else os.stat(directory)
            except (FileNotFoundError, NotADirectoryError):
                status = None
        if status is None:
            return self.of(os.path.dirname(directory) or "/")
        if stat.S_ISLNK(status.st_mode):
            return self.of(os.path.dirname(directory))
        self.example.setdefault(status.st_dev, directory)
        return status.st_dev


def _all_below(root: str) -> t.Iterator[os.stat_result]:
    with looking(root):
        yield from _below(root)


def _below(root: str) -> t.Iterator[os.stat_result]:
    """The status of all files below a directory; links are not followed.

    What a server that runs removes meanwhile takes no room any more.
    """
    try:
        entries = os.scandir(root)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False)


def _free(path: str) -> int:
    with looking(path):
        try:
            status = os.statvfs(path)
        except FileNotFoundError:
            # It was there a moment ago, and what it was in is on the same file system.
            return _free(os.path.dirname(path))
    blocks = status.f_bfree if os.geteuid() == 0 else status.f_bavail
    return blocks * status.f_frsize
