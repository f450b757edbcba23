# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup asks of a running server, whether it is here or behind SSH.

``connection.Connection`` answers over libpq, ``remote.RemoteServer`` by asking the other node.
Values are tuples of plain types, since they travel between the two.
"""

from __future__ import annotations

import abc
import time
import typing as t

from ..errors import ArchiveTimeoutError, DbMismatchError
from .wal import lsn_parse

# Seconds between two looks at a standby that replays.
_PAUSE = 0.1
# A checkpoint of a standby goes as far as the last checkpoint that it replayed, so it may have to
# be asked for again.
_CHECKPOINT_EVERY = 2.0


class ServerFacts(t.NamedTuple):
    """What does not change while a server runs, apart from its role."""

    version_num: int  # 150004
    version: str  # '15'
    data_directory: str
    system_id: int
    in_recovery: bool
    archive_mode: str
    archive_command: str
    wal_segment_size: int  # bytes
    data_checksums: bool
    timeline: int
    checkpoint_lsn: str  # of the last checkpoint, or restart point, before the connection
    checkpoint_timeout: int  # seconds


class BackupStart(t.NamedTuple):
    """Where a backup begins; the time is the server's, in seconds since 1970."""

    lsn: str
    wal_segment: str
    timestamp: int


class BackupStop(t.NamedTuple):
    """Where a backup ends, and the files that it must contain."""

    lsn: str
    wal_segment: str
    backup_label: str
    tablespace_map: str
    timestamp: int


class Database(t.NamedTuple):
    """A database; ``last_system_oid`` is what manifests have carried for it since long ago."""

    name: str
    oid: int
    last_system_oid: int


class ReplayStatus(t.NamedTuple):
    """How far a standby is; positions are None on a primary."""

    replay_lsn: str | None
    receive_lsn: str | None
    checkpoint_lsn: str
    timeline: int


class Server(abc.ABC):
    """The verbs. All may raise DbConnectError (the session is gone) and DbQueryError."""

    @abc.abstractmethod
    def facts(self) -> ServerFacts:
        """What was found when the connection was made."""

    @abc.abstractmethod
    def now(self) -> float:
        """The server's clock, in seconds since 1970."""

    @abc.abstractmethod
    def in_recovery(self) -> bool:
        """Whether the server is a standby (or recovers) just now."""

    @abc.abstractmethod
    def start_backup(self, label: str, fast: bool) -> BackupStart:
        """Start a backup, which ends with this session at the latest.

        ``fast`` asks for an immediate checkpoint instead of waiting for the next one.
        """

    @abc.abstractmethod
    def stop_backup(self) -> BackupStop:
        """End the backup; does not wait for the archive."""

    @abc.abstractmethod
    def databases(self) -> list[Database]:
        """All databases, sorted by name."""

    @abc.abstractmethod
    def tablespaces(self) -> dict[int, str]:
        """Names of the tablespaces by oid."""

    @abc.abstractmethod
    def create_restore_point(self, name: str) -> str:
        """Write a named restore point into the WAL; gives its position."""

    @abc.abstractmethod
    def switch_wal(self) -> str:
        """Begin a new segment; gives the name of the one that was ended."""

    @abc.abstractmethod
    def current_wal_segment(self) -> str:
        """The segment that is being written (on a primary)."""

    @abc.abstractmethod
    def archived_wal(self) -> str | None:
        """The file for which archive_command succeeded last; None when the server does not know."""

    @abc.abstractmethod
    def replay_status(self) -> ReplayStatus:
        """How far a standby is."""

    @abc.abstractmethod
    def checkpoint(self) -> None:
        """Make a checkpoint, on a standby a restart point."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the session; a backup that was not stopped is aborted by the server."""

    def wait_replay(
        self,
        lsn: str,
        timeout: float,
        *,
        timeline: int | None = None,
        sleep: t.Callable[[float], None] = time.sleep,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> str:
        """Wait until a standby has replayed beyond ``lsn`` and made that durable; gives how far it
        is.

        The session must be older than that position: a standby that was already beyond it when the
        session began follows another primary.

        ``timeout`` (seconds) is how long there may be no progress. Raises ArchiveTimeoutError, and
        DbMismatchError when the server is no standby, or not one of that timeline.
        """
        target = lsn_parse(lsn)
        before = self.facts().checkpoint_lsn
        if lsn_parse(before) > target:
            raise DbMismatchError(
                f"standby checkpoint '{before}' is ahead of target '{lsn}'",
                hint="does the standby follow this primary?",
            )
        status = self._replayed(target, lsn, timeout, sleep, clock)
        self._checkpointed(target, lsn, timeout, sleep, clock)
        actual = self.replay_status().timeline
        if timeline not in (None, actual):
            raise DbMismatchError(
                f"standby is on timeline {actual} but expected {timeline}",
                hint="does the standby follow this primary?",
            )
        return status.replay_lsn or lsn

    def _replayed(
        self,
        target: int,
        lsn: str,
        timeout: float,
        sleep: t.Callable[[float], None],
        clock: t.Callable[[], float],
    ) -> ReplayStatus:
        deadline = clock() + timeout
        last = None
        while True:
            status = self.replay_status()
            if status.replay_lsn is None:
                raise DbMismatchError(
                    "the standby does not recover any more", hint="was it promoted?"
                )
            if lsn_parse(status.replay_lsn) > target:
                return status
            if status.replay_lsn != last:
                last = status.replay_lsn
                deadline = clock() + timeout
            elif clock() >= deadline:
                behind = target - lsn_parse(status.replay_lsn)
                raise ArchiveTimeoutError(
                    f"timeout before standby replayed to {lsn} - only reached {status.replay_lsn}"
                    f" ({behind} bytes behind) after {timeout:g}s without progress",
                    hint="is replication running and current on the standby? backup-standby=n"
                    " takes the backup from the primary.",
                )
            sleep(_PAUSE)

    def _checkpointed(
        self,
        target: int,
        lsn: str,
        timeout: float,
        sleep: t.Callable[[float], None],
        clock: t.Callable[[], float],
    ) -> None:
        deadline = clock() + timeout
        asked = None
        while True:
            if asked is None or clock() >= asked + _CHECKPOINT_EVERY:
                self.checkpoint()
                asked = clock()
            reached = self.replay_status().checkpoint_lsn
            if lsn_parse(reached) >= target:
                return
            if clock() >= deadline:
                raise ArchiveTimeoutError(
                    f"timeout before standby checkpoint lsn reached {lsn} - only reached {reached}",
                    hint="has the primary's last checkpoint been sent to the standby?",
                )
            sleep(_PAUSE)
