# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a repository's options to a storage, in two steps.

``prepare`` reads what costs time or may be wrong on this side (key, passphrase, libraries) once,
before worker processes are forked; ``Opener.open`` connects, in each process for itself. Where the
resident archiver has sessions to lend, nothing of that is needed before one of its own is.
"""

from __future__ import annotations

import abc
import contextlib
import copy
import functools
import typing as t

from .. import dependency
from ..config.options import RepoOptions, SftpOptions
from ..errors import HostConnectError, OptionInvalidValueError, OptionRequiredError
from .base import Storage
from .posix import PosixStorage
from .resilient import ResilientStorage
from .sessions import PATIENCE, Sessions
from .sftp import borrow, hostkey, login, session, throttle
from .sftp.borrow import Lender
from .sftp.channel import Channel
from .sftp.lanes import Lanes, share
from .sftp.login import Credentials
from .sftp.storage import SftpStorage
from .sftp.throttle import RateLimit
from .turns import Turns

# The default of io-timeout, in seconds.
IO_TIMEOUT = 60.0


class Opener(abc.ABC):
    """Opens one repository's storage, as often as asked."""

    def __init__(self) -> None:
        self.turns = Turns()
        """Shared with processes that are forked from now on."""

    @abc.abstractmethod
    def open(self, generation: int = 0) -> Storage:
        """A storage of one's own; raises HostConnectError, ServiceError or ProtocolError.

        ``generation`` counts the sessions that the caller lost.
        """

    def striping(self, processes: int) -> Opener:
        """The same for so many processes that write large files: over distance they go in parts,
        through several connections at once.
        """
        return self

    @property
    def borrows(self) -> bool:
        """Whether the first session is one of an archiver's, where that has one to lend."""
        return False

    def owning(self) -> Opener:
        """The same without borrowing, prepared; raises as ``prepare`` does."""
        return self

    def check(self) -> None:
        """Raise what ``owning`` raises, as far as that shows at little cost."""
        self.owning()

    def storage(self, patience: float = PATIENCE) -> Storage:
        """Connected, and connected again whenever that is lost, which is tried for ``patience``
        seconds; raises at once what is wrong.
        """
        return ResilientStorage(Sessions(self, patience=patience))

    def patient_storage(self) -> Storage:
        """``storage`` of a worker process: a server that is busy just now is asked again."""
        sessions = Sessions(self)
        sessions.patient()
        return ResilientStorage(sessions)


class _PosixOpener(Opener):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def open(self, generation: int = 0) -> Storage:
        """See Opener; nothing can go wrong yet."""
        return PosixStorage(self._path)


class _SftpOpener(Opener):
    def __init__(
        self,
        options: SftpOptions,
        path: str,
        credentials: Credentials,
        io_timeout: float,
        limit: RateLimit | None,
    ) -> None:
        super().__init__()
        self._options = options
        self._path = path
        self._credentials = credentials
        self._io_timeout = io_timeout
        self._limit = limit
        self._check = hostkey.HostKeyCheck(options)
        self._lanes = 0

    def open(self, generation: int = 0) -> Storage:
        """See Opener."""
        lanes = Lanes(self._lane, self._lanes, self._is_tight) if self._lanes else None
        return SftpStorage(self._connect(), self._options.host, self._path, generation, lanes)

    def _connect(self) -> Channel:
        return session.connect(
            self._options, self._credentials, self._check, self._io_timeout, self._limit
        )

    def _lane(self) -> Channel:
        started = self.turns.clock()
        try:
            channel = self._connect()
            channel.greet()
        except HostConnectError:
            # Then there is none for a process that waits for its session, either.
            self.turns.refused(started)
            raise
        return channel

    def _is_tight(self) -> bool:
        return self.turns.tight

    def striping(self, processes: int) -> Opener:
        """See Opener."""
        other = copy.copy(self)
        other._lanes = share(processes)
        return other


class _BorrowingOpener(Opener):
    """Borrows a session of the archiver, and connects itself where there is none, or none left."""

    def __init__(
        self,
        options: SftpOptions,
        path: str,
        lender: Lender,
        io_timeout: float,
        prepared: t.Callable[[], Opener],
    ) -> None:
        super().__init__()
        self._options = options
        self._path = path
        self._lender = lender
        self._io_timeout = io_timeout
        self._prepared = functools.cache(prepared)

    def open(self, generation: int = 0) -> Storage:
        """See Opener."""
        channel = None
        if not generation:
            channel = borrow.borrow(self._lender, self._options, self._io_timeout)
        if channel is not None:
            with contextlib.suppress(HostConnectError):
                return SftpStorage(channel, self._options.host, self._path, borrowed=True)
        return self.owning().open(generation)

    @property
    def borrows(self) -> bool:
        """See Opener."""
        return True

    def owning(self) -> Opener:
        """See Opener."""
        opener = self._prepared()
        opener.turns = self.turns
        return opener

    def check(self) -> None:
        """See Opener; loads a library only where the key has a passphrase, which may be wrong."""
        dependency.expect("cryptography", "paramiko")
        if not login.check(self._options):
            self.owning()

    def striping(self, processes: int) -> Opener:
        """See Opener; what is borrowed has no further connections."""
        other = copy.copy(self)
        other._prepared = functools.cache(lambda: self.owning().striping(processes))
        return other


def _borrowing(repo: RepoOptions, lender: Lender, io_timeout: float) -> Opener:
    def own() -> Opener:
        return prepare(repo, io_timeout=io_timeout)

    if repo.type != "sftp" or repo.sftp is None:
        return own()
    return _BorrowingOpener(repo.sftp, repo.path, lender, io_timeout, own)


def rate_limit(repo: RepoOptions) -> RateLimit | None:
    """What bounds the bytes per second to a repository, of this process and those it forks."""
    return None if repo.sftp is None else throttle.of(repo.sftp.rate_limit)


def prepare(
    repo: RepoOptions,
    *,
    io_timeout: float = IO_TIMEOUT,
    limit: RateLimit | None = None,
    lender: Lender | None = None,
) -> Opener:
    """Get ready to open a repository; does not connect.

    ``limit`` is the ``rate_limit`` to share with others; without one it is the opener's own. What
    is borrowed keeps to the limit of the ``lender``, an archiver: who has one of his own borrows
    nothing. Who does gets ready when he needs a session of his own.
    Raises ServiceError for a key or password file that cannot be used or a library that is missing.
    """
    if lender is not None and repo.sftp is not None and not repo.sftp.rate_limit:
        return _borrowing(repo, lender, io_timeout)
    if repo.type == "posix":
        return _PosixOpener(repo.path)
    if repo.type != "sftp":
        raise OptionInvalidValueError(
            f"'{repo.type}' is not valid for 'repo{repo.key}-type' option",
            hint="the types are posix and sftp.",
        )
    if repo.sftp is None:
        raise OptionRequiredError(
            f"repository {repo.key} requires option: repo{repo.key}-sftp-host"
        )
    dependency.paramiko()
    credentials = login.prepare(repo.sftp)
    return _SftpOpener(repo.sftp, repo.path, credentials, io_timeout, limit or rate_limit(repo))


def open_storage(
    repo: RepoOptions,
    *,
    io_timeout: float = IO_TIMEOUT,
    lender: Lender | None = None,
    patience: float = PATIENCE,
) -> Storage:
    """For commands without workers: connected, and connected again whenever that is lost, which is
    tried for ``patience`` seconds.

    With a ``lender`` a session of the archiver is borrowed, where it has one, also with a limit of
    bytes per second: such commands move few.
    """
    if lender is not None:
        return _borrowing(repo, lender, io_timeout).storage(patience)
    return prepare(repo, io_timeout=io_timeout).storage(patience)
