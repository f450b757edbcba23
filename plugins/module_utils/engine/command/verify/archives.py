# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL of a stanza: every segment, what is missing between them, and what backups need."""

from __future__ import annotations

import collections
import typing as t

from ... import log
from ...errors import EngineError, StorageMissingError, TransportLostError
from ...postgres.wal import Fork, history
from ...repository import layout, manifest, wal_gaps
from ...repository.archive import (
    Archive,
    StoredSegment,
    WalRange,
    archive_ids,
    parse_segment,
)
from ...repository.archive import segments as all_segments
from ...repository.archive_info import ArchiveInfo
from ...repository.backup_info import BackupInfo
from ...repository.wal_gaps import Need
from ...storage.base import FileInfo
from ...transform.pipeline import Encoding, decode
from ..stored_control import stored_control
from .files import Checked, WalJob
from .result import NONE, ArchiveResult, Counts, Finding, Problem, span_text
from .session import Session, chunks

# The size of segments where none could be read.
_USUAL_SEGMENT = 16 * 1024 * 1024


class Archives:
    """All archive ids."""

    def __init__(self, run: Session, wal: ArchiveInfo, backups: BackupInfo) -> None:
        self._run = run
        self._wal = wal
        self._backups = backups

    def results(self) -> list[ArchiveResult]:
        """Check them, the oldest first."""
        results = [self._archive(name) for name in self._archive_ids()]
        with_wal = {_history_id(row.archive_id) for row in results}
        for db_id in {entry.db_id for entry in self._backups.backups.values()} - with_wal:
            needs = self._needs(db_id)
            size = self._size_of(needs)
            for need in needs:
                self._need(need, (), size)
        return results

    def _archive_ids(self) -> list[str]:
        found = archive_ids(self._run.storage, self._run.stanza)
        known = {row.archive_id for row in self._wal.history}
        strangers = [name for name in found if name not in known]
        if strangers:
            names = ", ".join(strangers)
            self._run.error(f"archiveIds '{names}' are not in the archive.info history list")
        if self._run.only is not None:
            db_id = self._backups.backups[self._run.only].db_id
            found = [name for name in found if _history_id(name) == db_id]
        if not found:
            log.detail("no archives exist in the repo")
        return found

    def _archive(self, name: str) -> ArchiveResult:
        needs = self._needs(_history_id(name))
        segments, histories = self._wal_files(name, self._wal.cipher_pass)
        if self._run.only is not None:
            segments = {
                key: rows
                for key, rows in segments.items()
                if any(need.start <= key[:24] <= need.stop for need in needs)
            }
        rows = [row for same in segments.values() for row in same]
        checked = self._check_wal(rows, self._wal.cipher_pass)
        vanished = {row.segment for row in checked if _is_gone(row)}
        if vanished:
            # They were there a moment ago, and are gone by now: who still needs them?
            checked = [row for row in checked if row.segment not in vanished]
            rows = [row for row in rows if row not in vanished]
            segments = {
                name: [row for row in same if row not in vanished]
                for name, same in segments.items()
                if any(row not in vanished for row in same)
            }
            expired = self._run.expired(anyway=True)
            needs = [need for need in needs if need.label not in expired]
        sizes = collections.Counter(row.segment_size for row in checked if row.segment_size)
        size = sizes.most_common(1)[0][0] if sizes else self._size_of(needs)
        findings = [row.finding for row in checked if row.finding is not None]
        for row in checked:
            if row.segment_size not in (None, size):
                text = f"its header says {row.segment_size} bytes, others say {size}"
                findings.append(Finding(Problem.SIZE, row.segment.path, row.segment.name, text))
                self._run.tell(findings[-1], 0)
        self._run.findings += findings
        duplicates = [key for key, same in segments.items() if len(same) > 1]
        for key in duplicates:
            log.warn("duplicate WAL '%s' for '%s' exists", key, name)
        bad = {(row.path) for row in findings}
        valid = sum(1 for row in rows if row.path not in bad and row.name not in duplicates)
        whole = self._with_new_ones(name, segments, needs, size, histories)
        gaps = [] if self._run.only is not None else wal_gaps.gaps(whole, size, needs, histories)
        counts = _counts(row.problem for row in findings)
        for gap in gaps:
            text = gap.reason or "nothing explains it"
            span = span_text(WalRange(gap.first, gap.last))
            tell = log.detail if gap.reason else log.warn
            tell("archiveId: %s, WAL is missing: %s (%s)", name, span, text)
            if gap.reason is None:
                counts = counts.plus(Problem.MISSING, gap.segments)
        spans = wal_gaps.ranges(whole, size)
        for part in spans:
            log.detail("archiveId: %s, wal start: %s, wal stop: %s", name, part.first, part.last)
        if not rows:
            log.detail("archive path '%s' is empty", name)
        for need in needs:
            self._need(need, whole, size)
        return ArchiveResult(
            name, len(rows), valid, counts, tuple(spans), tuple(gaps), tuple(duplicates)
        )

    def _needs(self, db_id: int) -> list[Need]:
        return [
            Need(entry.label, entry.archive_start, entry.archive_stop)
            for entry in self._backups.backups.values()
            if entry.db_id == db_id
            and entry.archive_start is not None
            and entry.archive_stop is not None
            and self._run.only in (None, entry.label)
        ]

    def _wal_files(
        self, archive_id: str, archive_pass: str | None
    ) -> tuple[dict[str, list[StoredSegment]], dict[int, list[Fork]]]:
        """The segments of an archive id by name, and the histories of its timelines."""
        base = layout.archive_id_path(self._run.stanza, archive_id)
        segments: dict[str, list[StoredSegment]] = {}
        histories: dict[int, list[Fork]] = {}
        (listed,) = self._run.storage.list_many([base])
        top = _entries(listed)
        paths = [f"{base}/{row.name}" for row in top if layout.is_segment_directory(row.name)]
        for path, listing in zip(paths, self._run.storage.list_many(paths)):
            for entry in _entries(listing):
                parsed = parse_segment(entry.name)
                if parsed is not None:
                    segments.setdefault(parsed.name, []).append(
                        StoredSegment(parsed.name, parsed.sha1, f"{path}/{entry.name}", entry.size)
                    )
        encoding = Encoding(cipher_pass=archive_pass)
        names = [row.name for row in top if row.name.endswith(".history")]
        readers = [self._run.storage.reader(f"{base}/{name}") for name in names]
        for name, reader in zip(names, readers):
            try:
                text = decode(reader.read_all(), encoding).decode("utf-8", "replace")
                histories[int(name[:8], 16)] = history(text)
            except TransportLostError:
                raise
            except StorageMissingError:
                # It was listed a moment ago: expire removes those of timelines that nobody needs.
                continue
            except (EngineError, ValueError) as cause:
                finding = Finding(Problem.OTHER, f"{base}/{name}", name, str(cause))
                self._run.findings.append(finding)
                self._run.tell(finding, 0)
        return dict(sorted(segments.items())), histories

    def _check_wal(
        self, segments: t.Sequence[StoredSegment], archive_pass: str | None
    ) -> list[Checked]:
        jobs = (
            WalJob(archive_pass, tuple(rows)) for rows in chunks(segments, lambda row: row.size)
        )
        checked: list[Checked] = []
        for event in self._run.worked(jobs, sum(row.size for row in segments)):
            checked += event.result
            for row in event.result:
                if row.finding is not None and not _is_gone(row):
                    self._run.tell(row.finding, event.worker)
        return sorted(checked)

    def _with_new_ones(
        self,
        archive_id: str,
        segments: t.Mapping[str, object],
        needs: t.Sequence[Need],
        size: int,
        histories: t.Mapping[int, t.Sequence[Fork]],
    ) -> set[str]:
        """The names of whole segments, with those that came while others were being checked.

        Segments are pushed in parallel: the newest ones need not come in their order.
        """
        whole = {name for name in segments if not name.endswith(".partial")}
        absent = {
            name
            for gap in wal_gaps.gaps(whole, size, needs, histories)
            if gap.reason is None
            for name in (gap.first, gap.last)
        }
        if absent:
            found = Archive(self._run.storage, self._run.stanza).find_many(
                archive_id, sorted(absent)
            )
            if any(found.values()):
                whole |= set(
                    all_segments(
                        self._run.storage, self._run.stanza, archive_id, lambda directory: True
                    )
                )
        return whole

    def _size_of(self, needs: t.Iterable[Need]) -> int:
        """The size of segments that no segment tells: that in pg_control of a backup."""
        storage, stanza = self._run.storage, self._run.stanza
        for need in needs:
            try:
                contents = manifest.load(storage, stanza, need.label, self._backups.cipher_pass)
                return stored_control(storage, stanza, contents).wal_segment_size
            except TransportLostError:
                raise
            except EngineError as cause:
                log.detail("no pg_control from backup '%s': %s", need.label, cause.message)
        return _USUAL_SEGMENT

    def _need(self, need: Need, whole: t.Collection[str], size: int) -> None:
        """Is the WAL there without which the backup cannot be restored?"""
        entry = self._backups.backups[need.label]
        if not entry.option_archive_check or entry.option_archive_copy:
            return
        absent = wal_gaps.missing(whole, need, size)
        for span in absent:
            log.warn("backup '%s' needs WAL that is missing: %s", need.label, span_text(span))
        if absent:
            self._run.missing_wal[need.label] = absent


def _history_id(archive_id: str) -> int:
    parts = layout.parse_archive_id(archive_id)
    return 0 if parts is None else parts.history_id


def _entries(listing: object) -> list[FileInfo]:
    if isinstance(listing, StorageMissingError):
        return []
    if isinstance(listing, EngineError):
        raise listing
    return t.cast("list[FileInfo]", listing)


def _is_gone(row: Checked) -> bool:
    return row.finding is not None and row.finding.problem is Problem.MISSING


def _counts(problems: t.Iterable[Problem]) -> Counts:
    counts = NONE
    for problem in problems:
        counts = counts.plus(problem)
    return counts
