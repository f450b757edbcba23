# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker process of verify does: read stored files, and compare digests.

A file with a checksum of its stored bytes is neither decrypted nor decompressed. Readers are opened
ahead, so that a file costs no round trip of its own.
"""

from __future__ import annotations

import collections
import hashlib
import typing as t

from ...errors import (
    CryptoError,
    EngineError,
    FileReadError,
    FormatError,
    StorageMissingError,
    TransportLostError,
)
from ...postgres import wal
from ...repository.archive import StoredSegment
from ...repository.blockmap import Chain
from ...repository.contents import Block
from ...repository.stored import Stored
from ...storage.base import Reader, Storage
from ...storage.open import Opener
from ...transform.compression import type_of_name
from ...transform.pipeline import Decoder, Encoding
from ...worker.serve import Deferred, Done, Handler, Setup
from ..ranges import Range, RangeBytes, ranges
from ..restore.blocks import BlockFile, contents
from .result import Finding, Problem

REPORT_EVERY = 16 * 1024 * 1024

# Files or ranges opened ahead of the one that is being read. How much of them is read ahead is the
# session's own bound.
AHEAD = 64

ItemT = t.TypeVar("ItemT")


class VerifyFile(t.NamedTuple):
    """One file of a backup; size and checksum are those of the original."""

    name: str
    size: int
    checksum: str
    repo_checksum: str | None
    stored: Stored
    alone: bool
    """Whether the repository's file holds nothing else."""
    block: Block | None
    elsewhere: bool = False
    """Whether blocks of it may lie in files that nobody looks at by themselves."""

    @property
    def by_content(self) -> bool:
        """Whether it is put together to be checked, and its own stored bytes do not tell."""
        return self.block is not None and (self.repo_checksum is None or self.elsewhere)


class FilesJob(t.NamedTuple):
    """Files of one backup."""

    chain: Chain
    files: tuple[VerifyFile, ...]


class WalJob(t.NamedTuple):
    """Segments of one cluster; the pass is that of the archive."""

    cipher_pass: str | None
    segments: tuple[StoredSegment, ...]

    def __repr__(self) -> str:
        return f"WalJob({len(self.segments)} segments)"


class Checked(t.NamedTuple):
    """A segment that was read."""

    segment: StoredSegment
    finding: Finding | None
    segment_size: int | None
    """The size of all segments of the cluster, as its header says; bytes."""


class Checker:
    """The job handler of one worker."""

    def __init__(self, storage: Storage, report: t.Callable[[int], None]) -> None:
        self._storage = storage
        self._report = report
        self._unreported = 0

    def __call__(self, job: FilesJob | WalJob) -> Deferred[t.Any]:
        result: t.Any
        if isinstance(job, WalJob):
            result = [self._segment(row, job.cipher_pass, reader) for row, reader in self._wal(job)]
        else:
            result = list(self._files(job))
        if self._unreported:
            self._report(self._unreported)
            self._unreported = 0
        return Done(result)

    def _opened(
        self, requests: t.Iterable[tuple[ItemT, str, int, int | None]]
    ) -> t.Iterator[tuple[ItemT, Reader]]:
        """A reader for each request of an item, path, offset and size; the next ones are open."""
        opened: collections.deque[tuple[ItemT, Reader]] = collections.deque()
        try:
            for item, path, offset, size in requests:
                opened.append((item, self._storage.reader(path, offset=offset, size=size)))
                if len(opened) > AHEAD:
                    yield opened.popleft()
            while opened:
                yield opened.popleft()
        finally:
            for _item, reader in opened:
                reader.close()

    # Files of backups.

    def _files(self, job: FilesJob) -> t.Iterator[Finding]:
        plain = [row for row in job.files if not row.by_content]
        again: list[VerifyFile] = []
        alone = [row for row in plain if row.alone]
        parts = [
            *(Range(row.stored.path, 0, row.stored.size, (row,)) for row in alone),
            *ranges(row for row in plain if not row.alone),
        ]
        # All of a file that lies alone is read: it may be longer than it should be.
        requests = (
            (part, part.path, part.offset, None if part.files[0].alone else part.size)
            for part in parts
        )
        for part, reader in self._opened(requests):
            with reader:
                yield from self._part(part, reader, job.chain, again)
        for row in again:
            part = Range(row.stored.path, row.stored.offset, row.stored.size, (row,))
            with self._storage.reader(part.path, offset=part.offset, size=part.size) as reader:
                yield from self._part(part, reader, job.chain, [])
        by_content = [row for row in job.files if row.by_content]
        wanted = [
            BlockFile(row.name, row.stored, row.block, row.size)
            for row in by_content
            if row.block is not None
        ]
        for number, pieces in contents(self._storage, job.chain, wanted):
            yield from self._assembled(by_content[number], pieces)

    def _part(
        self, part: Range[VerifyFile], reader: Reader, chain: Chain, again: list[VerifyFile]
    ) -> t.Iterator[Finding]:
        """Check the files of a range. Those that an error keeps from being read go to ``again``."""
        chunks = RangeBytes(part, reader)
        for number, row in enumerate(part.files):
            try:
                problem = self._compare(row, chunks.take(row.stored), chain)
                if problem is None and row.alone and not chunks.at_end():
                    problem = Problem.CHECKSUM
            except TransportLostError:
                raise
            except StorageMissingError:
                for other in part.files[number:]:
                    yield Finding(Problem.MISSING, other.stored.path, other.name)
                return
            except FileReadError as cause:
                # It ends too early: nothing of the rest is there.
                for other in part.files[number:]:
                    yield Finding(Problem.CHECKSUM, other.stored.path, other.name, cause.message)
                return
            except (FormatError, CryptoError) as cause:
                yield Finding(Problem.CHECKSUM, row.stored.path, row.name, cause.message)
            except EngineError as cause:
                yield Finding(Problem.OTHER, row.stored.path, row.name, cause.message)
                again += part.files[number + 1 :]
                return
            else:
                if problem is not None:
                    yield Finding(problem, row.stored.path, row.name)

    def _compare(
        self, row: VerifyFile, chunks: t.Iterable[memoryview], chain: Chain
    ) -> Problem | None:
        if row.repo_checksum is not None or chain.encoding.is_plain:
            digest = hashlib.sha1()
            for chunk in chunks:
                digest.update(chunk)
                self._count(len(chunk))
            same = digest.hexdigest() == (row.repo_checksum or row.checksum)
            return None if same else Problem.CHECKSUM
        decoder = Decoder(chain.encoding, framing=row.stored.framing)
        for piece in decoder.stream(chunks, most=row.size):
            self._count(len(piece))
        if decoder.source_sha1 != row.checksum:
            return Problem.CHECKSUM
        return None if decoder.source_size == row.size else Problem.SIZE

    def _assembled(self, row: VerifyFile, pieces: t.Iterator[bytes]) -> t.Iterator[Finding]:
        """A block-incremental file of which more is to be known than a checksum of its own."""
        digest = hashlib.sha1()
        try:
            for data in pieces:
                digest.update(data)
                self._count(len(data))
        except TransportLostError:
            raise
        except EngineError as cause:
            problem = (
                Problem.MISSING if isinstance(cause, StorageMissingError) else Problem.CHECKSUM
            )
            yield Finding(problem, row.stored.path, row.name, cause.message)
            return
        if digest.hexdigest() != row.checksum:
            yield Finding(Problem.CHECKSUM, row.stored.path, row.name)

    # WAL.

    def _wal(self, job: WalJob) -> t.Iterator[tuple[StoredSegment, Reader]]:
        return self._opened((row, row.path, 0, None) for row in job.segments)

    def _segment(self, row: StoredSegment, cipher_pass: str | None, reader: Reader) -> Checked:
        head = b""
        try:
            with reader:
                encoding = Encoding(type_of_name(row.path).name, cipher_pass=cipher_pass)
                decoder = Decoder(encoding)
                for piece in decoder.stream(reader, most=wal.LARGEST):
                    if len(head) < wal.HEADER_SIZE:
                        head += piece[: wal.HEADER_SIZE]
                    self._count(len(piece))
        except TransportLostError:
            raise
        except StorageMissingError:
            return _wrong(row, Problem.MISSING)
        except (FormatError, CryptoError, FileReadError) as cause:
            return _wrong(row, Problem.CHECKSUM, cause.message)
        except EngineError as cause:
            return _wrong(row, Problem.OTHER, cause.message)
        if decoder.source_sha1 != row.sha1:
            return _wrong(row, Problem.CHECKSUM)
        try:
            size = wal.header(head).segment_size
        except EngineError as cause:
            return _wrong(row, Problem.OTHER, cause.message)
        if decoder.source_size != size:
            text = f"it has {decoder.source_size} bytes, its header says {size}"
            return _wrong(row, Problem.SIZE, text)
        return Checked(row, None, size)

    def _count(self, size: int) -> None:
        self._unreported += size
        if self._unreported >= REPORT_EVERY:
            self._report(self._unreported)
            self._unreported = 0


def _wrong(row: StoredSegment, problem: Problem, message: str = "") -> Checked:
    return Checked(row, Finding(problem, row.path, row.name, message), None)


def worker_setup(opener: Opener) -> Setup:
    """The set-up for a ``WorkerPool``: connect at once."""

    def setup(_number: int, report: t.Callable[[int], None], _word: None) -> Handler:
        return Checker(opener.patient_storage(), report)

    return setup
