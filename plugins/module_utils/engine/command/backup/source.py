# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is backed up: a cluster that runs, or one that was stopped (``--no-online``)."""

from __future__ import annotations

import abc
import contextlib
import time
import typing as t

from ... import log
from ...config.options import Options
from ...errors import (
    ArchiveCommandInvalidError,
    ArchiveDisabledError,
    DbMismatchError,
    FeatureNotSupportedError,
    PostgresRunningError,
)
from ...postgres.entries import DataDirectory
from ...postgres.server import BackupStart, BackupStop, Database, ServerFacts
from ...postgres.wal import lsn_parse, lsn_text, segment_name, timeline_of
from ...repository.lock import Claim
from ..cluster import Cluster, connected, open_node

# Seconds of silence after which a session with a server gets a query.
HEARTBEAT = 30.0

WaitForWal = t.Callable[[t.Sequence[str]], None]
"""Returns when all segments of these names are in the archive."""


class Source(abc.ABC):
    """The cluster, as far as the steps of a backup differ."""

    online: bool

    def __init__(self, cluster: Cluster, options: Options) -> None:
        self.cluster = cluster
        self.options = options

    def scan(self) -> DataDirectory:
        """What lies in the data directory; what is left out is told to the log."""
        data = self.cluster.primary.scan(
            online=self.online, exclude=self.options.exclude, tablespaces=self._tablespaces()
        )
        for note in data.notes:
            (log.warn if note.level == "warn" else log.info)("%s", note.text)
        return data

    @property
    @abc.abstractmethod
    def checksum_page(self) -> bool:
        """Whether pages are checked when nobody says so."""

    @abc.abstractmethod
    def check(self) -> None:
        """Raise what would make the backup fail later."""

    @abc.abstractmethod
    def now(self) -> float:
        """The cluster's clock, in seconds since 1970."""

    @abc.abstractmethod
    def start(self, wait_for: WaitForWal) -> BackupStart | None:
        """Begin the backup; with archive-check, prove first that WAL arrives."""

    @abc.abstractmethod
    def stop(self) -> BackupStop | None:
        """End the backup."""

    @abc.abstractmethod
    def databases(self) -> t.Sequence[Database]:
        """For the manifest: those with a name that it can hold."""

    @abc.abstractmethod
    def keep_alive(self) -> None:
        """To be called now and then, so that no session ends because it is idle.

        Raises the errors of ``check_roles``.
        """

    @abc.abstractmethod
    def check_roles(self) -> None:
        """Raise DbMismatchError when a server is not any more what it was at the start.

        What was copied from a standby since its promotion has changes that are in no WAL of the
        primary.
        """

    @abc.abstractmethod
    def _tablespaces(self) -> t.Mapping[int, str] | None: ...


class OnlineSource(Source):
    """A cluster that runs; its files become consistent through the WAL of the time of the copy."""

    online = True

    def __init__(self, cluster: Cluster, options: Options) -> None:
        super().__init__(cluster, options)
        self.facts = cluster.primary.db.facts()
        self._heard = time.monotonic()

    @property
    def checksum_page(self) -> bool:
        return self.cluster.control.data_checksums

    def check(self) -> None:
        check_archiving(self.facts, self.options)

    def now(self) -> float:
        return self.cluster.primary.db.now()

    def start(self, wait_for: WaitForWal) -> BackupStart:
        db = self.cluster.primary.db
        before = db.current_wal_segment() if self.options.archive_check else None
        log.info(
            "execute non-exclusive backup start: backup begins after the %s checkpoint completes",
            "requested immediate" if self.options.start_fast else "next regular",
        )
        self._warn_of_timeout()
        text = f"pgBackRest backup started at {time.strftime('%Y-%m-%d %H:%M:%S')}"
        start = db.start_backup(text, self.options.start_fast)
        log.info("backup start archive = %s, lsn = %s", start.wal_segment, start.lsn)
        timeline = self._started(start)
        standby = self.cluster.standby
        if standby is not None or before == start.wal_segment:
            # Else a quiet primary would not end the segment that is waited for: the archive gets
            # whole ones, and so does a standby that is fed from there.
            db.create_restore_point("pgBackRest Archive Check")
            db.switch_wal()
        if standby is not None:
            log.info("wait for replay on the standby to reach %s", start.lsn)
            reached = standby.db.wait_replay(
                start.lsn, self.options.archive_timeout, timeline=timeline
            )
            log.info("replay on the standby reached %s", reached)
        if before is not None:
            log.info(
                "check archive for %ssegment %s", "prior " * (before != start.wal_segment), before
            )
            wait_for([before])
        return start

    def _warn_of_timeout(self) -> None:
        """Without start-fast the backup begins with a checkpoint that may be so far away."""
        spread, timeout = self.facts.checkpoint_timeout, self.options.db_timeout
        if not self.options.start_fast and timeout < spread:
            log.warn(
                "start-fast is disabled and db-timeout (%gs) is smaller than the PostgreSQL"
                " checkpoint_timeout (%ds) - timeout may occur before the backup starts",
                timeout,
                spread,
            )

    def _started(self, start: BackupStart) -> int:
        """The timeline, when what lies in the data directory is what the backup was started on."""
        control = self.cluster.primary.control()
        if control.checkpoint < lsn_parse(start.lsn):
            raise DbMismatchError(
                f"current checkpoint '{lsn_text(control.checkpoint)}' in pg_control is less than"
                f" backup start '{start.lsn}'",
                hint="does the server see the same storage as this host?",
            )
        timeline = timeline_of(start.wal_segment)
        if control.timeline != timeline:
            raise DbMismatchError(
                f"the backup starts on timeline {timeline}, but pg_control is of timeline"
                f" {control.timeline}",
                hint="does the server see the same storage as this host?",
            )
        return timeline

    def stop(self) -> BackupStop:
        log.info("execute non-exclusive backup stop and wait for all WAL segments to archive")
        stop = self.cluster.primary.db.stop_backup()
        # Servers differ in which segment they name where one ends and the next begins.
        timeline, last = timeline_of(stop.wal_segment), lsn_parse(stop.lsn) - 1
        stop = stop._replace(wal_segment=segment_name(timeline, last, self.facts.wal_segment_size))
        log.info("backup stop archive = %s, lsn = %s", stop.wal_segment, stop.lsn)
        return stop

    def databases(self) -> t.Sequence[Database]:
        return list(_named(self.cluster.primary.db.databases()))

    def keep_alive(self) -> None:
        if time.monotonic() - self._heard >= HEARTBEAT:
            self.check_roles()

    def check_roles(self) -> None:
        if self.cluster.primary.db.in_recovery():
            raise DbMismatchError(
                "the primary has become a standby during the backup",
                hint="back up again, when it is clear which server is the primary.",
            )
        if self.cluster.standby is not None and not self.cluster.standby.db.in_recovery():
            raise DbMismatchError(
                "the standby does not recover any more",
                hint="was it promoted during the backup? back up from the cluster that goes on.",
            )
        self._heard = time.monotonic()

    def _tablespaces(self) -> t.Mapping[int, str]:
        return self.cluster.primary.db.tablespaces()


class OfflineSource(Source):
    """A cluster that was stopped: nobody to ask, and the WAL that it needs is among its files."""

    online = False
    checksum_page = False
    """A cluster that crashed may have torn pages, so pages are checked only when asked for."""

    def check(self) -> None:
        """PostgresRunningError when it looks as if it ran, unless that was forced."""
        if _is_running(self.cluster):
            if not self.options.force:
                raise PostgresRunningError(
                    "--no-online passed but postmaster.pid exists - looks like PostgreSQL is"
                    " running",
                    hint="shut PostgreSQL down, or use --force.",
                )
            log.warn(
                "--no-online passed and postmaster.pid exists but --force was passed, so the backup"
                " goes on; it looks like PostgreSQL is running, and the backup will probably not be"
                " consistent"
            )

    def now(self) -> float:
        return time.time()

    def start(self, wait_for: WaitForWal) -> None:
        return None

    def stop(self) -> None:
        return None

    def databases(self) -> t.Sequence[Database]:
        return ()

    def keep_alive(self) -> None:
        return None

    def check_roles(self) -> None:
        return None

    def _tablespaces(self) -> None:
        return None


def _named(databases: t.Iterable[Database]) -> t.Iterator[Database]:
    """Leave out, aloud, what would spoil the manifest. All of the database is in the backup."""
    for row in databases:
        if "\n" in row.name:
            log.warn(
                "name %r of database %d contains a line feed, which the manifest cannot hold;"
                " restore knows the database by its number alone",
                row.name,
                row.oid,
            )
        else:
            yield row


def _is_running(cluster: Cluster) -> bool:
    try:
        cluster.primary.open_file("postmaster.pid").close()
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def opened(options: Options, claim: Claim | None = None) -> t.Iterator[Source]:
    """The source that the options ask for, with open sessions where it has any.

    The other hosts of the cluster hold the locks of ``claim`` until the end of the block.
    """
    with contextlib.ExitStack() as stack:
        if options.online:
            cluster = connected(options, standby=options.backup_standby, claim=claim)
            yield OnlineSource(stack.enter_context(cluster), options)
        else:
            node = open_node(options, options.pg.key, claim)
            stack.enter_context(contextlib.closing(node))
            yield OfflineSource(Cluster(node, node.control()), options)


def check_archiving(facts: ServerFacts, options: Options) -> None:
    """A backup needs its WAL: refuse at once where the server would not archive it."""
    if not options.archive_check:
        return
    if facts.archive_mode == "off":
        raise ArchiveDisabledError(
            "archive_mode must be enabled",
            hint="set archive_mode=on and restart PostgreSQL; --no-archive-check backs up without.",
        )
    if facts.archive_mode == "always" and options.archive_mode_check:
        raise FeatureNotSupportedError(
            "archive_mode=always not supported",
            hint="set archive_mode=on, or archive-mode-check=n if each host has its own stanza.",
        )
    if not any(name in facts.archive_command for name in ("pgsftp", "pgbackrest")):
        raise ArchiveCommandInvalidError(
            f"archive_command '{facts.archive_command or '[null]'}' must contain pgsftp or "
            "pgbackrest",
            hint="set archive_command='pgsftp --stanza=NAME archive-push %p' and reload.",
        )
