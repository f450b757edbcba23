# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of the archiver: a process with one session, which sends what it is given.

It lives as long as its session: when that is lost it says so and ends, and its successor sends
again what was on its way. Whatever is told as stored is durable under its final name.
"""

from __future__ import annotations

import collections
import os
import queue
import socket
import threading
import typing as t
from multiprocessing import reduction
from multiprocessing.connection import Connection

from .. import log
from ..command import archive_push, archived_file
from ..command.cipher import cipher_pass
from ..config.options import Options, RepoOptions
from ..errors import (
    AssertError,
    EngineError,
    FileMissingError,
    HostConnectError,
    StorageLimitError,
)
from ..postgres import control, ready, wal
from ..repository import archive_info, home
from ..repository.archive import Archive
from ..repository.archive_info import ArchiveInfo
from ..repository.twins import Loading
from ..storage.base import Completion, Done, Storage
from ..storage.open import Opener
from ..storage.sftp.storage import SftpStorage
from .lending import Lender, Sibling
from .pulse import Beat, Voice
from .queue import Identity, identity

# Files that a worker may hold: while the last answers of one are awaited, the next are sent.
JOBS = 8

# Seconds between two looks whether a session that nobody uses is still there.
LOOK = 1.0


class Opened(t.NamedTuple):
    """The session is there."""


class Stored(t.NamedTuple):
    """A file is durable; ``sent`` is false when it was there before. Size is in bytes."""

    name: str
    found: Identity
    sent: bool


class Refused(t.NamedTuple):
    """The repository, or the file itself, is the reason why it is not stored."""

    name: str
    error: EngineError


class Lost(t.NamedTuple):
    """The session is gone, or never came; the worker ends."""

    error: EngineError
    unfinished: frozenset[str] = frozenset()
    """Temporary files that it left in the repository."""


Message = t.Union[Beat, Opened, Stored, Refused, Lost]


class Lend(t.NamedTuple):
    """To a worker: a descriptor follows, that of somebody who wants to borrow a session."""


class BeginToLend(t.NamedTuple):
    """To a worker: it is to have a session to lend from now on."""


class Work(t.NamedTuple):
    """What a worker is told once."""

    options: Options
    repo: RepoOptions
    opener: Opener
    unfinished: frozenset[str] = frozenset()
    """Temporary files that lost sessions left, to be removed."""
    lends: bool = False
    """Whether it is to have a session to lend."""


class _Sent(t.NamedTuple):
    name: str
    found: Identity
    completion: Completion
    sent: bool


class _Ahead(t.NamedTuple):
    """A segment on its way, as if nothing spoke against it; it has no name before that is known."""

    name: str
    found: Identity
    archive: ArchiveInfo
    sending: archive_push.Sending


def serve(connection: Connection, work: Work) -> None:
    """The life of a worker: names come in, messages go out."""
    voice = Voice(connection)
    voice.beat(work.options.io_timeout)
    inbox: queue.SimpleQueue[str] = queue.SimpleQueue()
    lending = _Lending()
    threading.Thread(target=_receive, args=(connection, voice, inbox, lending), daemon=True).start()
    storage: Storage | None = None
    try:
        with work.opener.open() as storage:
            _remove(storage, work.unfinished)
            lending.storage = storage
            if work.lends:
                lending.begin()
            voice.send(Opened())
            _Worker(voice, inbox, work, storage).run()
    except EngineError as error:
        voice.send(Lost(error, frozenset() if storage is None else storage.unfinished))
    except (BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # a mistake of ours; the service goes on
        voice.send(Lost(AssertError(f"unexpected {type(error).__name__}: {error}")))


def _remove(storage: Storage, unfinished: t.Collection[str]) -> None:
    """Nobody else will: the server may still have had something to write to it."""
    try:
        if unfinished:
            storage.remove_many(unfinished)
    except HostConnectError:
        raise
    except EngineError as cause:
        log.detail("%s", cause.message)


class _Lending:
    """Lends sessions of the worker's connection, if it can have several."""

    def __init__(self) -> None:
        self.storage: Storage | None = None
        self._lender: Lender | None = None

    def begin(self) -> None:
        """Have one ready."""
        if self._lender is not None or not isinstance(self.storage, SftpStorage):
            return
        channel = self.storage.channel
        if channel.sibling is not None:
            self._lender = Lender(Sibling(channel.sibling, channel.software, channel.cipher))

    def lend(self, borrower: socket.socket) -> None:
        """Serve who waits at this socket, or hang up."""
        if self._lender is None:
            borrower.close()
        else:
            self._lender.lend(borrower)


def _receive(
    connection: Connection, voice: Voice, inbox: queue.SimpleQueue[str], lending: _Lending
) -> None:
    while True:
        try:
            told = connection.recv()
            if isinstance(told, Lend):
                lending.lend(socket.socket(fileno=reduction.recv_handle(connection)))
            elif isinstance(told, BeginToLend):
                lending.begin()
            else:
                inbox.put(told)
        except (EOFError, OSError):
            # The service is gone: its successor must not find us at work. What was not renamed yet
            # never will be.
            os._exit(0)
        except Exception as error:  # no thread to be had, no descriptor, a mistake of ours
            # Nobody listens from now on, and what the service gives us next would never be sent.
            try:
                left = frozenset() if lending.storage is None else lending.storage.unfinished
                wrong = AssertError(f"unexpected {type(error).__name__}: {error}")
                voice.send(Lost(wrong, left))
            finally:
                os._exit(1)


class _Worker:
    def __init__(
        self,
        voice: Voice,
        inbox: queue.SimpleQueue[str],
        work: Work,
        storage: Storage,
    ) -> None:
        self._voice = voice
        self._inbox = inbox
        self._options = work.options
        self._stanza = work.options.require_stanza()
        self._repo = work.repo
        self._storage = storage
        self._archive: ArchiveInfo | None = None
        # That one was in the archive already: so may be the next.
        self._was_there = False
        self._segments = Archive(storage, self._stanza)
        self._sent: collections.deque[_Sent] = collections.deque()

    def run(self) -> t.NoReturn:
        """Work until the session is lost, which is raised, or the service ends."""
        while True:
            if not self._sent or not self._inbox.empty():
                self._batch(self._arrived())
            self._collect()
            if self._sent and self._inbox.empty():
                self._finish(self._sent.popleft())

    def _collect(self) -> None:
        """Tell what has become durable meanwhile: somebody may be waiting for it."""
        while self._sent and self._sent[0].completion.ready():
            self._finish(self._sent.popleft())

    def _arrived(self) -> list[str]:
        names = [self._first()]
        while not self._inbox.empty():
            names.append(self._inbox.get())
        return names

    def _first(self) -> str:
        while True:
            try:
                return self._inbox.get(timeout=LOOK)
            except queue.Empty:
                if self._storage.ended:
                    # Which raises, and says why.
                    self._storage.info("")

    def _batch(self, names: list[str]) -> None:
        """Send some files; what the archive is and has is asked anew once for all of them."""
        ahead: _Ahead | None = None
        try:
            segments = list(filter(_is_segment, names))
            loading = self._ask(segments)
            ahead = self._begin(names)
            try:
                archive = self._answer(loading, segments)
            except StorageLimitError:
                if ahead is None:
                    raise
                # The answer needs the handle that the segment keeps.
                ahead.sending.writer.abort()
                ahead = None
                archive = self._answer(self._ask(segments), segments)
            archive_push.check_cluster(control.load(self._options.pg.path), archive)
            if ahead is not None and ahead.archive != archive:
                ahead.sending.writer.abort()
                ahead = None
        except HostConnectError:
            raise
        except EngineError as error:
            if ahead is not None:
                ahead.sending.writer.abort()
            for name in names:
                self._refuse(name, error)
            return
        for name in names:
            try:
                sent = self._send(name, archive) if ahead is None else self._conclude(ahead)
                self._was_there = not sent.sent
                self._sent.append(sent)
                self._collect()
            except HostConnectError:
                raise
            except EngineError as error:
                self._refuse(name, error)
            except OSError as cause:
                self._refuse(
                    name,
                    FileMissingError(
                        f"unable to read '{name}': {cause.strerror}",
                        hint="may the user who runs the archiver read it?",
                    ),
                )

    def _ask(self, names: list[str]) -> Loading[ArchiveInfo]:
        """Ask what the archive is, and which of these segments it has, without waiting."""
        loading = archive_info.begin(self._storage, self._stanza, cipher_pass(self._repo))
        self._segments.forget()
        if self._archive is not None:
            # It hardly ever changes, so the listing is asked for at the same time.
            self._segments.ask(self._archive.current.archive_id, names)
        return loading

    def _answer(self, loading: Loading[ArchiveInfo], names: list[str]) -> ArchiveInfo:
        archive = self._archive = loading.result()
        self._segments.find_many(archive.current.archive_id, names)
        return archive

    def _begin(self, names: list[str]) -> _Ahead | None:
        """Send a segment that comes alone while the archive is asked. None when that is not done.

        Of several, all would be sent again after a failover or from a second server that archives
        the same. What is wrong with this one is told by ``_send``, which finds it again.
        """
        archive = self._archive
        if archive is None or self._was_there or len(names) > 1 or not _is_segment(names[0]):
            return None
        path = os.path.join(ready.wal_directory(self._options.pg.path), names[0])
        try:
            found = identity(path)
            file = archive_push.examine(path)
            archive_push.check_cluster(control.load(self._options.pg.path), archive)
            if self._options.archive_header_check:
                archive_push.check_header(file, archive)
            sending = archive_push.begin(self._storage, self._stanza, archive, file, self._options)
        except HostConnectError:
            raise
        except (EngineError, OSError):
            return None
        return _Ahead(names[0], found, archive, sending)

    def _conclude(self, ahead: _Ahead) -> _Sent:
        """Give it its name, unless the archive has one of that name."""
        try:
            copies = self._segments.find(ahead.archive.current.archive_id, ahead.name)
            there = archive_push.is_stored(copies, ahead.sending.sha1, self._repo)
        except BaseException:
            ahead.sending.writer.abort()
            raise
        if there:
            ahead.sending.writer.abort()
            archive_push.settle(self._storage, self._stanza, ahead.archive, ahead.name)
            return _Sent(ahead.name, ahead.found, Done(), False)
        return _Sent(ahead.name, ahead.found, ahead.sending.finish(), True)

    def _send(self, name: str, archive: ArchiveInfo) -> _Sent:
        path = os.path.join(ready.wal_directory(self._options.pg.path), name)
        found = identity(path)
        file = archive_push.examine(path)
        if file.holds_wal:
            if self._options.archive_header_check:
                archive_push.check_header(file, archive)
            copies = self._segments.find(archive.current.archive_id, name)
            # Only what is to be compared is read for that.
            there = bool(copies) and archive_push.is_stored(
                copies, archive_push.digest(file), self._repo
            )
        else:
            asked = archived_file.ask(self._storage, self._stanza, archive, path, name)
            there = asked.is_stored(self._repo)
        if there:
            archive_push.settle(self._storage, self._stanza, archive, name)
            return _Sent(name, found, Done(), False)
        sending = archive_push.begin(self._storage, self._stanza, archive, file, self._options)
        return _Sent(name, found, sending.finish(), True)

    def _finish(self, sent: _Sent) -> None:
        try:
            sent.completion.wait()
        except HostConnectError:
            raise
        except EngineError as error:
            self._refuse(sent.name, error)
            return
        self._voice.send(Stored(sent.name, sent.found, sent.sent))
        if self._archive is not None:
            system_id = self._archive.current.system_id
            home.note(self._options.spool_path, self._stanza, self._options.pg.path, system_id)

    def _refuse(self, name: str, error: EngineError) -> None:
        self._voice.send(Refused(name, error))


def _is_segment(name: str) -> bool:
    return wal.is_segment(name) or wal.is_partial(name)
