# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is asked, by its version: the functions of backups have other names from 15 on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import PgOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    VersionNotSupportedError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import connection
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    BackupStart,
    BackupStop,
)

SEGMENT = "000000010000000000000003"
SECOND = "floor(extract(epoch from clock_timestamp()))::bigint"


class Session:
    """A session of libpq with a server that answers at once."""

    closed = 0

    def __init__(self, version):
        self.version = version
        self.said = []

    def poll(self):
        return 0

    def close(self):
        self.closed = 1

    def cursor(self):
        return Cursor(self)


class Cursor:
    def __init__(self, session):
        self._session = session

    def execute(self, statement, parameters):
        self._session.said.append((statement, parameters))

    def fetchall(self):
        statement = self._session.said[-1][0]
        if statement == "select current_setting('server_version_num')":
            return [(str(self._session.version),)]
        if "data_directory" in statement:
            facts = ("/data", -1, False, "on", "true", 16 << 20, True, 1, "0/3000060", 300)
            return [(self._session.version, *facts)]
        if "labelfile" in statement:
            return [("0/3000100", SEGMENT, "START WAL LOCATION", None, 1700000001)]
        return [("0/3000028", SEGMENT, 1700000000)]


@pytest.fixture
def connect(monkeypatch):
    """A connection to a server of that version, and what it is told from then on."""

    def to(version):
        session = Session(version)
        driver = SimpleNamespace(
            Error=RuntimeError,
            extensions=SimpleNamespace(POLL_OK=0, POLL_READ=1, POLL_WRITE=2),
            connect=lambda **_options: session,
        )
        monkeypatch.setattr(connection, "psycopg2", lambda: driver)
        made = connection.connect(PgOptions("/data", socket_path="/run"), 1.0)
        begun, session.said = session.said, []
        return made, session.said, begun

    return to


@pytest.mark.parametrize(
    ("version", "start", "stop"),
    [
        (
            100000,
            "pg_start_backup(%s, %s, false)",
            "pg_stop_backup(exclusive => false, wait_for_archive => false)",
        ),
        (
            140000,
            "pg_start_backup(%s, %s, false)",
            "pg_stop_backup(exclusive => false, wait_for_archive => false)",
        ),
        (150000, "pg_backup_start(%s, %s)", "pg_backup_stop(wait_for_archive => false)"),
        (170004, "pg_backup_start(%s, %s)", "pg_backup_stop(wait_for_archive => false)"),
    ],
)
def test_a_backup_is_never_exclusive_and_does_not_wait_for_its_wal(connect, version, start, stop):
    server, said, _begun = connect(version)
    assert server.start_backup("label", True) == BackupStart("0/3000028", SEGMENT, 1700000000)
    assert server.stop_backup() == BackupStop(
        "0/3000100", SEGMENT, "START WAL LOCATION", "", 1700000001
    )
    assert said == [
        (f"select lsn::text, pg_walfile_name(lsn), {SECOND} from {start} as lsn", ("label", True)),
        (
            f"select lsn::text, pg_walfile_name(lsn), labelfile, spcmapfile, {SECOND} from {stop}",
            None,
        ),
    ]


@pytest.mark.parametrize(("version", "knows"), [(130000, False), (140000, True)])
def test_a_session_that_is_idle_while_files_are_copied_is_not_ended(connect, version, knows):
    _server, _said, begun = connect(version)
    assert (("set idle_session_timeout = 0", None) in begun) is knows
    assert ("set statement_timeout = 0", None) in begun


def test_a_server_from_before_the_functions_of_today_is_refused(connect):
    with pytest.raises(VersionNotSupportedError, match=r"is version 9\.6"):
        connect(90624)
