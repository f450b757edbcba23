# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker process of a restore does: fetch, decrypt, decompress, write, check, make durable.

Neighbouring parts of a bundle are fetched as one range, and the next ranges are under way while one
is being written.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import functools
import hashlib
import io
import os
import stat
import typing as t
from concurrent.futures import Future

from ...errors import (
    ChecksumError,
    CryptoError,
    EngineError,
    FileOpenError,
    FileReadError,
    FormatError,
)
from ...repository.blockmap import Chain
from ...repository.contents import Block
from ...repository.stored import Stored
from ...storage.base import Reader, Storage
from ...storage.open import Opener
from ...transform.pipeline import Decoder
from ...worker.serve import CONNECTION_ERRORS, Deferred, Handler, RefusedError, Setup
from ..ranges import Range, RangeBytes, ranges
from .blocks import BlockFile, contents
from .flush import Flusher, Written, make_durable
from .trouble import advice, writing, written_wrong

CHUNK = 1024 * 1024
REPORT_EVERY = 16 * CHUNK

# Ranges opened ahead of the one that is being written.
RANGES_AHEAD = 8


class RestoreFile(t.NamedTuple):
    """One file to restore; ``mtime`` in epoch seconds, ``stored`` says where its bytes lie."""

    name: str
    target: str
    size: int
    checksum: str
    stored: Stored
    block: Block | None
    mode: int
    uid: int
    gid: int
    mtime: int


class Keep(enum.Enum):
    """Which existing files are as good as restored ones."""

    NONE = "none"
    SAME_CHECKSUM = "checksum"
    SAME_SIZE_AND_TIME = "time"


class RestoreJob(t.NamedTuple):
    """Files that one worker restores."""

    chain: Chain
    keep: Keep
    copy_start: int
    files: tuple[RestoreFile, ...]
    repo: int = 1
    """Key of the repository."""

    @property
    def size(self) -> int:
        """Bytes after restore."""
        return sum(file.size for file in self.files)


class RestoredFile(t.NamedTuple):
    """A file that now is as the backup has it; ``fetched`` is false when it already was."""

    name: str
    size: int
    fetched: bool


def is_same(existing: io.FileIO, file: RestoreFile, job: RestoreJob) -> bool:
    """Whether an open file has what the backup has; more may follow, of what was added since."""
    status = os.fstat(existing.fileno())
    if job.keep is Keep.SAME_SIZE_AND_TIME:
        return (
            status.st_size == file.size
            and int(status.st_mtime) == file.mtime
            and file.mtime < job.copy_start
        )
    if job.keep is Keep.NONE or status.st_size < file.size:
        return False
    digest = hashlib.sha1()
    left = file.size
    while left:
        data = existing.read(min(CHUNK, left))
        if not data:
            return False
        digest.update(data)
        left -= len(data)
    return digest.hexdigest() == file.checksum


class _Flushed:
    """The files of a job that are being flushed."""

    def __init__(self, files: list[RestoredFile], flushing: list[Future[None]]) -> None:
        self._files = files
        self._flushing = flushing

    def ready(self) -> bool:
        return all(flushed.done() for flushed in self._flushing)

    def result(self) -> list[RestoredFile]:
        for flushed in self._flushing:
            flushed.result()
        return self._files


class Fetcher:
    """The job handler of one worker."""

    def __init__(self, storage: t.Callable[[], Storage], report: t.Callable[[int], None]) -> None:
        self._storage = storage
        self._report = report
        self._unreported = 0
        self._flusher = Flusher()

    def __call__(self, job: RestoreJob) -> Deferred[list[RestoredFile]]:
        restored = []
        wanted = []
        for file in job.files:
            if self._kept(file, job):
                restored.append(RestoredFile(file.name, file.size, fetched=False))
                self._count(file.size)
            else:
                wanted.append(file)
        flushing = list(self._fetch([file for file in wanted if file.block is None], job))
        flushing += self._fetch_blocks([file for file in wanted if file.block is not None], job)
        restored += [RestoredFile(file.name, file.size, fetched=True) for file in wanted]
        if self._unreported:
            self._report(self._unreported)
            self._unreported = 0
        return _Flushed(restored, flushing)

    def _kept(self, file: RestoreFile, job: RestoreJob) -> bool:
        """Is what is there as the backup has it? Then only its attributes are put right."""
        if job.keep is Keep.NONE:
            return False
        try:
            # Its mode may forbid to write it, which is no reason to fetch it.
            descriptor = os.open(file.target, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        with writing(file.target), os.fdopen(descriptor, "rb", buffering=0) as existing:
            status = os.fstat(descriptor)
            if os.geteuid() not in (0, status.st_uid) or not is_same(existing, file, job):
                return False
            if status.st_size > file.size:
                os.fchmod(descriptor, 0o600)
                os.truncate(file.target, file.size)
            attributes(descriptor, file)
            if job.keep is Keep.SAME_CHECKSUM:
                # Who wrote it may not have waited for the disk, unlike who set its time.
                make_durable([Written(descriptor, file.mtime)])
            return True

    def _fetch(self, files: list[RestoreFile], job: RestoreJob) -> t.Iterator[Future[None]]:
        waiting = collections.deque(ranges(files))
        opened: collections.deque[tuple[Range[RestoreFile], Reader]] = collections.deque()
        while waiting or opened:
            while waiting and len(opened) < RANGES_AHEAD:
                part = waiting.popleft()
                reader = self._storage().reader(part.path, offset=part.offset, size=part.size)
                opened.append((part, reader))
            part, reader = opened.popleft()
            written: list[Written] = []
            try:
                stored = RangeBytes(part, reader)
                for file in part.files:
                    written.append(self._restore(file, stored, job))
            except BaseException as cause:
                for done in written:
                    os.close(done.descriptor)
                if isinstance(cause, OSError):
                    raise written_wrong(part.files[0].target, cause) from cause
                raise
            finally:
                reader.close()
            yield self._flusher.add(written, part.files[0].target)

    def _fetch_blocks(self, files: list[RestoreFile], job: RestoreJob) -> t.Iterator[Future[None]]:
        """Restore block-incremental files from the super blocks of all backups that they need."""
        wanted = [
            BlockFile(file.name, file.stored, file.block, file.size)
            for file in files
            if file.block is not None
        ]
        if not wanted:
            return
        for number, pieces in contents(self._storage(), job.chain, wanted):
            yield self._assemble(files[number], pieces)

    def _assemble(self, file: RestoreFile, pieces: t.Iterator[bytes]) -> Future[None]:
        digest = hashlib.sha1()
        size = 0
        descriptor = create(file.target)
        try:
            for data in pieces:
                digest.update(data)
                size += len(data)
                self._write(descriptor, data)
            _check(file, size, digest.hexdigest())
            attributes(descriptor, file)
        except (FormatError, CryptoError, FileReadError) as cause:
            os.close(descriptor)
            raise _damaged(file, cause) from cause
        except BaseException as cause:
            os.close(descriptor)
            if isinstance(cause, OSError):
                raise written_wrong(file.target, cause) from cause
            raise
        return self._flusher.add([Written(descriptor, file.mtime)], file.target)

    def _restore(self, file: RestoreFile, stored: RangeBytes, job: RestoreJob) -> Written:
        descriptor = create(file.target)
        try:
            decoder = Decoder(job.chain.encoding, framing=file.stored.framing)
            for data in decoder.stream(stored.take(file.stored), most=file.size):
                self._write(descriptor, data)
            _check(file, decoder.source_size, decoder.source_sha1)
            attributes(descriptor, file)
        except (FormatError, CryptoError, FileReadError) as cause:
            os.close(descriptor)
            raise _damaged(file, cause) from cause
        except BaseException:
            os.close(descriptor)
            raise
        return Written(descriptor, file.mtime)

    def _write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        self._count(len(data))

    def _count(self, size: int) -> None:
        self._unreported += size
        if self._unreported >= REPORT_EVERY:
            self._report(self._unreported)
            self._unreported = 0


def create(path: str) -> int:
    """A descriptor of the file, empty and open to be written; FileOpenError.

    One that is there is replaced, since its mode or its owner may forbid to write it. Where it
    cannot be, as in a directory of somebody else that a link leads to, it is overwritten.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with contextlib.suppress(OSError):
        os.unlink(path)
    try:
        return os.open(path, flags, 0o600)
    except OSError as cause:
        raise FileOpenError(
            f"unable to open '{path}': {cause.strerror}", hint=advice(path, cause)
        ) from cause


def _damaged(file: RestoreFile, cause: EngineError) -> EngineError:
    """The error of a decoder or reader, with the name of the file that it was about."""
    return type(cause)(
        f"'{file.name}' in the repository is damaged: {cause.message}",
        hint=f"'{file.stored.path}' holds it; is there another backup to restore?",
    )


def _check(file: RestoreFile, size: int, checksum: str) -> None:
    if (size, checksum) != (file.size, file.checksum):
        raise ChecksumError(
            f"'{file.name}' in the repository is damaged: size {size} and checksum {checksum}, but "
            f"the manifest has {file.size} and {file.checksum}",
            hint=f"'{file.stored.path}' holds it; is there another backup to restore?",
        )


def attributes(descriptor: int, file: RestoreFile) -> None:
    """Owner and mode as in the backup; only root gives files away.

    What is right already is left alone: a flush of a file that nobody touched costs nothing.
    """
    found = os.fstat(descriptor)
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (file.uid, file.gid):
        os.fchown(descriptor, file.uid, file.gid)
    if stat.S_IMODE(found.st_mode) != file.mode:
        os.fchmod(descriptor, file.mode)


class Login(enum.Enum):
    """When a worker connects; to several repositories always when it is needed."""

    AT_ONCE = "at once"
    WHEN_NEEDED = "when needed"


def worker_setup(openers: t.Mapping[int, Opener]) -> Setup:
    """The set-up for a ``WorkerPool``, which begins with a ``Login``."""

    def setup(_number: int, report: t.Callable[[int], None], login: Login) -> Handler:
        storages = {
            key: functools.cache(functools.partial(_log_in, opener))
            for key, opener in openers.items()
        }
        fetchers = {key: Fetcher(storage, report) for key, storage in storages.items()}
        if login is Login.AT_ONCE and len(storages) == 1:
            for storage in storages.values():
                storage()

        def handle(job: RestoreJob) -> Deferred[list[RestoredFile]]:
            return fetchers[job.repo](job)

        return handle

    return setup


def _log_in(opener: Opener) -> Storage:
    """The session of a worker; a server may grant fewer than there are workers."""
    try:
        return opener.owning().patient_storage()
    except CONNECTION_ERRORS as cause:
        raise RefusedError(cause) from cause
