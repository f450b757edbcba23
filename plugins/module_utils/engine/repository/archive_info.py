# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``archive.info``: which clusters have WAL in the archive (repository reference, section 3.1)."""

from __future__ import annotations

import dataclasses
import typing as t

from ..errors import FormatError
from ..version import REPOSITORY_VERSION
from . import infofile, layout
from .fields import Fields, history_id
from .info_twins import InfoFile


class ArchiveDb(t.NamedTuple):
    """One cluster in the history of a stanza."""

    id: int
    system_id: int
    version: str
    """PostgreSQL's, as ``15`` or ``9.6``."""

    @property
    def archive_id(self) -> str:
        """The directory of this cluster's WAL."""
        return layout.archive_id(self.version, self.id)


@dataclasses.dataclass(frozen=True)
class ArchiveInfo:
    """The whole file."""

    history: tuple[ArchiveDb, ...]
    """By ascending id; never empty."""
    current_id: int
    cipher_pass: str | None = dataclasses.field(default=None, repr=False)
    """The pass of everything in the archive; None when the repository is not encrypted."""
    writer_version: str = REPOSITORY_VERSION
    """Who wrote the file that was read; what is saved gets our own."""

    @property
    def current(self) -> ArchiveDb:
        """The cluster whose WAL is pushed now."""
        return next(row for row in self.history if row.id == self.current_id)

    def upgraded(self, system_id: int, version: str) -> ArchiveInfo:
        """With another cluster, or another version of it, as the current one."""
        row = ArchiveDb(self.history[-1].id + 1, system_id, version)
        return dataclasses.replace(self, history=(*self.history, row), current_id=row.id)


def create(system_id: int, version: str, cipher_pass: str | None) -> ArchiveInfo:
    """The file of a new stanza."""
    return ArchiveInfo((ArchiveDb(1, system_id, version),), 1, cipher_pass)


def parse(text: str) -> ArchiveInfo:
    """Read the plain text; raises FormatError, ChecksumError and JsonFormatError."""
    document = infofile.parse(text)
    sections = document.sections
    # Section db repeats the current row: only its id counts.
    current_id = Fields("db", sections.get("db", {})).natural("db-id")
    history = []
    for key, value in sections.get("db:history", {}).items():
        row = Fields(f"db:history {key}", value)
        # The system id stands under 'db-id' here: a slip that has become part of the format.
        history.append(
            ArchiveDb(
                history_id(key, "archive.info"), row.natural("db-id"), row.version("db-version")
            )
        )
    history.sort()
    if current_id not in {row.id for row in history}:
        raise FormatError(f"db-id {current_id} is not in the history of archive.info")
    cipher = Fields("cipher", sections.get("cipher", {}))
    return ArchiveInfo(
        tuple(history), current_id, cipher.optional_text("cipher-pass"), document.version
    )


def render(info: ArchiveInfo, version: str = REPOSITORY_VERSION) -> str:
    """The plain text of the file."""
    current = info.current
    sections: dict[str, dict[str, object]] = {
        "db": {
            "db-id": current.id,
            "db-system-id": current.system_id,
            "db-version": current.version,
        },
        "db:history": {
            str(row.id): {"db-id": row.system_id, "db-version": row.version} for row in info.history
        },
    }
    if info.cipher_pass is not None:
        sections["cipher"] = {"cipher-pass": info.cipher_pass}
    return infofile.render(sections, version)


_FILE = InfoFile(
    layout.archive_info,
    parse,
    render,
    hint="archive.info cannot be opened but is required to push or get WAL; "
    "has stanza-create been run?",
)

load = _FILE.load
begin = _FILE.begin
save = _FILE.save
begin_save = _FILE.begin_save
