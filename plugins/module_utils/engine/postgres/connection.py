# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session with a server on this host, over libpq.

The connection is asynchronous inside, so that a signal interrupts a query that waits (for a
checkpoint, say) instead of being noticed after it; the query is then cancelled.
"""

from __future__ import annotations

import os
import select
import time
import typing as t

from ..config.options import PgOptions
from ..dependency import psycopg2
from ..errors import DbConnectError, DbQueryError, VersionNotSupportedError
from . import releases
from .server import BackupStart, BackupStop, Database, ReplayStatus, Server, ServerFacts

# Where distributions and PostgreSQL itself put the socket.
SOCKET_DIRECTORIES = ("/var/run/postgresql", "/tmp")

# Older servers name these functions otherwise.
OLDEST = 100000

_FACTS = """\
select current_setting('server_version_num')::int,
       (select setting from pg_settings where name = 'data_directory'),
       (select system_identifier from pg_control_system()),
       pg_is_in_recovery(),
       (select setting from pg_settings where name = 'archive_mode'),
       (select setting from pg_settings where name = 'archive_command'),
       pg_size_bytes(current_setting('wal_segment_size')),
       current_setting('data_checksums') = 'on',
       (select timeline_id from pg_control_checkpoint()),
       (select checkpoint_lsn::text from pg_control_checkpoint()),
       (select setting from pg_settings where name = 'checkpoint_timeout')::int"""

_DATABASES = """\
select datname, oid::bigint,
       coalesce((select oid::bigint from pg_database where datname = 'template0'), 0)
  from pg_database order by datname collate "C\""""

_REPLAY = """\
select pg_last_wal_replay_lsn()::text, pg_last_wal_receive_lsn()::text,
       checkpoint_lsn::text, timeline_id
  from pg_control_checkpoint()"""

# The backup functions lost their old ways, and got new names, in 15.
_RENAMED = 150000
_START = "select lsn::text, pg_walfile_name(lsn), {time} from pg_backup_start(%s, %s) as lsn"
_START_OLD = (
    "select lsn::text, pg_walfile_name(lsn), {time} from pg_start_backup(%s, %s, false) as lsn"
)
_STOP = "select lsn::text, pg_walfile_name(lsn), labelfile, spcmapfile, {time} from {function}"
# A cast rounds: a backup that ended half a second in the future is too late for its own second.
_TIME = "floor(extract(epoch from clock_timestamp()))::bigint"


def socket_directory(pg: PgOptions) -> str:
    """The directory of the server's socket: as configured, or where one is found."""
    if pg.socket_path is not None:
        return pg.socket_path
    for directory in SOCKET_DIRECTORIES:
        if os.path.exists(os.path.join(directory, f".s.PGSQL.{pg.port}")):
            return directory
    return SOCKET_DIRECTORIES[0]


def connect(pg: PgOptions, timeout: float, *, command: str = "backup") -> Connection:
    """Connect to the server of ``pg``; ``timeout`` (seconds) bounds this and every query.

    Raises DbConnectError, and VersionNotSupportedError for a server that is not known.
    """
    return Connection(pg, timeout, command=command)


class Connection(Server):
    """One session. A connection that failed stays closed."""

    def __init__(self, pg: PgOptions, timeout: float, *, command: str) -> None:
        self._timeout = timeout
        self._place = f"{socket_directory(pg)}:{pg.port}"
        self._driver = psycopg2()
        try:
            self._session = self._driver.connect(
                host=socket_directory(pg),
                port=pg.port,
                dbname=pg.database,
                user=pg.user or None,
                application_name=f"pgsftp [{command}]",
                client_encoding="UTF8",
                async_=True,
            )
            self._wait(time.monotonic() + timeout)
        except self._driver.Error as cause:
            raise _connect_error(self._place, str(cause), pg) from cause
        except DbQueryError as cause:
            raise DbConnectError(
                f"unable to connect to PostgreSQL at '{self._place}': no answer for {timeout:g}s",
                hint="is the server busy, stopped or frozen?",
            ) from cause
        try:
            self._facts = self._prepare()
        except BaseException:
            self.close()
            raise

    def facts(self) -> ServerFacts:
        return self._facts

    def now(self) -> float:
        return float(self._value("select extract(epoch from clock_timestamp())::float8"))

    def in_recovery(self) -> bool:
        return bool(self._value("select pg_is_in_recovery()"))

    def start_backup(self, label: str, fast: bool) -> BackupStart:
        text = _START if self._facts.version_num >= _RENAMED else _START_OLD
        return BackupStart(*self._row(text.format(time=_TIME), (label, fast)))

    def stop_backup(self) -> BackupStop:
        function = "pg_backup_stop(wait_for_archive => false)"
        if self._facts.version_num < _RENAMED:
            function = "pg_stop_backup(exclusive => false, wait_for_archive => false)"
        row = self._row(_STOP.format(function=function, time=_TIME))
        return BackupStop(row[0], row[1], row[2], row[3] or "", row[4])

    def databases(self) -> list[Database]:
        return [Database(*row) for row in self._rows(_DATABASES)]

    def tablespaces(self) -> dict[int, str]:
        rows = self._rows("select oid::bigint, spcname from pg_tablespace order by oid")
        return dict(rows)

    def create_restore_point(self, name: str) -> str:
        return str(self._value("select pg_create_restore_point(%s)::text", (name,)))

    def switch_wal(self) -> str:
        return str(self._value("select pg_walfile_name(pg_switch_wal())"))

    def current_wal_segment(self) -> str:
        return str(self._value("select pg_walfile_name(pg_current_wal_insert_lsn())"))

    def archived_wal(self) -> str | None:
        name = self._value("select last_archived_wal from pg_stat_archiver")
        return None if name is None else str(name)

    def replay_status(self) -> ReplayStatus:
        return ReplayStatus(*self._row(_REPLAY))

    def checkpoint(self) -> None:
        self._execute("checkpoint")

    def close(self) -> None:
        self._session.close()

    def _prepare(self) -> ServerFacts:
        # Nothing that the role or the database sets may change what our statements mean.
        self._execute("set search_path = 'pg_catalog'")
        number = int(self._value("select current_setting('server_version_num')"))
        if number < OLDEST:
            raise VersionNotSupportedError(
                f"the server at '{self._place}' is version {number // 10000}.{number // 100 % 100}",
                hint="backups are possible from PostgreSQL 10 on.",
            )
        release = releases.of_server(number)
        # The session is idle while files are copied, and that may take hours.
        self._execute("set max_parallel_workers_per_gather = 0")
        self._execute("set statement_timeout = 0")
        if number >= 140000:
            self._execute("set idle_session_timeout = 0")
        row = self._row(_FACTS)
        if None in row:
            raise DbQueryError(
                "unable to select some rows from pg_settings",
                hint="run as the owner of the cluster, or grant pg_read_all_settings to the role.",
            )
        return ServerFacts(
            version_num=row[0],
            version=release.version,
            data_directory=row[1],
            system_id=row[2] % 2**64,  # SQL has no unsigned numbers
            in_recovery=row[3],
            archive_mode=row[4],
            archive_command="" if row[5] == "(disabled)" else row[5],
            wal_segment_size=row[6],
            data_checksums=row[7],
            timeline=row[8],
            checkpoint_lsn=row[9],
            checkpoint_timeout=row[10],
        )

    def _value(self, statement: str, parameters: t.Sequence[object] = ()) -> t.Any:
        return self._row(statement, parameters)[0]

    def _row(self, statement: str, parameters: t.Sequence[object] = ()) -> t.Any:
        rows = self._rows(statement, parameters)
        if len(rows) != 1:
            raise DbQueryError(f"expected one row but got {len(rows)}")
        return rows[0]

    def _rows(self, statement: str, parameters: t.Sequence[object] = ()) -> list[t.Any]:
        cursor = self._execute(statement, parameters)
        rows: list[t.Any] = cursor.fetchall()
        return rows

    def _execute(self, statement: str, parameters: t.Sequence[object] = ()) -> t.Any:
        try:
            cursor = self._session.cursor()
            cursor.execute(statement, parameters or None)
            self._wait(time.monotonic() + self._timeout)
        except self._driver.Error as cause:
            raise self._query_error(cause) from cause
        return cursor

    def _wait(self, deadline: float) -> None:
        """Drive the connection until it is ready; cancel what runs when anything interrupts."""
        extensions = self._driver.extensions
        try:
            while True:
                state = self._session.poll()
                if state == extensions.POLL_OK:
                    return
                descriptor = [self._session.fileno()]
                reading = descriptor if state == extensions.POLL_READ else []
                writing = descriptor if state == extensions.POLL_WRITE else []
                left = deadline - time.monotonic()
                if left <= 0 or not any(select.select(reading, writing, [], left)):
                    raise DbQueryError(
                        f"query timed out after {self._timeout:g}s",
                        hint="db-timeout bounds how long a query may take.",
                    )
        except self._driver.Error:
            raise
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        try:
            self._session.cancel()
        except self._driver.Error:
            pass  # it ended by itself, or the server is gone
        self._session.close()

    def _query_error(self, cause: Exception) -> DbConnectError | DbQueryError:
        text = str(cause).strip() or "the server closed the connection"
        if self._session.closed:
            return DbConnectError(
                f"lost the connection to PostgreSQL at '{self._place}': {_first_line(text)}",
                hint="was the server stopped or restarted?",
            )
        hint = None
        if getattr(cause, "pgcode", None) == "42501":
            hint = "run as the owner of the cluster, or grant the right to the role."
        return DbQueryError(f"unable to execute query: {_first_line(text)}", hint=hint)


def _connect_error(place: str, text: str, pg: PgOptions) -> DbConnectError:
    cause = _first_line(text.rpartition(" failed: ")[2].strip() or text)
    if "authentication failed" in cause or "does not exist" in cause or "pg_hba" in cause:
        hint = f"run as the owner of the cluster, or set pg{pg.key}-user to a role it may use."
    elif "starting up" in cause or "shutting down" in cause or "recovery" in cause:
        hint = "try again when the server accepts connections."
    else:
        hint = (
            f"is the server running, with pg{pg.key}-port and pg{pg.key}-socket-path as configured?"
        )
        if pg.socket_path is None:
            hint += f" its socket was looked for in {' and '.join(SOCKET_DIRECTORIES)}."
    return DbConnectError(f"unable to connect to PostgreSQL at '{place}': {cause}", hint=hint)


def _first_line(text: str) -> str:
    line = text.split("\n", 1)[0].strip()
    for prefix in ("FATAL:", "ERROR:", "PANIC:"):
        if line.startswith(prefix):
            line = line[len(prefix) :].strip()
    return line
