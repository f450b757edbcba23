# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archived WAL on a line of time: what is there, what is missing, how far each backup leads.

Directories are listed, and of each cluster one segment's header is read: nothing is checked beyond
that, which is the work of verify.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import EngineError, StorageMissingError
from ..postgres import wal
from ..postgres.wal import Fork
from ..repository import archive, archive_info, backup_info, layout, wal_line
from ..repository.backup_info import BackupInfo
from ..repository.wal_gaps import Need
from ..repository.wal_line import Hole, Segment, Span, Window
from ..storage.base import Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from ..transform.compression import type_of_name
from ..transform.pipeline import Decoder, Encoding, decode
from .cipher import cipher_pass


@dataclasses.dataclass(frozen=True)
class WalLine:
    """One cluster's WAL in one repository."""

    repo: int
    archive_id: str
    segment_size: int
    """Of a segment before it is compressed, in bytes."""
    spans: tuple[Span, ...]
    gaps: tuple[Hole, ...]
    windows: tuple[Window, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "repo": self.repo,
            "id": self.archive_id,
            "segment_size": self.segment_size,
            "spans": [row._asdict() for row in self.spans],
            "gaps": [row._asdict() for row in self.gaps],
            "windows": [row._asdict() for row in self.windows],
        }


def run(options: Options) -> list[WalLine]:
    """Read all repositories. One that cannot be read is passed over with a warning."""
    repos = (
        options.repos if options.selected_repo is None else (options.repo(options.selected_repo),)
    )
    lines: list[WalLine] = []
    for repo in repos:
        try:
            lines += _repo(options, repo)
        except EngineError as cause:
            log.warn("repo%d: %s", repo.key, cause)
    return lines


def _repo(options: Options, repo: RepoOptions) -> list[WalLine]:
    stanza = options.require_stanza()
    secret = cipher_pass(repo)
    lines = []
    with open_storage(repo, io_timeout=options.io_timeout, lender=lender(options)) as storage:
        wal_info = archive_info.load(storage, stanza, secret)
        backups = backup_info.load(storage, stanza, secret)
        for name in archive.archive_ids(storage, stanza):
            parts = layout.parse_archive_id(name)
            if parts is None:
                continue
            found, paths, histories = _listed(storage, stanza, name, wal_info.cipher_pass)
            if found:
                size = _segment_size(storage, paths[max(paths)], wal_info.cipher_pass)
                rows = _needs(backups, parts.history_id)
                needs = [need for need, _complete in rows]
                lines.append(
                    WalLine(
                        repo.key,
                        name,
                        size,
                        tuple(wal_line.spans(found.values(), size)),
                        tuple(wal_line.holes(found.values(), size, needs, histories)),
                        tuple(
                            wal_line.window(need, complete, found, size, histories)
                            for need, complete in rows
                        ),
                    )
                )
    return lines


def _needs(backups: BackupInfo, db_id: int) -> list[tuple[Need, int]]:
    return [
        (Need(entry.label, entry.archive_start, entry.archive_stop), entry.timestamp_stop)
        for entry in backups.backups.values()
        if entry.db_id == db_id
        and entry.archive_start is not None
        and entry.archive_stop is not None
    ]


def _listed(
    storage: Storage, stanza: str, archive_id: str, secret: str | None
) -> tuple[dict[str, Segment], dict[str, str], dict[int, list[Fork]]]:
    """The whole segments and their paths, by name, and the histories of the timelines."""
    base = layout.archive_id_path(stanza, archive_id)
    top = storage.list(base)
    directories = [f"{base}/{row.name}" for row in top if layout.is_segment_directory(row.name)]
    histories = [row.name for row in top if wal.is_history(row.name)]
    readers = [storage.reader(f"{base}/{name}") for name in histories]
    found: dict[str, Segment] = {}
    paths: dict[str, str] = {}
    for directory, listing in zip(directories, storage.list_many(directories)):
        if isinstance(listing, StorageMissingError):
            continue
        if isinstance(listing, EngineError):
            raise listing
        for entry in listing:
            parsed = archive.parse_segment(entry.name)
            if parsed is not None and not parsed.is_partial:
                found[parsed.name] = Segment(parsed.name, entry.size, entry.mtime)
                paths[parsed.name] = f"{directory}/{entry.name}"
    forks = {}
    for name, reader in zip(histories, readers):
        text = decode(reader.read_all(), Encoding(cipher_pass=secret)).decode("utf-8", "replace")
        forks[wal.timeline_of(name)] = wal.history(text)
    return found, paths, forks


def _segment_size(storage: Storage, path: str, secret: str | None) -> int:
    """As the segment's own header says."""
    head = b""
    decoder = Decoder(Encoding(type_of_name(path).name, cipher_pass=secret))
    with storage.reader(path) as reader:
        for piece in decoder.stream(t.cast("t.Iterable[bytes]", reader)):
            head += piece[: wal.HEADER_SIZE]
            if len(head) >= wal.HEADER_SIZE:
                break
    return wal.header(head).segment_size
