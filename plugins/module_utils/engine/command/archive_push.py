# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive-push: put one WAL file into every repository (repository reference, section 6.2).

Success means that the file is durable under its final name in all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from dataclasses import asdict, dataclass

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import (
    ArchiveDuplicateError,
    ArchiveMismatchError,
    CommandError,
    EngineError,
    FileMissingError,
    FileReadError,
    FormatError,
    ParamRequiredError,
    VersionNotSupportedError,
)
from ..postgres import control, ready, wal
from ..repository import archive_info, home, layout, lock
from ..repository.archive import Archive, StoredSegment
from ..repository.archive_info import ArchiveInfo
from ..storage.base import Completion, Publish, Storage, Writer, parent
from ..storage.open import prepare
from ..storage.sessions import Sessions, repeated
from ..transform.compression import compress_type
from ..transform.pipeline import Digests, Encoder, Encoding
from ..worker.progress import size_text
from . import archived_file, repositories, wal_path
from .cipher import cipher_pass

CHUNK = 1024 * 1024
HEADER_SIZE = 512

# What is wrong with the file, or with what the archive has in its place.
_REFUSALS = (
    ArchiveDuplicateError,
    ArchiveMismatchError,
    FileReadError,
    FormatError,
    VersionNotSupportedError,
)


@dataclass(frozen=True)
class PushResult:
    """What became of the file; ``stored`` is false where it was there already, or dropped."""

    name: str
    stored: bool
    dropped: bool = False

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class WalFile:
    """A file of WAL to be stored: where it is, and what PostgreSQL calls it."""

    path: str
    name: str

    @property
    def holds_wal(self) -> bool:
        """Whether it is a segment, complete or partial, whose digest is part of its stored name."""
        return ready.holds_wal(self.name)


class Sending(t.NamedTuple):
    """All of a file on its way; it has no name in the archive yet."""

    writer: Writer
    name: str
    """What it will be called in its directory of the archive."""
    sha1: str

    def finish(self) -> Completion:
        """Give it its name; it is durable under that when the completion says so."""
        return self.writer.finish(name=self.name)


def run(options: Options) -> PushResult:
    """Push the file named by the parameter; raises what kept any repository from having it."""
    path = _source(options)
    name = os.path.basename(path)
    lock.check_stop(options.lock_path, options.require_stanza())
    if ready.holds_wal(name) and is_dropped(path, options):
        return PushResult(name, stored=False, dropped=True)
    try:
        stored = _store(path, options)
    except EngineError as cause:
        # The others are small, so that they are worth a try; but WAL waits behind them.
        if not ready.holds_wal(name) and is_dropped(path, options):
            log.warn("WAL file '%s' could not be stored: %s", name, cause.message)
            return PushResult(name, stored=False, dropped=True)
        raise
    if stored:
        log.info("pushed WAL file '%s' to the archive", name)
    return PushResult(name, stored)


def _store(path: str, options: Options) -> bool:
    """Put the file into all repositories; false where all had it."""
    stanza = options.require_stanza()
    file = examine(path)
    cluster = control.load(options.pg.path) if options.pgs else None

    def one(repo: RepoOptions) -> bool:
        def attempt(storage: Storage) -> bool:
            archive = archive_info.load(storage, stanza, cipher_pass(repo))
            if cluster is not None:
                check_cluster(cluster, archive)
            if file.holds_wal and options.archive_header_check:
                check_header(file, archive)
            again = sessions.generation > 0
            return push(storage, stanza, archive, file, options, repo, again=again)

        # For another session it is read again: a segment may have a gigabyte, too much to be kept.
        with contextlib.closing(Sessions(prepare(repo, io_timeout=options.io_timeout))) as sessions:
            return repeated(sessions, attempt)

    outcomes = repositories.at_once(options.repos, one)
    failures = [(row.repo, row.failure) for row in outcomes]
    failed = [(repo, cause) for repo, cause in failures if cause is not None]
    if failed:
        raise combined([(f"repo{repo.key}", cause) for repo, cause in failed], len(options.repos))
    if cluster is not None:
        home.note(options.spool_path, stanza, options.pg.path, cluster.system_id)
    return any(row.result for row in outcomes)


def _source(options: Options) -> str:
    if len(options.parameters) != 1:
        raise ParamRequiredError(
            "WAL segment to push required",
            hint="set archive_command='pgsftp --stanza=NAME archive-push %p'.",
        )
    return wal_path.resolve(options.parameters[0], options)


def is_dropped(
    path: str,
    options: Options,
    lacking: t.Callable[[t.Collection[str]], t.Collection[str]] | None = None,
) -> bool:
    """Whether the file is given up, since more waits behind it than the operator lets wait.

    No repository is asked before: they may be what the queue waits for. Whoever knows which files
    are not stored yet gives them with ``lacking``, out of those that PostgreSQL has ready.

    A history or a label counts, too, when it cannot be stored: PostgreSQL asks for a history before
    anything else, and for nothing else before it is done.
    """
    name = os.path.basename(path)
    maximum = options.archive_push_queue_max
    if maximum is None or not options.pgs:
        return False
    try:
        size = os.path.getsize(path)
        if not ready.holds_wal(name):
            size = control.load(options.pg.path).wal_segment_size
    except (OSError, EngineError):
        return False
    names: t.Collection[str] = ready.scan(options.pg.path).names
    if lacking is not None:
        names = lacking(names)
    if not ready.overflows(names, size, maximum):
        return False
    log.warn("%s", dropped_text(name, maximum))
    return True


def dropped_text(name: str, maximum: int) -> str:
    """What to tell of a file that was dropped; ``maximum`` is the limit in bytes."""
    said = f"dropped WAL file '{name}' because archive queue exceeded {size_text(maximum)}\n"
    if wal.is_history(name):
        return (
            f"{said}HINT: recovery along its timeline begins with the next backup, which will be a"
            " full one."
        )
    if not ready.holds_wal(name):
        return f"{said}HINT: no recovery needs it: WAL waited behind it."
    return (
        f"{said}HINT: recovery to a point after it begins with the next backup, which will be a"
        " full one."
    )


def examine(path: str) -> WalFile:
    """The file, which can be read; FileMissingError or FileReadError when it cannot."""
    with _reading(path):
        pass
    return WalFile(path, os.path.basename(path))


def digest(file: WalFile) -> str:
    """SHA-1 of the file, in hex."""
    found = hashlib.sha1()
    with _reading(file.path) as source:
        for data in iter(lambda: source.read(CHUNK), b""):
            found.update(data)
    return found.hexdigest()


@contextlib.contextmanager
def _reading(path: str) -> t.Iterator[t.BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as cause:
        raise FileMissingError(
            f"unable to open missing file '{path}' for read",
            hint="archive_command must pass on the path that PostgreSQL gives it as %p.",
        ) from cause
    except OSError as cause:
        raise FileReadError(
            f"unable to read '{path}': {cause.strerror}", hint="may the user who runs this read it?"
        ) from cause


def check_cluster(found: control.ControlData, archive: ArchiveInfo) -> None:
    """The cluster of pg1-path must be the one of the stanza; else ArchiveMismatchError."""
    current = archive.current
    if (found.version, found.system_id) != (current.version, current.system_id):
        raise ArchiveMismatchError(
            f"PostgreSQL version {found.version}, system-id {found.system_id} do not match stanza "
            f"version {current.version}, system-id {current.system_id}",
            hint="are you archiving to the correct stanza?",
        )


def check_header(file: WalFile, archive: ArchiveInfo) -> None:
    """The segment must be of the stanza's cluster; else ArchiveMismatchError, or what
    ``wal.header`` raises for what is no segment.
    """
    with _reading(file.path) as source:
        head = source.read(HEADER_SIZE)
    try:
        header = wal.header(head)
    except (FileReadError, FormatError, VersionNotSupportedError) as cause:
        raise type(cause)(
            f"WAL file '{file.path}' cannot be archived: {cause.message}",
            hint=cause.hint or "was it cut short, or written by something other than PostgreSQL?",
        ) from cause
    current = archive.current
    if (header.version, header.system_id) != (current.version, current.system_id):
        raise ArchiveMismatchError(
            f"WAL file '{file.path}' version {header.version}, system-id {header.system_id} do "
            f"not match stanza version {current.version}, system-id {current.system_id}",
            hint="are you archiving to the correct stanza?",
        )


def push(
    storage: Storage,
    stanza: str,
    archive: ArchiveInfo,
    file: WalFile,
    options: Options,
    repo: RepoOptions,
    *,
    again: bool = False,
) -> bool:
    """Store the file unless the archive has it; true when it was stored, if only by an attempt
    before this one, which is made ``again``: its session was lost.

    Raises ArchiveDuplicateError, and leaves the stored one untouched, when a file of that name with
    other content is there. The bytes are on their way while the archive is asked, but get no name
    before it has answered.
    """
    archive_id = archive.current.archive_id
    segments = Archive(storage, stanza)
    asked = None
    # First, since a server may grant a single handle, which the file keeps until it is finished.
    if file.holds_wal:
        segments.ask(archive_id, [file.name])
    else:
        asked = archived_file.ask(storage, stanza, archive, file.path, file.name)
    sending = begin(storage, stanza, archive, file, options)
    try:
        if asked is not None:
            there = asked.is_stored(repo)
        else:
            there = is_stored(segments.find(archive_id, file.name), sending.sha1, repo)
    except BaseException:
        sending.writer.abort()
        raise
    if there:
        sending.writer.abort()
        settle(storage, stanza, archive, file.name)
        if file.holds_wal and options.archive_mode_check and not again:
            log.warn("%s", duplicate_text(file.name, repo.key))
        return again
    sending.finish().wait()
    return True


def settle(storage: Storage, stanza: str, archive: ArchiveInfo, name: str) -> None:
    """Have a name be durable that a file has already, as far as the storage can.

    Whoever gave it may have been ended just then: a name that can be seen may be gone after a crash
    of the host, and the segment with it, when PostgreSQL has heard that it is archived.
    """
    storage.sync_path(parent(layout.wal_file_path(stanza, archive.current.archive_id, name)))


def duplicate_text(name: str, repo: int) -> str:
    """What to tell of a segment that repository number ``repo`` has already."""
    return (
        f"WAL file '{name}' already exists in the repo{repo} archive with the same checksum\n"
        "HINT: this is valid in some recovery scenarios but may also indicate a problem."
    )


def is_stored(copies: t.Sequence[StoredSegment], sha1: str, repo: RepoOptions) -> bool:
    """Whether the archive, which has these copies of a segment, has the one with this digest.

    Raises ArchiveDuplicateError when it has one of that name with other content.
    """
    if not copies:
        return False
    if len(copies) > 1:
        raise ArchiveDuplicateError(
            f"duplicates found in the repo{repo.key} archive for WAL segment {copies[0].name}: "
            f"{', '.join(sorted(copy.sha1 for copy in copies))}",
            hint="are multiple primaries archiving to this stanza?",
        )
    if copies[0].sha1 != sha1:
        raise ArchiveDuplicateError(
            f"WAL file '{copies[0].name}' already exists in the repo{repo.key} archive with a "
            f"different checksum: stored {copies[0].sha1}, pushed {sha1}",
            hint="are multiple primaries archiving to this stanza?",
        )
    return True


def begin(
    storage: Storage, stanza: str, archive: ArchiveInfo, file: WalFile, options: Options
) -> Sending:
    """Have all of the file on its way; it gets its name when that is finished.

    It is read once: its digest is known, and with that its name, when all of it is sent. Raises
    FileMissingError, and FileReadError for one that cannot be read, or changes meanwhile.
    """
    path = layout.wal_file_path(stanza, archive.current.archive_id, file.name)
    if not file.holds_wal:
        writer, sha1 = _fill(storage, path, file, Encoding(cipher_pass=archive.cipher_pass))
        return Sending(writer, file.name, sha1)
    encoding = Encoding(options.compress_type, options.compress_level, archive.cipher_pass)
    writer, sha1 = _fill(storage, path, file, encoding)
    extension = compress_type(options.compress_type).extension
    return Sending(writer, layout.segment_name(file.name, sha1, extension), sha1)


def _fill(storage: Storage, path: str, file: WalFile, encoding: Encoding) -> tuple[Writer, str]:
    """A writer that has taken all of the file, and the file's SHA-1."""
    encoder = Encoder(encoding, digests=Digests.SOURCE)
    with _reading(file.path) as source:
        before = os.fstat(source.fileno())
        writer = storage.writer(path, publish=Publish.RENAME)
        try:
            for data in iter(lambda: source.read(CHUNK), b""):
                writer.write(encoder.update(data))
            writer.write(encoder.finish())
            after = os.fstat(source.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise FileReadError(
                    f"'{file.path}' changed while it was pushed",
                    hint="PostgreSQL leaves such a segment alone: what else writes to it?",
                )
        except BaseException:
            writer.abort()
            raise
    return writer, encoder.source_sha1


def combined(failures: t.Sequence[tuple[str, EngineError]], total: int) -> EngineError:
    """The one error of what went wrong with some of ``total`` repositories, each by its name.

    Where they refuse the file itself, and all for the same cause, asking again changes nothing: the
    error is that cause with what can be done about it.
    """
    cause = failures[0][1]
    if total == 1:
        return cause
    lines = "\n".join(f"{name}: {row.message}" for name, row in failures)
    error = CommandError(
        f"archive-push failed on {len(failures)} of {total} repositories:\n{lines}",
        hint="PostgreSQL keeps the segment, and asks again until every repository has it.",
    )
    if isinstance(cause, _REFUSALS) and {type(row) for _name, row in failures} == {type(cause)}:
        return type(cause)(error.message, hint=cause.hint)
    return error
