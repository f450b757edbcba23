# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups of a stanza: every stored file, once, where it lies."""

from __future__ import annotations

import typing as t

from ... import log
from ...errors import EngineError, StorageMissingError, TransportLostError
from ...repository import label, layout
from ...repository.backup_info import BackupInfo
from ...repository.blockmap import Chain, load_map
from ...repository.contents import Manifest, ManifestFile
from ...repository.stored import stored
from ...storage.base import FileKind
from . import twins
from .files import FilesJob, VerifyFile
from .result import NONE, BackupResult, Finding, Problem, Status
from .session import Session, chunks


class Backups:
    """All backups that are listed or on disk, the oldest first."""

    def __init__(self, run: Session, info: BackupInfo) -> None:
        self._run = run
        self._info = info
        # Problems by the backup that holds the file, and by name.
        self._damaged: dict[tuple[str, str], Problem] = {}
        # Files of backups that could not be checked as such, where later ones refer to them.
        self._seen: set[tuple[str, str]] = set()

    def results(self) -> t.Iterator[BackupResult]:
        """Check them."""
        listed = sorted(self._info.backups)
        on_disk = self._labels()
        newest = max((*listed, *on_disk), default="")
        names = sorted({*listed, *on_disk})
        if self._run.only is not None:
            names = [self._run.only]
        if not names:
            log.detail("no backups exist in the repo")
        whole: set[str] = set()
        for name in names:
            if name not in self._info.backups and not on_disk[name]:
                if name == newest:
                    log.info("backup '%s' appears to be in progress, skipping", name)
                    yield BackupResult(name, Status.IN_PROGRESS)
                else:
                    log.detail("manifest missing for '%s' - backup may have expired", name)
                    yield BackupResult(name, Status.MANIFEST_MISSING)
                continue
            path = layout.manifest_path(self._run.stanza, name)
            found = self._run.twins(path, twins.manifest_decoder(name, self._info.cipher_pass))
            if name not in self._info.backups:
                log.warn("backup '%s' is not in backup.info", name)
            if found.value is None:
                status = Status.MANIFEST_MISSING if found.missing else Status.INVALID
                absent = tuple(self._run.missing_wal.get(name, ()))
                yield BackupResult(name, status, missing_wal=absent)
                continue
            yield self._backup(found.value, whole)
            whole.add(name)

    def _labels(self) -> dict[str, bool]:
        """Every backup directory, and whether it has a manifest."""
        try:
            entries = self._run.storage.list(layout.backup_path(self._run.stanza))
        except StorageMissingError:
            return {}
        names = [
            row.name for row in entries if row.kind is FileKind.PATH and label.is_label(row.name)
        ]
        infos = self._run.storage.info_many(
            layout.manifest_path(self._run.stanza, name) for name in names
        )
        return {name: row is not None for name, row in zip(names, infos)}

    def _backup(self, contents: Manifest, whole: t.Container[str]) -> BackupResult:
        """Check the files that no earlier backup was checked for; ``whole`` are those backups."""
        name = contents.backup.label
        chain = Chain.of(self._run.stanza, contents)
        files = list(self._files(contents, whole))
        files.sort(key=lambda file: (file.stored.path, file.stored.offset))
        holders = {file.name: file.reference or name for file in contents.files}
        jobs = (FilesJob(chain, tuple(rows)) for rows in chunks(files, lambda f: f.stored.size))
        found: list[tuple[int, Finding]] = []
        for event in self._run.worked(jobs, sum(file.stored.size for file in files)):
            found += [(event.worker, row) for row in event.result]
        for row in (row for _worker, row in found):
            self._damaged[holders[row.name], row.name] = row.problem
            self._run.findings.append(row)
        self._run.tell_all(found)
        counts = NONE
        for file in contents.files:
            problem = self._damaged.get((file.reference or name, file.name))
            if problem is None and file.block is not None and self._base_damaged(contents, file):
                problem = self._damaged[name, file.name] = Problem.CHECKSUM
            if problem is not None:
                counts = counts.plus(problem)
        absent = tuple(self._run.missing_wal.get(name, ()))
        return BackupResult(
            name,
            Status.INVALID if counts.total or absent else Status.VALID,
            len(contents.files),
            len(contents.files) - counts.total,
            counts,
            absent,
        )

    def _files(self, contents: Manifest, whole: t.Container[str]) -> t.Iterator[VerifyFile]:
        earlier = Chain.of(self._run.stanza, contents).references[:-1]
        elsewhere = any(name not in whole for name in earlier)
        for file in contents.files:
            if file.reference is not None:
                if file.reference in whole or (file.reference, file.name) in self._seen:
                    continue
                self._seen.add((file.reference, file.name))
            place = stored(self._run.stanza, contents, file)
            if place is not None:
                yield VerifyFile(
                    file.name,
                    file.size,
                    file.checksum or "",
                    file.repo_checksum,
                    place,
                    not file.bundle_id,
                    file.block,
                    elsewhere,
                )

    def _base_damaged(self, contents: Manifest, file: ManifestFile) -> bool:
        """Whether blocks of the file lie in an earlier backup's file that is damaged."""
        chain = Chain.of(self._run.stanza, contents)
        suspects = {row for row in chain.references if (row, file.name) in self._damaged}
        place = stored(self._run.stanza, contents, file)
        if not suspects or file.block is None or place is None:
            return False
        size = file.block.map_size
        offset = place.offset + place.size - size
        try:
            with self._run.storage.reader(place.path, offset=offset, size=size) as reader:
                stored_map = reader.read_all()
                entries = load_map(chain, file.name, file.block, stored_map, file.size)
        except TransportLostError:
            raise
        except EngineError:
            return True
        return any(chain.references[row.super_block.reference] in suspects for row in entries)
