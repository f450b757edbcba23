# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session with a real server: every verb, and what is said when the server is not there."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import PgOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    connection,
    control,
    wal,
)
from ansible_collections.pgsftp.backup.tests.support.postgres import VERSIONS

pytestmark = pytest.mark.integration


def pg_options(cluster, **changes):
    return PgOptions(
        **{
            "path": str(cluster.data),
            "port": cluster.port,
            "socket_path": str(cluster.socket),
            "user": "postgres",
            **changes,
        }
    )


@pytest.fixture
def connect(postgres):
    opened = []

    def run(cluster=postgres, timeout=30.0, **changes):
        opened.append(connection.connect(pg_options(cluster, **changes), timeout))
        return opened[-1]

    yield run
    for session in opened:
        session.close()


@pytest.fixture(scope="module", params=VERSIONS)
def any_cluster(request, new_cluster):
    return new_cluster("--wal-segsize=1", version=request.param, archive_mode="on",
                       archive_command="true")  # fmt: skip


def test_facts(connect, any_cluster):
    facts = connect(any_cluster).facts()
    seen = control.load(str(any_cluster.data))
    assert facts.version == any_cluster.version == seen.version
    assert facts.system_id == seen.system_id
    assert facts.wal_segment_size == seen.wal_segment_size == 1 << 20
    assert facts.data_checksums
    assert facts.data_directory == str(any_cluster.data)
    assert (facts.archive_mode, facts.archive_command) == ("on", "true")
    assert not facts.in_recovery
    assert facts.timeline == seen.timeline == 1
    assert facts.checkpoint_timeout == 300


def test_a_backup_from_start_to_stop(connect, any_cluster):
    session = connect(any_cluster)
    before = session.current_wal_segment()
    start = session.start_backup("pgBackRest backup started at x", True)
    assert start.wal_segment == wal.segment_name(1, wal.lsn_parse(start.lsn), 1 << 20)
    assert wal.is_segment(before)
    assert before <= start.wal_segment
    assert control.load(str(any_cluster.data)).checkpoint >= wal.lsn_parse(start.lsn)
    stop = session.stop_backup()
    assert wal.lsn_parse(stop.lsn) > wal.lsn_parse(start.lsn)
    assert stop.wal_segment >= start.wal_segment
    assert f"START WAL LOCATION: {start.lsn} (file {start.wal_segment})" in stop.backup_label
    assert "LABEL: pgBackRest backup started at x" in stop.backup_label
    assert stop.tablespace_map == ""
    assert start.timestamp <= stop.timestamp <= time.time() + 1


def test_lists(connect, postgres):
    postgres.psql("create database app")
    space = postgres.directory("ts1")
    postgres.psql(f"create tablespace ts1 location '{space}'")
    session = connect()
    names = [row.name for row in session.databases()]
    assert names == ["app", "postgres", "template0", "template1"]
    last = {row.last_system_oid for row in session.databases()}
    assert last == {int(postgres.psql("select oid from pg_database where datname='template0'"))}
    oid = int(postgres.psql("select oid from pg_tablespace where spcname='ts1'"))
    assert session.tablespaces()[oid] == "ts1"
    start = session.start_backup("x", True)
    assert str(oid) in session.stop_backup().tablespace_map
    assert start.timestamp > 0


def test_wal(connect):
    session = connect()
    point = session.create_restore_point("pgBackRest Archive Check")
    ended = session.switch_wal()
    assert ended == wal.segment_name(1, wal.lsn_parse(point), 16 << 20)
    session.create_restore_point("x")
    assert session.current_wal_segment() == wal.next_segment(ended, 16 << 20)
    assert session.archived_wal() is None or wal.is_wal(session.archived_wal())
    session.checkpoint()


def test_clock(connect):
    assert abs(connect().now() - time.time()) < 5


def test_no_time_of_a_backup_lies_ahead(connect, new_cluster):
    """Else a recovery to a time just after the backup would be refused."""
    cluster = new_cluster()
    session = connect(cluster)
    while not 0.5 < session.now() % 1 < 0.6:
        time.sleep(0.02)
    started = session.start_backup("ahead", True)
    assert started.timestamp <= session.now()
    while not 0.5 < session.now() % 1 < 0.8:
        time.sleep(0.02)
    assert session.stop_backup().timestamp <= session.now()


def test_the_session_is_known_by_name(connect, postgres):
    connect()
    assert "pgsftp [backup]" in postgres.psql("select application_name from pg_stat_activity")


def test_a_standby_that_replays(connect, postgres):
    standby = postgres.new_standby()
    primary, second = connect(), connect(standby)
    assert second.facts().in_recovery
    assert not primary.in_recovery()
    assert primary.replay_status().replay_lsn is None
    start = primary.start_backup("x", True)
    reached = second.wait_replay(start.lsn, 30.0, timeline=1)
    assert wal.lsn_parse(reached) > wal.lsn_parse(start.lsn)
    assert wal.lsn_parse(second.replay_status().checkpoint_lsn) >= wal.lsn_parse(start.lsn)
    assert control.load(str(standby.data)).checkpoint >= wal.lsn_parse(start.lsn)
    second.wait_replay(start.lsn, 30.0)  # also when its checkpoint is there already
    with pytest.raises(errors.DbMismatchError, match="is ahead of target"):
        second.wait_replay("0/1", 1.0)
    with pytest.raises(errors.DbMismatchError, match="on timeline 1 but expected 7"):
        second.wait_replay(start.lsn, 30.0, timeline=7)
    with pytest.raises(errors.ArchiveTimeoutError, match="timeout before standby replayed to F/0"):
        second.wait_replay("F/0", 0.5)
    with pytest.raises(errors.DbMismatchError, match="does not recover any more"):
        primary.wait_replay(start.lsn, 1.0)
    primary.stop_backup()
    second.close()
    standby.stop()


def test_no_server(connect, new_cluster):
    cluster = new_cluster(start=False)
    with pytest.raises(errors.DbConnectError) as caught:
        connect(cluster)
    assert caught.value.message == (
        f"unable to connect to PostgreSQL at '{cluster.socket}:5432': No such file or directory"
    )
    assert caught.value.hint.startswith("is the server running")


def test_who_may_not_connect(connect):
    with pytest.raises(errors.DbConnectError) as caught:
        connect(user="nobody")
    assert caught.value.message.endswith('role "nobody" does not exist')
    assert caught.value.hint.startswith("run as the owner of the cluster, or set pg1-user")


def test_a_role_without_rights(connect, postgres):
    postgres.psql("create role poor login")
    with pytest.raises(errors.DbQueryError) as caught:
        connect(user="poor")
    assert "pg_settings" in caught.value.message
    assert "pg_read_all_settings" in caught.value.hint
    postgres.psql("grant pg_read_all_settings to poor")
    session = connect(user="poor")
    with pytest.raises(errors.DbQueryError) as caught:
        session.start_backup("x", True)
    assert "permission denied for function" in caught.value.message
    assert "grant" in caught.value.hint
    assert session.now() > 0  # an error does not end the session


def test_a_server_that_goes_away(connect, new_cluster):
    cluster = new_cluster()
    session = connect(cluster)
    cluster.stop("immediate")
    with pytest.raises(errors.DbConnectError, match="lost the connection to PostgreSQL at"):
        session.now()


def test_a_query_that_takes_too_long_is_cancelled(connect, postgres):
    session = connect(timeout=0.5)
    begin = time.monotonic()
    with pytest.raises(errors.DbQueryError, match=r"timed out after 0\.5s"):
        session._execute("select pg_sleep(60)")
    assert time.monotonic() - begin < 5
    postgres.wait("select count(*) from pg_stat_activity where query like '%pg_sleep(60)%'"
                  " and query not like '%like%' and state = 'active'", "0")  # fmt: skip


def test_a_signal_ends_a_query_that_waits(connect, postgres):
    class Stop(Exception):
        pass

    def handler(_signal, _frame):
        raise Stop

    session = connect()
    old = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Stop):
            session._execute("select pg_sleep(61)")
    finally:
        signal.signal(signal.SIGUSR1, old)
    postgres.wait("select count(*) from pg_stat_activity where query like '%pg_sleep(61)%'"
                  " and query not like '%like%' and state = 'active'", "0")  # fmt: skip


def test_a_setting_of_the_role_cannot_change_what_statements_mean(connect, postgres):
    postgres.psql(
        "create role odd superuser login; create schema trap;"
        " create function trap.pg_is_in_recovery() returns bool language sql as 'select true';"
        " alter role odd set search_path = 'trap, pg_catalog'"
    )
    assert not connect(user="odd").facts().in_recovery


def test_where_the_socket_is_looked_for(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    monkeypatch.setattr(connection, "SOCKET_DIRECTORIES", (str(one), str(two)))
    assert connection.socket_directory(PgOptions()) == str(one)
    (two / ".s.PGSQL.5432").touch()
    assert connection.socket_directory(PgOptions()) == str(two)
    assert connection.socket_directory(PgOptions(port=5433)) == str(one)
    assert connection.socket_directory(PgOptions(socket_path="/x")) == "/x"
