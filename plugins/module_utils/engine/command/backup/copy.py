# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker process of a backup does: read, check pages, digest, compress, encrypt, send.

One pass over the bytes, bounded memory, no temporary copy. The worker holds one storage session of
its own, and at most one connection to the primary.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import typing as t

from ... import dependency
from ...config.options import Options
from ...postgres.node import Node, NodeFile
from ...repository import layout
from ...repository.block_encoder import BlockEncoder
from ...repository.blockmap import Chain
from ...repository.contents import Block
from ...storage.base import Completion, Publish, Storage, Writer
from ...storage.open import Opener
from ...storage.sessions import Sessions
from ...transform.compression import Framing
from ...transform.page_checksum import PageCheck
from ...transform.pipeline import Encoder, Encoding
from ...worker.serve import Deferred, Handler, Setup
from ..retry import Retrying
from ..verify.files import Checker, FilesJob
from .blocks import BlockEncoders, BlockRule
from .whose import Whose, opener_for

CHUNK = 1024 * 1024

# Bytes between two progress messages to the parent.
REPORT_EVERY = 16 * CHUNK


class PageRule(t.NamedTuple):
    """How to check the pages of a relation file."""

    page_size: int
    first_block: int
    replayed_from: int | None = None  # where the WAL of the backup begins


class SourceFile(t.NamedTuple):
    """One file to copy. ``limit`` bytes are read at most; None means up to its end."""

    name: str
    path: str
    size: int
    limit: int | None
    pages: PageRule | None
    unchanged: str | None = None  # checksum of the prior backup: equal means no need to store
    blocks: BlockRule | None = None  # None stores the file whole


class CopyJob(t.NamedTuple):
    """Files that one worker copies: into bundle ``bundle_id``, or each alone when that is 0."""

    node: int  # key of the cluster to read from
    stanza: str
    label: str
    extension: str
    encoding: Encoding
    framing: Framing
    bundle_id: int
    store_empty: bool
    files: tuple[SourceFile, ...]
    references: tuple[str, ...] = ()  # labels of the chain, this backup last; block maps count here
    fresh: bool = (
        False  # may change once more without a trace, until the second of the scan is over
    )

    @property
    def size(self) -> int:
        """Bytes to read, as the scan saw them."""
        return sum(file.size for file in self.files)


class Outcome(enum.Enum):
    """What became of a file."""

    COPIED = "copied"
    UNCHANGED = "unchanged"
    VANISHED = "vanished"


class CopiedFile(t.NamedTuple):
    """What the manifest has to say about a file; sizes in bytes, checksums as SHA-1 hex."""

    name: str
    outcome: Outcome
    size: int = 0
    checksum: str | None = None
    repo_size: int = 0
    repo_checksum: str | None = None
    bundle_id: int = 0
    bundle_offset: int = 0
    page_valid: bool | None = None
    page_errors: tuple[int | tuple[int, int], ...] = ()
    page_misaligned: bool = False
    block: Block | None = None
    again: bool = False  # holds a page that only the WAL of this backup puts right


class _Pending:
    """The files of a job whose last answers are still on their way."""

    def __init__(self, completions: list[Completion], files: list[CopiedFile]) -> None:
        self._completions = completions
        self._files = files

    def ready(self) -> bool:
        return all(completion.ready() for completion in self._completions)

    def result(self) -> list[CopiedFile]:
        for completion in self._completions:
            completion.wait()
        return self._files


class Copier:
    """The job handler of one worker."""

    def __init__(self, storage: Storage, open_node: t.Callable[[int], Node]) -> None:
        self._storage = storage
        self._open_node = open_node
        self._nodes: dict[int, Node] = {}
        self._report: t.Callable[[int], None] = lambda size: None
        self._unreported = 0

    def reporting(self, report: t.Callable[[int], None]) -> Copier:
        """Tell ``report`` how many bytes were read, now and then."""
        self._report = report
        return self

    def on(self, storage: Storage) -> Copier:
        """Go on with another session; connections to the primary stay."""
        self._storage = storage
        return self

    def __call__(self, job: CopyJob) -> Deferred[list[CopiedFile]]:
        node = self._nodes.get(job.node)
        if node is None:
            node = self._nodes[job.node] = self._open_node(job.node)
        chain = Chain(job.stanza, job.references, job.encoding)
        encoders = BlockEncoders(
            self._storage, chain, ((file.name, file.blocks) for file in job.files)
        )
        with contextlib.closing(encoders):
            if job.bundle_id:
                pending = self._bundle(job, node, encoders)
            else:
                pending = self._singles(job, node, encoders)
        self._flush_report()
        return pending

    def _bundle(self, job: CopyJob, node: Node, encoders: BlockEncoders) -> _Pending:
        path = layout.bundle_path(job.stanza, job.label, job.bundle_id)
        sink = _Sink(self._storage, path)
        copied = []
        for file in job.files:
            offset = sink.size
            result = self._file(job, node, file, sink, encoders)
            if result.repo_size:
                result = result._replace(bundle_id=job.bundle_id, bundle_offset=offset)
            copied.append(result)
        return _Pending(sink.finish(), copied)

    def _singles(self, job: CopyJob, node: Node, encoders: BlockEncoders) -> _Pending:
        completions: list[Completion] = []
        copied = []
        for file in job.files:
            if file.blocks is not None:
                path = layout.block_path(job.stanza, job.label, file.name)
            else:
                path = layout.data_path(job.stanza, job.label, file.name, job.extension)
            # Of a block-incremental file there may be little.
            most = file.size if file.blocks is None else 0
            sink = _Sink(self._storage, path, most)
            result = self._file(job, node, file, sink, encoders)
            copied.append(result)
            completions += sink.finish()
        return _Pending(completions, copied)

    def _file(
        self, job: CopyJob, node: Node, file: SourceFile, sink: _Sink, encoders: BlockEncoders
    ) -> CopiedFile:
        try:
            source = node.open_file(file.path)
        except FileNotFoundError:
            return CopiedFile(file.name, Outcome.VANISHED)
        with source:
            by_blocks = file.blocks is not None and file.blocks.prior is not None
            if file.unchanged is not None and file.size > _Sink.HOLD and not by_blocks:
                # What is stored could not be held back until its end: read twice, send less.
                if _checksum(source, file) == file.unchanged:
                    self._count(file.size)
                    return CopiedFile(file.name, Outcome.UNCHANGED, file.size, file.unchanged)
                source.seek(0)
            encoder: Encoder | BlockEncoder
            if file.blocks is None:
                encoder = Encoder(job.encoding, framing=job.framing)
            else:
                encoder = encoders.encoder(file.name, file.blocks, job.bundle_id, sink.size)
                if file.name in encoders.damaged:
                    file = file._replace(unchanged=None)
            pages = None
            if file.pages is not None:
                pages = PageCheck(
                    file.pages.page_size,
                    file.pages.first_block,
                    source.pread,
                    replayed_from=file.pages.replayed_from,
                )
            sink.begin(undecided=file.unchanged is not None)
            read = 0
            while file.limit is None or read < file.limit:
                want = CHUNK if file.limit is None else min(CHUNK, file.limit - read)
                data = source.read(want)
                if not data:
                    break
                read += len(data)
                if pages is not None:
                    pages.update(data)
                sink.put(encoder.update(data))
                self._count(len(data))
            tail = encoder.finish()
            # The last pages may have to be read again, so this belongs before the close.
            report = pages.finish() if pages is not None else None
        if read == 0 and not job.store_empty:
            return CopiedFile(file.name, Outcome.COPIED, page_valid=None if pages is None else True)
        if read == file.size and encoder.source_sha1 == file.unchanged and sink.forget():
            return CopiedFile(file.name, Outcome.UNCHANGED, read, encoder.source_sha1)
        sink.put(tail)
        sink.commit()
        result = CopiedFile(
            file.name,
            Outcome.COPIED,
            read,
            encoder.source_sha1,
            encoder.stored_size,
            encoder.stored_sha1,
            block=encoder.block if isinstance(encoder, BlockEncoder) else None,
        )
        if report is None:
            return result
        # Nobody knows whether a page that counts by its position is sound: the file is not bad, but
        # it has not been found good either, and so no later backup may have it for unchanged.
        unknown = report.valid and report.by_position
        return result._replace(
            page_valid=None if unknown else report.valid,
            page_errors=report.errors,
            page_misaligned=report.misaligned,
            again=report.by_position,
        )

    def _count(self, size: int) -> None:
        self._unreported += size
        if self._unreported >= REPORT_EVERY:
            self._flush_report()

    def _flush_report(self) -> None:
        if self._unreported:
            self._report(self._unreported)
            self._unreported = 0


def _checksum(source: NodeFile, file: SourceFile) -> str | None:
    """SHA-1 of the file as it is now; None when its size is another one."""
    digest = hashlib.sha1()
    left = file.size
    while left:
        data = source.read(min(CHUNK, left))
        if not data:
            return None
        left -= len(data)
        digest.update(data)
    return digest.hexdigest() if file.limit is not None or not source.read(1) else None


class _Sink:
    """Where stored bytes go. The file in the repository begins with the first of them.

    A file that may turn out to be empty or unchanged is held back until that is known, as long as
    what it became fits in ``HOLD`` bytes.
    """

    HOLD = CHUNK

    def __init__(self, storage: Storage, path: str, most: int = 0) -> None:
        self._storage = storage
        self._path = path
        self._most = most
        self._writer: Writer | None = None
        self._held: list[bytes] | None = None
        self._hold = 0
        self.size = 0

    def begin(self, *, undecided: bool) -> None:
        """Start the next file."""
        self._held = []
        self._hold = self.HOLD if undecided else 0

    def put(self, data: bytes) -> None:
        """Take stored bytes of the current file."""
        if self._held is None:
            self._send(data)
            return
        self._held.append(data)
        if sum(map(len, self._held)) > self._hold:
            self.commit()

    def commit(self) -> None:
        """Store what was held back; the file is in, even when it has no bytes at all."""
        if self._held is not None:
            data, self._held = b"".join(self._held), None
            self._send(data)

    def forget(self) -> bool:
        """Leave the current file out; False when some of it was stored already."""
        if self._held is None:
            return False
        self._held = None
        return True

    def finish(self) -> list[Completion]:
        """Begin to publish; nothing was stored when no file was committed."""
        return [self._writer.finish()] if self._writer is not None else []

    def _send(self, data: bytes) -> None:
        if self._writer is None:
            self._writer = self._storage.writer(self._path, publish=Publish.RENAME, most=self._most)
        if data:
            self._writer.write(data)
            self.size += len(data)


def worker_setup(
    opener: Opener, options: Options, open_node: t.Callable[[Options, int], Node]
) -> Setup:
    """The set-up for a ``WorkerPool``: connect at once, nodes when a job asks for them."""

    def setup(_number: int, report: t.Callable[[int], None], choice: Whose) -> Handler:
        chosen = opener_for(opener, choice)
        if options.compress_type == "zst":
            dependency.need_soon(dependency.zstandard)
        if options.checksum_page is not False:
            dependency.need_soon(dependency.numpy)
        sessions = Sessions(chosen.striping(options.process_max))

        def read(size: int) -> None:
            # A large file over a slow line takes longer than others wait for a session in silence.
            sessions.gets_on()
            report(size)

        copier = Copier(sessions.patient(), lambda key: open_node(options, key)).reporting(read)

        def handler(storage: Storage) -> Handler:
            copying, checking = copier.on(storage), Checker(storage, read)
            return lambda job: (checking if isinstance(job, FilesJob) else copying)(job)

        return Retrying(sessions, handler)

    return setup
