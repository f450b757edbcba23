# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup consists of: the values of a manifest (repository reference, section 8).

There can be a million files. Entries are therefore tuples, and texts that repeat (owners, labels)
are shared. Sizes are bytes, times epoch seconds, checksums SHA-1 in hex; defaults are resolved.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..transform.pipeline import Encoding, Framing
from ..version import REPOSITORY_VERSION
from .backup_info import BackupEntry

EMPTY_SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"

PG_DATA = "pg_data"
PG_CONTROL = "pg_data/global/pg_control"

PageErrors = tuple[t.Union[int, tuple[int, int]], ...]

BLOCK_UNIT = 8192
BLOCK_CHECKSUM_SIZE = 6
BLOCK_CHECKSUM_SIZES = range(1, 17)
"""What can be: the digests have 16 bytes."""
BLOCK_SIZE_MOST = 128 * 1024 * 1024
"""No block is larger: whoever reads one holds all of it."""


class Block(t.NamedTuple):
    """How a block-incremental file is stored (section 13)."""

    size: int
    """Bytes of a block."""
    checksum_size: int = BLOCK_CHECKSUM_SIZE
    """Bytes of each checksum in the map."""
    map_size: int = 0
    """Stored bytes of the map, at the end of the file's stored bytes; 0 while not written."""


class ManifestFile(t.NamedTuple):
    """One file of the backup."""

    name: str
    size: int
    repo_size: int
    """Stored bytes, block map included; equal to ``size`` while not copied."""
    timestamp: int
    mode: int
    user: str | None
    """None when the owner had no name."""
    group: str | None
    checksum: str | None = None
    """Of the original content; None while not copied."""
    repo_checksum: str | None = None
    """Of the stored bytes; None where these are the content itself, or were not digested."""
    reference: str | None = None
    """The backup that holds the stored bytes; None for this one."""
    bundle_id: int = 0
    """0 for a file stored alone."""
    bundle_offset: int = 0
    page_valid: bool | None = None
    """Whether every page checksum was right; None where pages were not checked."""
    page_errors: PageErrors = ()
    """Bad pages and ranges of them, ascending; empty and not valid: the file is misaligned."""
    block: Block | None = None
    original_size: int | None = None
    """The size at the time of the scan, where that differs."""


class ManifestPath(t.NamedTuple):
    """One directory of the backup."""

    name: str
    mode: int
    user: str | None
    group: str | None


class ManifestLink(t.NamedTuple):
    """One symlink of the backup, tablespaces included."""

    name: str
    destination: str
    user: str | None
    group: str | None


class Target(t.NamedTuple):
    """A place outside of which the scan did not look: the data directory, or where a link leads."""

    name: str
    kind: str
    """``path`` for the data directory, ``link`` for everything else."""
    path: str
    """Of a link to a file its directory; may be relative."""
    file: str | None = None
    tablespace_id: int | None = None
    tablespace_name: str | None = None


class Database(t.NamedTuple):
    """A database at the time of the backup."""

    name: str
    oid: int
    last_system_oid: int


class Owner(t.NamedTuple):
    """What entries have that do not say otherwise."""

    user: str | None
    group: str | None
    mode: int | None
    """None for links, which have no mode."""


class Defaults(t.NamedTuple):
    """The default sections of a manifest."""

    file: Owner
    link: Owner
    path: Owner

    @classmethod
    def of(cls, data_directory: ManifestPath) -> Defaults:
        """What the real writer takes: the attributes of the data directory."""
        user, group, mode = data_directory.user, data_directory.group, data_directory.mode
        return cls(
            Owner(user, group, mode & 0o640), Owner(user, group, None), Owner(user, group, mode)
        )


@dataclasses.dataclass(frozen=True)
class BackupFacts:
    """Section ``[backup]``."""

    label: str
    backup_type: str
    timestamp_start: int
    timestamp_copy_start: int
    """No file changed from this second on counts as copied."""
    timestamp_stop: int
    references: tuple[str, ...]
    """Labels of the whole chain, this one last; block maps count in this list."""
    prior: str | None = None
    archive_start: str | None = None
    archive_stop: str | None = None
    lsn_start: str | None = None
    lsn_stop: str | None = None
    bundle: bool = False
    bundle_raw: bool = False
    block_incr: bool = False


class ManifestDb(t.NamedTuple):
    """Section ``[backup:db]``: the cluster."""

    id: int
    system_id: int
    version: str
    catalog_version: int
    control_version: int


LEVELS = 1 << 32
"""Levels of compression count modulo this in a manifest. The real reader knows no negative number
there, and refuses all of a manifest with one; the real writer has 4294967295 for -1.
"""


@dataclasses.dataclass(frozen=True)
class ManifestOptions:
    """Section ``[backup:option]``; None where the writer did not say."""

    archive_check: bool = True
    archive_copy: bool = False
    backup_standby: bool | None = None
    buffer_size: int | None = None
    checksum_page: bool | None = None
    compress_level: int | None = None
    compress_level_network: int | None = None
    compress_type: str = "gz"
    delta: bool | None = None
    hardlink: bool = False
    online: bool = True
    process_max: int | None = None


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A whole manifest. The lists may come in any order; they are written by name."""

    backup: BackupFacts
    db: ManifestDb
    options: ManifestOptions
    targets: t.Sequence[Target]
    files: t.Sequence[ManifestFile]
    paths: t.Sequence[ManifestPath]
    links: t.Sequence[ManifestLink] = ()
    databases: t.Sequence[Database] = ()
    annotation: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    cipher_pass: str | None = dataclasses.field(default=None, repr=False)
    """The pass of all stored files of the set; None when the repository is not encrypted."""
    defaults: Defaults | None = None
    """None takes those of the data directory."""
    writer_version: str = REPOSITORY_VERSION

    @property
    def encoding(self) -> Encoding:
        """How the files of the set are stored."""
        return Encoding(self.options.compress_type, self.options.compress_level, self.cipher_pass)

    @property
    def bundle_framing(self) -> Framing:
        """How the parts of bundles are framed; files stored alone are always whole."""
        return Framing.RAW if self.backup.bundle_raw else Framing.WHOLE

    def resolved_defaults(self) -> Defaults:
        """The default sections; those of the data directory when none are given."""
        if self.defaults is not None:
            return self.defaults
        return Defaults.of(next(path for path in self.paths if path.name == PG_DATA))


def entry_for(manifest: Manifest) -> BackupEntry:
    """What backup.info says of a backup: its facts, and sums over its files (section 3.3)."""
    size = size_delta = repo_size = repo_size_delta = map_size = map_delta = 0
    error = False
    for file in manifest.files:
        stored = file.repo_size or file.size
        blocks = file.block.map_size if file.block is not None else 0
        size += file.size
        repo_size += stored
        map_size += blocks
        if file.reference is None:
            size_delta += file.size
            repo_size_delta += stored
            map_delta += blocks
        error = error or file.page_valid is False
    facts, options = manifest.backup, manifest.options
    return BackupEntry(
        label=facts.label,
        backup_type=facts.backup_type,
        db_id=manifest.db.id,
        timestamp_start=facts.timestamp_start,
        timestamp_stop=facts.timestamp_stop,
        size=size,
        size_delta=size_delta,
        repo_size=repo_size,
        repo_size_delta=repo_size_delta,
        archive_start=facts.archive_start,
        archive_stop=facts.archive_stop,
        lsn_start=facts.lsn_start,
        lsn_stop=facts.lsn_stop,
        prior=facts.prior,
        reference=tuple(sorted(facts.references[:-1])),
        error=error,
        annotation=dict(manifest.annotation),
        repo_size_map=map_size if facts.block_incr else None,
        repo_size_map_delta=map_delta if facts.block_incr else None,
        option_archive_check=options.archive_check,
        option_archive_copy=options.archive_copy,
        option_backup_standby=options.backup_standby or False,
        option_checksum_page=options.checksum_page or False,
        option_compress=options.compress_type != "none",
        option_hardlink=options.hardlink,
        option_online=options.online,
        version=manifest.writer_version,
    )
