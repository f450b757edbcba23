# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a repository's options to a storage, in two steps.

``prepare`` reads what costs time or may be wrong on this side (key, passphrase, libraries) once,
before worker processes are forked; ``Opener.open`` connects, in each process for itself.
"""

from __future__ import annotations

import abc
import contextlib
import copy

from .. import dependency
from ..config.options import RepoOptions, SftpOptions
from ..errors import HostConnectError, OptionInvalidValueError, OptionRequiredError
from .base import Storage
from .posix import PosixStorage
from .resilient import ResilientStorage
from .sessions import Sessions
from .sftp import borrow, hostkey, login, session
from .sftp.borrow import Lender
from .sftp.channel import Channel
from .sftp.lanes import Lanes
from .sftp.login import Credentials
from .sftp.storage import SftpStorage

# The default of io-timeout, in seconds.
IO_TIMEOUT = 60.0


class Opener(abc.ABC):
    """Opens one repository's storage, as often as asked."""

    @abc.abstractmethod
    def open(self, generation: int = 0) -> Storage:
        """A storage of one's own; raises HostConnectError, ServiceError or ProtocolError.

        ``generation`` counts the sessions that the caller lost: what those may still do to a file
        must not touch the same file sent anew.
        """

    def striping(self) -> Opener:
        """The same for whoever writes large files: over distance they go in parts, through several
        connections at once.
        """
        return self

    def storage(self) -> Storage:
        """Connected, and connected again whenever that is lost; raises at once what is wrong."""
        return ResilientStorage(Sessions(self))

    def patient_storage(self) -> Storage:
        """``storage`` of a worker process: a server that is busy just now is asked again."""
        sessions = Sessions(self)
        sessions.patient()
        return ResilientStorage(sessions)


class _PosixOpener(Opener):
    def __init__(self, path: str) -> None:
        self._path = path

    def open(self, generation: int = 0) -> Storage:
        """See Opener; nothing can go wrong yet."""
        return PosixStorage(self._path, generation)


class _SftpOpener(Opener):
    def __init__(
        self, options: SftpOptions, path: str, credentials: Credentials, io_timeout: float
    ) -> None:
        self._options = options
        self._path = path
        self._credentials = credentials
        self._io_timeout = io_timeout
        self._check = hostkey.HostKeyCheck(options)
        self._striping = False

    def open(self, generation: int = 0) -> Storage:
        """See Opener."""
        lanes = Lanes(self._lane) if self._striping else None
        return SftpStorage(self._connect(), self._options.host, self._path, generation, lanes)

    def _connect(self) -> Channel:
        return session.connect(self._options, self._credentials, self._check, self._io_timeout)

    def _lane(self) -> Channel:
        channel = self._connect()
        channel.greet()
        return channel

    def striping(self) -> Opener:
        """See Opener."""
        other = copy.copy(self)
        other._striping = True
        return other


class _BorrowingOpener(Opener):
    """Borrows a session of the archiver, and connects itself where there is none, or none left."""

    def __init__(self, repo: RepoOptions, lender: Lender, io_timeout: float) -> None:
        self._repo = repo
        self._lender = lender
        self._io_timeout = io_timeout
        self._own: Opener | None = None

    def open(self, generation: int = 0) -> Storage:
        """See Opener."""
        if not generation and self._repo.sftp is not None:
            channel = borrow.borrow(self._lender, self._repo.sftp, self._io_timeout)
            if channel is not None:
                with contextlib.suppress(HostConnectError):
                    return SftpStorage(channel, self._repo.sftp.host, self._repo.path)
        if self._own is None:
            self._own = prepare(self._repo, io_timeout=self._io_timeout)
        return self._own.open(generation)


def prepare(repo: RepoOptions, *, io_timeout: float = IO_TIMEOUT) -> Opener:
    """Get ready to open a repository; does not connect.

    Raises ServiceError for a key or password file that cannot be used or a library that is missing.
    """
    if repo.type == "posix":
        return _PosixOpener(repo.path)
    if repo.type != "sftp":
        raise OptionInvalidValueError(
            f"'{repo.type}' is not valid for 'repo{repo.key}-type' option"
        )
    if repo.sftp is None:
        raise OptionRequiredError(
            f"repository {repo.key} requires option: repo{repo.key}-sftp-host"
        )
    dependency.paramiko()
    return _SftpOpener(repo.sftp, repo.path, login.prepare(repo.sftp), io_timeout)


def open_storage(
    repo: RepoOptions, *, io_timeout: float = IO_TIMEOUT, lender: Lender | None = None
) -> Storage:
    """For commands without workers: connected, and connected again whenever that is lost.

    With a ``lender`` a session of the archiver is borrowed, where it has one.
    """
    if lender is not None and repo.type == "sftp":
        return _BorrowingOpener(repo, lender, io_timeout).storage()
    return prepare(repo, io_timeout=io_timeout).storage()
