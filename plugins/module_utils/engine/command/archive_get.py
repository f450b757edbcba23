# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive-get: fetch one WAL file for recovery (repository reference, section 6.3).

PostgreSQL takes exit code 1 for "not in the archive" and goes on with what it has. That is said
only when every repository was reached and does not have the file. A repository that cannot be
reached is asked again for as long as ``archive-timeout`` by a server that recovers, and then fails
with a code that stops it (see ``postgres.asking``): it must never end its recovery early because of
a network. A standby is told 1 at once: it asks again by itself, and meanwhile it may stream.
"""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import asdict, dataclass

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import (
    ArchiveDuplicateError,
    ChecksumError,
    CryptoError,
    EngineError,
    FileWriteError,
    FormatError,
    HostConnectError,
    ParamRequiredError,
    RepoInvalidError,
    StorageLimitError,
)
from ..postgres import control, wal
from ..postgres.asking import Asker, who_asks
from ..repository import archive_info, layout
from ..repository.archive import Archive
from ..repository.archive_info import ArchiveInfo
from ..storage.base import TEMPORARY_SUFFIX, Reader, Storage
from ..storage.open import open_storage
from ..storage.sftp.borrow import lender
from ..transform.compression import type_of_name
from ..transform.pipeline import Decoder, Encoding
from . import repositories, wal_path
from .cipher import cipher_pass

# What may be over the next moment: no connection, or no free place at the server.
UNREACHABLE = (HostConnectError, StorageLimitError)

# Seconds between two attempts, each twice as long as the one before.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0

_WITHOUT = " if one is gone for good, take it out of the configuration."

_DAMAGED = "the verify command shows what else is damaged; has another repository a whole one?"

# Far more than the history of any timeline takes, or the mark of a backup.
_SMALL = 16 * 1024 * 1024

# Seconds for which the next repository is not bothered while one has not answered yet.
HEAD_START = 2.0


@dataclass(frozen=True)
class GetResult:
    """Whether the archive has the file, and then from which repository it was copied.

    ``reached`` is false when that is not known of every repository.
    """

    name: str
    found: bool
    repo: int | None = None
    reached: bool = True

    @property
    def exit_code(self) -> int:
        """0 when it was copied, 1 when the server should go on without it, or ask again."""
        return 0 if self.found else 1

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class Stored(t.NamedTuple):
    """A copy of the file in a repository."""

    path: str
    sha1: str | None
    encoding: Encoding
    most: int
    """No file of its kind has more bytes."""
    size: int | None = None
    """Stored bytes, where that is known."""


class Located(t.NamedTuple):
    """An open repository, and where the file is in it; None: it has none."""

    storage: Storage
    stored: Stored | None


class _Unreachable(Exception):
    """Some repository could not be asked, and none of the others had the file."""

    def __init__(self, cause: EngineError) -> None:
        super().__init__(cause)
        self.cause = cause


def run(options: Options) -> GetResult:
    """Fetch the file named by the first parameter to the path of the second.

    Raises when any repository could not answer and none had the file.
    """
    who = who_asks(options.pg.path)
    deadline = time.monotonic() + options.archive_timeout
    pause = FIRST_PAUSE
    while True:
        try:
            # A standby asks again by itself, so that a session it loses is not waited for.
            left = deadline - time.monotonic()
            return _attempt(options, 0.0 if who is Asker.STANDBY else max(left, 0.0))
        except _Unreachable as failed:
            cause = failed.cause
            if who is Asker.STANDBY:
                log.warn("%s; the standby will ask again", cause.message)
                return GetResult(options.parameters[0], False, reached=False)
            if who is not Asker.RECOVERY:
                raise cause from None
            left = deadline - time.monotonic()
            if left <= 0:
                raise type(cause)(
                    f"{cause.message}; given up after {options.archive_timeout:g}s, and recovery"
                    " stops here",
                    hint="start the server again when the repository can be reached: it goes on."
                    + _WITHOUT * (len(options.repos) > 1),
                ) from None
            log.warn("%s; trying again in %gs", cause.message, pause)
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)


def _attempt(options: Options, patience: float) -> GetResult:
    """Once; a session that is lost is replaced for as long as ``patience`` (seconds) lasts."""
    stanza = options.require_stanza()
    if len(options.parameters) != 2:
        raise ParamRequiredError(
            "WAL segment to get and path to copy it to required",
            hint="set restore_command='pgsftp --stanza=NAME archive-get %f \"%p\"'.",
        )
    name, destination = options.parameters
    destination = wal_path.resolve(destination, options)
    found_control = control.load(options.pg.path)

    def look(repo: RepoOptions) -> Located:
        storage = open_storage(
            repo, io_timeout=options.io_timeout, lender=lender(options), patience=patience
        )
        try:
            archive = archive_info.load(storage, stanza, cipher_pass(repo))
            return Located(storage, find(storage, stanza, archive, found_control, name))
        except BaseException:
            storage.close()
            raise

    failures: list[tuple[RepoOptions, EngineError]] = []
    for outcome in repositories.in_turn(options.repos, look, head_start=HEAD_START):
        repo, cause = outcome.repo, outcome.failure
        if cause is not None:
            failures.append((repo, cause))
        if outcome.result is None:
            continue
        with outcome.result.storage as storage:
            if outcome.result.stored is None:
                continue
            try:
                fetch(storage, outcome.result.stored, destination)
            except EngineError as error:
                failures.append((repo, error))
                continue
            if failures:
                _tell(failures)
            log.info("found %s in the repo%d archive", name, repo.key)
            return GetResult(name, True, repo.key)
    if failures:
        combination, may_pass = combined(failures, len(options.repos))
        raise _Unreachable(combination) if may_pass else combination
    log.info("unable to find %s in the archive", name)
    return GetResult(name, False)


def _tell(failures: t.Sequence[tuple[RepoOptions, EngineError]]) -> None:
    """What is wrong with a repository is said although another one had the file."""
    for repo, cause in failures:
        log.warn("repo%d: %s", repo.key, cause.message)


def combined(
    failures: t.Sequence[tuple[RepoOptions, EngineError]], total: int
) -> tuple[EngineError, bool]:
    """The one error of all that went wrong, and whether it may pass: a connection failed."""
    cause = failures[0][1]
    unreachable = next(
        (error for _dummy, error in failures if isinstance(error, UNREACHABLE)), None
    )
    if total > 1:
        lines = "\n".join(f"repo{repo.key}: {error.message}" for repo, error in failures)
        kind = RepoInvalidError if unreachable is None else type(unreachable)
        cause = kind(f"unable to find a valid repository:\n{lines}")
    return cause, unreachable is not None


def find(
    storage: Storage,
    stanza: str,
    archive: ArchiveInfo,
    cluster: control.ControlData,
    name: str,
    segments: Archive | None = None,
) -> Stored | None:
    """Look for the file under every id that the cluster ever had, newest first.

    ``segments`` keeps listings from one look to the next. Raises
    ArchiveDuplicateError when copies with different content are there.
    """
    ids = [
        row.archive_id
        for row in reversed(archive.history)
        if (row.version, row.system_id) == (cluster.version, cluster.system_id)
    ]
    if not ids:
        raise RepoInvalidError(
            f"the archive has no history of PostgreSQL version {cluster.version}, system-id "
            f"{cluster.system_id}",
            hint="is this the right stanza for the data directory?",
        )
    if not (wal.is_segment(name) or wal.is_partial(name)):
        paths = [layout.wal_file_path(stanza, archive_id, name) for archive_id in ids]
        for path, found in zip(paths, storage.info_many(paths)):
            if found is not None:
                return Stored(path, None, Encoding(cipher_pass=archive.cipher_pass), _SMALL)
        return None
    segments = segments or Archive(storage, stanza)
    for archive_id in ids:
        copies = segments.find(archive_id, name)
        if len({copy.sha1 for copy in copies}) > 1:
            raise ArchiveDuplicateError(
                f"duplicates found for WAL segment {name}: "
                f"{', '.join(sorted(copy.path for copy in copies))}",
                hint="are multiple primaries archiving to this stanza?",
            )
        if copies:
            path, sha1 = copies[0].path, copies[0].sha1
            encoding = Encoding(type_of_name(path).name, cipher_pass=archive.cipher_pass)
            return Stored(path, sha1, encoding, cluster.wal_segment_size, copies[0].size)
    return None


def fetch(storage: Storage, stored: Stored, destination: str) -> None:
    """Copy to ``destination``, which appears only when the content is whole and checked."""
    with open_stored(storage, stored) as reader:
        copy(reader, stored, destination)


def open_stored(storage: Storage, stored: Stored) -> Reader:
    """The stored bytes, which are on their way from now on."""
    return storage.reader(stored.path, size=stored.size)


def copy(chunks: t.Iterable[bytes], stored: Stored, destination: str) -> None:
    """Write what the stored bytes stand for, as ``fetch`` does."""
    temporary = destination + TEMPORARY_SUFFIX
    decoder = Decoder(stored.encoding)
    try:
        with open(temporary, "wb") as file:
            for data in decoder.stream(chunks, most=stored.most):
                file.write(data)
        if stored.sha1 is not None and decoder.source_sha1 != stored.sha1:
            raise ChecksumError(
                f"'{stored.path}' in the archive is damaged: its content has checksum "
                f"{decoder.source_sha1}",
                hint=_DAMAGED,
            )
        os.replace(temporary, destination)
    except (CryptoError, FormatError) as cause:
        raise type(cause)(
            f"'{stored.path}' in the archive is damaged: {cause.message}",
            hint=cause.hint or _DAMAGED,
        ) from cause
    except OSError as cause:
        raise FileWriteError(
            f"unable to write '{destination}': {cause.strerror}",
            hint="is there room, and may the user who runs this write there?",
        ) from cause
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
