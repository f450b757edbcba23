# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every path name in a repository (repository reference, section 1). Nobody else joins paths.

Paths are relative to the repository's path and use ``/``.
"""

from __future__ import annotations

import re
import typing as t

ARCHIVE = "archive"
BACKUP = "backup"
LATEST = "latest"
MANIFEST = "backup.manifest"
COPY_SUFFIX = ".copy"
HISTORY_SUFFIX = ".manifest.gz"

_ARCHIVE_ID = re.compile(r"^(?P<version>[0-9]+(?:\.[0-9]+)?)-(?P<id>[0-9]+)$")
_SEGMENT_DIRECTORY = re.compile(r"^[0-9A-F]{16}$")
_STARTS_AS_SEGMENT = re.compile(r"^[0-9A-F]{24}")


def copy_of(path: str) -> str:
    """The twin of an info file or manifest."""
    return path + COPY_SUFFIX


# --- archive ---------------------------------------------------------------------------------


def archive_path(stanza: str) -> str:
    """All WAL of a stanza."""
    return f"{ARCHIVE}/{stanza}"


def archive_info(stanza: str) -> str:
    """The info file of the archive."""
    return f"{ARCHIVE}/{stanza}/archive.info"


class ArchiveId(t.NamedTuple):
    """The parts of an archive id such as ``15-1``."""

    version: str
    history_id: int


def archive_id(version: str, history_id: int) -> str:
    """``15-1``: the directory of one cluster's WAL."""
    return f"{version}-{history_id}"


def parse_archive_id(name: str) -> ArchiveId | None:
    """What an archive directory's name says; None for any other name."""
    match = _ARCHIVE_ID.match(name)
    return ArchiveId(match["version"], int(match["id"])) if match else None


def archive_id_path(stanza: str, archive_id_name: str) -> str:
    """The directory of one cluster's WAL."""
    return f"{ARCHIVE}/{stanza}/{archive_id_name}"


def is_segment_directory(name: str) -> bool:
    """Whether this is a directory of up to 4 GiB of segments, named by their first 16 digits."""
    return _SEGMENT_DIRECTORY.match(name) is not None


def wal_directory(stanza: str, archive_id_name: str, wal_file: str) -> str:
    """Where a WAL file of any kind lies: what begins like a segment in the 16-digit directory."""
    base = archive_id_path(stanza, archive_id_name)
    return f"{base}/{wal_file[:16]}" if _STARTS_AS_SEGMENT.match(wal_file) else base


def segment_path(
    stanza: str, archive_id_name: str, segment: str, sha1: str, extension: str = ""
) -> str:
    """A stored segment, also a partial one; ``sha1`` is that of the original file, in hex."""
    directory = wal_directory(stanza, archive_id_name, segment)
    return f"{directory}/{segment_name(segment, sha1, extension)}"


def segment_name(segment: str, sha1: str, extension: str = "") -> str:
    """What a stored segment is called in its directory."""
    return f"{segment}-{sha1}{extension}"


def wal_file_path(stanza: str, archive_id_name: str, wal_file: str) -> str:
    """A stored ``.history`` or ``.backup`` file: no checksum in the name, never compressed."""
    return f"{wal_directory(stanza, archive_id_name, wal_file)}/{wal_file}"


# --- backup ----------------------------------------------------------------------------------


def backup_path(stanza: str) -> str:
    """All backups of a stanza."""
    return f"{BACKUP}/{stanza}"


def backup_info(stanza: str) -> str:
    """The info file of the backups."""
    return f"{BACKUP}/{stanza}/backup.info"


def label_path(stanza: str, label: str) -> str:
    """The directory of one backup."""
    return f"{BACKUP}/{stanza}/{label}"


def latest_path(stanza: str) -> str:
    """The symlink to the newest backup, for people; only where the storage has symlinks."""
    return f"{BACKUP}/{stanza}/{LATEST}"


def manifest_path(stanza: str, label: str) -> str:
    """The manifest: a directory without it is not a backup."""
    return f"{BACKUP}/{stanza}/{label}/{MANIFEST}"


def history_path(stanza: str) -> str:
    """The manifests of all backups ever made."""
    return f"{BACKUP}/{stanza}/backup.history"


def history_year_path(stanza: str, label: str) -> str:
    """The directory of a backup's history manifest."""
    return f"{history_path(stanza)}/{label[:4]}"


def history_manifest_path(stanza: str, label: str) -> str:
    """A backup's manifest in the history: gzip whatever the backup uses, then encrypted."""
    return f"{history_year_path(stanza, label)}/{label}{HISTORY_SUFFIX}"


def data_path(stanza: str, label: str, name: str, extension: str = "") -> str:
    """A file stored alone, under its manifest name."""
    return f"{BACKUP}/{stanza}/{label}/{name}{extension}"


def block_path(stanza: str, label: str, name: str) -> str:
    """A block-incremental file stored alone: never with a compression extension."""
    return data_path(stanza, label, name, ".pgbi")


def bundle_path(stanza: str, label: str, bundle_id: int) -> str:
    """A bundle; ids start at 1 in every backup."""
    return f"{BACKUP}/{stanza}/{label}/bundle/{bundle_id}"
