# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scan of a data directory finds: directories, files, links and where links lead.

Names are those of a manifest: ``pg_data/base/5/1259``, and ``pg_tblspc/16384/...`` for what lies in
a tablespace (repository reference, section 8).
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

DATA = "pg_data"
TABLESPACES = "pg_tblspc"
CONTROL = "pg_data/global/pg_control"

_REPLAYED = re.compile(r"(pg_data/(base|global|pg_xact|pg_clog|pg_multixact)|pg_tblspc)/")


class PathEntry(t.NamedTuple):
    """A directory. An owner that has no name is None."""

    name: str
    mode: int
    user: str | None
    group: str | None


class FileEntry(t.NamedTuple):
    """A regular file."""

    name: str
    size: int
    mtime: int  # seconds since 1970
    mode: int
    user: str | None
    group: str | None
    page_check: bool  # has page checksums where the cluster has them
    fixed_size: bool  # what is beyond the size seen here will be replayed from the WAL

    @property
    def path(self) -> str:
        """Where it is, relative to the data directory; through the links that lie there."""
        return relative_path(self.name)


class LinkEntry(t.NamedTuple):
    """A symbolic link."""

    name: str
    destination: str  # the text of the link
    user: str | None
    group: str | None


class Target(t.NamedTuple):
    """A place where data lies: the data directory itself, or where a link leads."""

    name: str
    kind: str  # 'path' or 'link'
    path: str
    file: str | None = None
    tablespace_id: int | None = None
    tablespace_name: str | None = None


class Note(t.NamedTuple):
    """Something that was left out, for the log."""

    level: str  # 'info' or 'warn'
    text: str


@dataclass
class DataDirectory:
    """The result of a scan; every list is sorted by name."""

    root: str
    paths: list[PathEntry] = field(default_factory=list)
    files: list[FileEntry] = field(default_factory=list)
    links: list[LinkEntry] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def to_json(self) -> dict[str, t.Any]:
        """Plain lists, for the way between two nodes."""
        return {
            "root": self.root,
            "paths": [list(row) for row in self.paths],
            "files": [list(row) for row in self.files],
            "links": [list(row) for row in self.links],
            "targets": [list(row) for row in self.targets],
            "notes": [list(row) for row in self.notes],
        }

    @classmethod
    def from_json(cls, plain: t.Mapping[str, t.Any]) -> DataDirectory:
        """The inverse of ``to_json``."""
        return cls(
            root=plain["root"],
            paths=[PathEntry(*row) for row in plain["paths"]],
            files=[FileEntry(*row) for row in plain["files"]],
            links=[LinkEntry(*row) for row in plain["links"]],
            targets=[Target(*row) for row in plain["targets"]],
            notes=[Note(*row) for row in plain["notes"]],
        )


def relative_path(name: str) -> str:
    """The path of a manifest's name, relative to the data directory."""
    return name[len(DATA) + 1 :] if name.startswith(DATA + "/") else name


def primary_only(name: str) -> bool:
    """Whether a file must come from the primary even when a standby is copied.

    A standby has its own version of everything that the WAL does not carry, and of pg_control.
    """
    return name == CONTROL or _REPLAYED.match(name) is None
