# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the WAL archive of a stanza (repository reference, section 6).

Segments have their checksum in their name, so that finding one means listing its directory. A
listing is asked for once and kept; several are asked for together.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import EngineError, StorageMissingError
from . import layout

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..storage.base import FileInfo, Listing, Storage

_SEGMENT = re.compile(
    r"(?P<name>[0-9A-F]{24}(?:\.partial)?)-(?P<sha1>[0-9a-f]{40})"
    r"(?P<extension>\.gz|\.bz2|\.lz4|\.zst|\.xz)?"
)
_HISTORY = re.compile(r"(?P<timeline>[0-9A-F]{8})\.history")


class SegmentName(t.NamedTuple):
    """What a stored segment's file name says."""

    name: str
    """24 digits, and ``.partial`` for the last segment of a timeline that ended."""
    sha1: str
    extension: str

    @property
    def is_partial(self) -> bool:
        """Whether it never was filled."""
        return self.name.endswith(".partial")


class StoredSegment(t.NamedTuple):
    """A segment in the archive."""

    name: str
    sha1: str
    path: str
    size: int
    """Stored bytes."""
    mtime: int = 0

    @property
    def written_at(self) -> int | None:
        """When it came into the archive, in epoch seconds of the repository's clock.

        None when the server keeps times to itself.
        """
        return self.mtime or None


class WalRange(t.NamedTuple):
    """The first and the last segment of a cluster, by name."""

    first: str
    last: str


def parse_segment(file_name: str) -> SegmentName | None:
    """Take a stored segment's file name apart; None for any other file."""
    match = _SEGMENT.fullmatch(file_name)
    if match is None:
        return None
    return SegmentName(match["name"], match["sha1"], match["extension"] or "")


class Archive:
    """The segments of a stanza, as far as they were looked up."""

    def __init__(self, storage: Storage, stanza: str) -> None:
        self._storage = storage
        self._stanza = stanza
        self._listed: dict[str, dict[str, list[StoredSegment]]] = {}
        self._asked: list[tuple[list[str], t.Callable[[], Sequence[Listing]]]] = []

    def forget(self) -> None:
        """List anew from now on."""
        self._listed.clear()
        self._asked.clear()

    def ask(self, archive_id: str, names: Iterable[str]) -> None:
        """Have on its way what ``find_many`` will need, as far as that goes without waiting."""
        unknown = sorted(set(self._directories(archive_id, names).values()) - self._listed.keys())
        if unknown:
            self._asked.append((unknown, self._storage.begin_list_many(unknown)))

    def find(self, archive_id: str, name: str) -> list[StoredSegment]:
        """Every stored copy of a segment (or of a ``.partial`` one). More than one is trouble."""
        return self.find_many(archive_id, [name])[name]

    def find_many(self, archive_id: str, names: Iterable[str]) -> dict[str, list[StoredSegment]]:
        """``find`` for many segments; takes no longer than for one."""
        names = list(names)
        self._take_answers()
        self.ask(archive_id, names)
        self._take_answers()
        wanted = self._directories(archive_id, names)
        return {name: self._listed[path].get(name, []) for name, path in wanted.items()}

    def _directories(self, archive_id: str, names: Iterable[str]) -> dict[str, str]:
        return {name: layout.wal_directory(self._stanza, archive_id, name) for name in names}

    def _take_answers(self) -> None:
        while self._asked:
            paths, listings = self._asked.pop()
            for path, entries in zip(paths, _entries(listings())):
                self._listed[path] = _by_name(path, entries)

    def missing(self, archive_id: str, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that the archive does not have, in their order."""
        found = self.find_many(archive_id, names)
        return [name for name in names if not found[name]]


def _by_name(path: str, entries: Iterable[FileInfo]) -> dict[str, list[StoredSegment]]:
    segments: dict[str, list[StoredSegment]] = {}
    for entry in entries:
        parsed = parse_segment(entry.name)
        if parsed is not None:
            segments.setdefault(parsed.name, []).append(
                StoredSegment(
                    parsed.name, parsed.sha1, f"{path}/{entry.name}", entry.size, entry.mtime
                )
            )
    return segments


def _list_all(storage: Storage, paths: Sequence[str]) -> list[list[FileInfo]]:
    """The entries of each directory; none for one that is not there."""
    return _entries(storage.list_many(paths))


def _entries(found_all: Iterable[Listing]) -> list[list[FileInfo]]:
    listings: list[list[FileInfo]] = []
    for found in found_all:
        if isinstance(found, StorageMissingError):
            listings.append([])
        elif isinstance(found, EngineError):
            raise found
        else:
            listings.append(found)
    return listings


def archive_ids(storage: Storage, stanza: str) -> list[str]:
    """The clusters with a directory in the archive, oldest first."""
    (entries,) = _list_all(storage, [layout.archive_path(stanza)])
    found = [(layout.parse_archive_id(entry.name), entry.name) for entry in entries]
    known = [(parts.history_id, name) for parts, name in found if parts is not None]
    return [name for _id, name in sorted(known)]


def timelines(storage: Storage, stanza: str, archive_id: str) -> list[int]:
    """The timelines with a history file in the archive, ascending. The first one never has one."""
    (entries,) = _list_all(storage, [layout.archive_id_path(stanza, archive_id)])
    matches = (_HISTORY.fullmatch(entry.name) for entry in entries)
    return sorted(int(match["timeline"], 16) for match in matches if match is not None)


def wal_ranges(storage: Storage, stanza: str, ids: Sequence[str]) -> dict[str, WalRange | None]:
    """First and last segment of each archive id, partial ones apart; None where there is none."""
    tops = _list_all(storage, [layout.archive_id_path(stanza, name) for name in ids])
    # Directories to look into from either end, the next one last.
    searches: dict[tuple[str, str], list[str]] = {}
    for name, top in zip(ids, tops):
        path = layout.archive_id_path(stanza, name)
        names = [entry.name for entry in top if layout.is_segment_directory(entry.name)]
        paths = [f"{path}/{directory}" for directory in sorted(names)]
        searches[name, "last"] = paths
        searches[name, "first"] = paths[::-1]
    found: dict[tuple[str, str], list[str]] = {}
    while True:
        wanted = {key: paths.pop() for key, paths in searches.items() if paths and key not in found}
        if not wanted:
            break
        unique = sorted(set(wanted.values()))
        segments = dict(zip(unique, map(_whole_segments, _list_all(storage, unique))))
        found.update((key, segments[path]) for key, path in wanted.items() if segments[path])
    return {
        name: WalRange(min(found[name, "first"]), max(found[name, "last"]))
        if (name, "first") in found
        else None
        for name in ids
    }


def segments(
    storage: Storage, stanza: str, archive_id: str, within: t.Callable[[str], bool]
) -> dict[str, StoredSegment]:
    """All whole segments in the directories (16 digits) that ``within`` accepts, by name."""
    top = layout.archive_id_path(stanza, archive_id)
    (entries,) = _list_all(storage, [top])
    names = [entry.name for entry in entries if layout.is_segment_directory(entry.name)]
    paths = [f"{top}/{name}" for name in names if within(name)]
    found = {}
    for path, listed in zip(paths, _list_all(storage, paths)):
        for name, copies in _by_name(path, listed).items():
            if not name.endswith(".partial"):
                found[name] = copies[0]
    return found


def _whole_segments(entries: Iterable[FileInfo]) -> list[str]:
    parsed = (parse_segment(entry.name) for entry in entries)
    return [row.name for row in parsed if row is not None and not row.is_partial]
