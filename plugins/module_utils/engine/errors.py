# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree of errors; every class carries the exit code that pgBackRest uses for the same cause.

A message names the cause first, in lower case and without a full stop. At most one hint follows,
which the formatted text shows as a ``HINT:`` line.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of everything that the engine raises on purpose."""

    code = 122

    # What to do next where the place that raises knows nothing better.
    usual_hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint

    @property
    def family(self) -> str:
        """The class as pgBackRest calls it; ours that tell more apart are below one of those."""
        known = [cls for cls in type(self).__mro__ if issubclass(cls, EngineError)]
        return known[-2 if len(known) > 1 else -1].__name__.rstrip("_")

    def __str__(self) -> str:
        return f"{self.message}\nHINT: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel from worker processes to their parent.
        return (_rebuild, (self.__class__, self.message, self.hint))


def _rebuild(cls: type[EngineError], message: str, hint: str | None) -> EngineError:
    error = cls.__new__(cls)
    EngineError.__init__(error, message, hint=hint)
    return error


class AssertError(EngineError):
    code = 25


class ChecksumError(EngineError):
    code = 26


class FileInvalidError(EngineError):
    code = 28


class FormatError(EngineError):
    code = 29


class CommandRequiredError(EngineError):
    code = 30


class OptionInvalidError(EngineError):
    code = 31
    usual_hint = "'pgsftp help COMMAND' shows the options of a command."


class OptionInvalidValueError(EngineError):
    code = 32
    usual_hint = "'pgsftp help COMMAND OPTION' tells what an option may be."


class OptionRequiredError(EngineError):
    code = 37
    usual_hint = "set it in the configuration file, or give it with the command."


class PostgresRunningError(EngineError):
    code = 38


class ProtocolError(EngineError):
    code = 39


class PathNotEmptyError(EngineError):
    code = 40


class FileOpenError(EngineError):
    code = 41


class FileReadError(EngineError):
    code = 42


class ParamRequiredError(EngineError):
    code = 43


class ArchiveMismatchError(EngineError):
    code = 44


class ArchiveDuplicateError(EngineError):
    code = 45


class VersionNotSupportedError(EngineError):
    code = 46


class PathCreateError(EngineError):
    code = 47


class CommandInvalidError(EngineError):
    code = 48


class HostConnectError(EngineError):
    code = 49


class LockAcquireError(EngineError):
    code = 50


class BackupMismatchError(EngineError):
    code = 51


class PathOpenError(EngineError):
    code = 53


class FileMissingError(EngineError):
    code = 55


class DbConnectError(EngineError):
    code = 56


class DbQueryError(EngineError):
    code = 57


class DbMismatchError(EngineError):
    code = 58


class FileRemoveError(EngineError):
    code = 60


class PathRemoveError(EngineError):
    code = 61


class StopError(EngineError):
    code = 62


class TermError(EngineError):
    code = 63


class FileWriteError(EngineError):
    code = 64


class FeatureNotSupportedError(EngineError):
    code = 67


class ArchiveCommandInvalidError(EngineError):
    code = 68


class LinkExpectedError(EngineError):
    code = 69


class LinkDestinationError(EngineError):
    code = 70
    usual_hint = "a link leads out of the data directory, to a place that no other link leads to."


class HostInvalidError(EngineError):
    code = 72


class PathMissingError(EngineError):
    code = 73


class BackupSetInvalidError(EngineError):
    code = 75


class TablespaceMapError(EngineError):
    code = 76


class LinkMapError(EngineError):
    code = 78


class DbMissingError(EngineError):
    code = 80


class DbInvalidError(EngineError):
    code = 81


class ArchiveTimeoutError(EngineError):
    code = 82


class ArchiveDisabledError(EngineError):
    code = 87


class FileOwnerError(EngineError):
    code = 88


class UserMissingError(EngineError):
    code = 89


class FileExistsError_(EngineError):
    code = 93


class CryptoError(EngineError):
    code = 95


class ParamInvalidError(EngineError):
    code = 96


class JsonFormatError(EngineError):
    code = 99


class ServiceError(EngineError):
    code = 101


class ExecuteError(EngineError):
    code = 102


class RepoInvalidError(EngineError):
    code = 103


class CommandError(EngineError):
    code = 104


class AccessError(EngineError):
    code = 105


class ClockError(EngineError):
    code = 106


class HostBusyError(HostConnectError):
    """A server answered and hung up before it knew who called: it has enough to do just now."""


# The five causes that a storage tells apart. None of them may ever be reported as another one.


class TransportLostError(HostConnectError):
    """The connection to the repository ended or fell silent; the repository itself may be fine."""


class StorageMissingError(FileMissingError):
    """The repository was reached and said that the file or directory is not there."""


class StorageAccessError(AccessError):
    """The repository was reached and refused, for want of permission."""


class StorageFullError(FileWriteError):
    """The repository has no room left (disk or quota)."""


class StorageLimitError(ServiceError):
    """A limit of the server was reached: open handles, sessions, connections."""

    usual_hint = "a smaller process-max needs less of it; or have the limit raised."


class StorageError(FileWriteError):
    """The repository refused for another reason, which the message quotes."""
