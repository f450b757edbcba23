# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions with the servers live as long as the copy, and each server stays what it was."""

from __future__ import annotations

import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import source
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.cluster import Cluster
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    BackupStart,
    Database,
)


class Node:
    """A host whose server counts how often it is asked whether it recovers."""

    def __init__(self, *, recovers=False):
        self.recovers = recovers
        self.asked = 0
        self.db = types.SimpleNamespace(facts=lambda: None, in_recovery=self._in_recovery)

    def _in_recovery(self):
        self.asked += 1
        return self.recovers


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(source.time, "monotonic", lambda: now[0])
    return now


def online(primary, standby=None):
    return source.OnlineSource(Cluster(primary, None, standby), Options("backup"))


@pytest.mark.parametrize("both", [True, False])
def test_a_silent_session_gets_a_query_now_and_then(clock, both):
    primary, standby = Node(), Node(recovers=True)
    made = online(primary, standby if both else None)
    for _event in range(100):
        made.keep_alive()
    assert primary.asked == 0
    for seconds, asked in ((29.0, 0), (30.0, 1), (59.0, 1), (60.0, 2)):
        clock[0] = 100.0 + seconds
        made.keep_alive()
        made.keep_alive()
        assert primary.asked == asked
        assert standby.asked == (asked if both else 0)


def test_a_standby_that_was_promoted_is_noticed_by_the_next_query(clock):
    primary, standby = Node(), Node(recovers=True)
    made = online(primary, standby)
    standby.recovers = False
    made.keep_alive()
    clock[0] += 30.0
    with pytest.raises(errors.DbMismatchError, match="the standby does not recover any more"):
        made.keep_alive()
    with pytest.raises(errors.DbMismatchError, match="the standby does not recover any more"):
        made.check_roles()


def test_a_primary_that_recovers_is_noticed():
    with pytest.raises(errors.DbMismatchError, match="the primary has become a standby"):
        online(Node(recovers=True)).check_roles()


def test_a_database_with_a_name_that_no_manifest_can_hold_is_left_out_aloud(caplog):
    primary = Node()
    rows = [Database("a", 16384, 4), Database("a\nb", 16385, 4), Database("日本 =[]", 16386, 4)]
    primary.db.databases = lambda: rows
    assert online(primary).databases() == [rows[0], rows[2]]
    (record,) = caplog.records
    assert record.getMessage().startswith("name 'a\\nb' of database 16385 contains a line feed")


class Starting:
    """The server of both hosts; notes what is asked of it, in order."""

    def __init__(self, before="000000020000000000000003"):
        self.before = before
        self.asked = []

    def facts(self):
        return types.SimpleNamespace(checkpoint_timeout=300)

    def current_wal_segment(self):
        return self.before

    def start_backup(self, _label, _fast):
        return BackupStart("0/4000028", "000000020000000000000004", 1)

    def create_restore_point(self, _name):
        self.asked.append("point")

    def switch_wal(self):
        self.asked.append("switch")

    def wait_replay(self, lsn, _timeout, *, timeline):
        self.asked.append(f"replay {lsn} on {timeline}")
        return lsn


def started(
    *,
    standby=True,
    checkpoint=0x4000060,
    timeline=2,
    before="000000020000000000000003",
    **options,
):
    server = Starting(before)
    control = types.SimpleNamespace(checkpoint=checkpoint, timeline=timeline)
    node = types.SimpleNamespace(db=server, control=lambda: control)
    made = source.OnlineSource(
        Cluster(node, None, node if standby else None),
        Options("backup", archive_check=True, **options),
    )
    made.start(lambda names: server.asked.append(f"archive {names[0]}"))
    return server.asked


def test_the_segment_is_ended_before_anybody_waits_for_it():
    """A standby that is fed from the archive would not see where the backup starts."""
    assert started() == [
        "point",
        "switch",
        "replay 0/4000028 on 2",
        "archive 000000020000000000000003",
    ]


def test_without_a_standby_a_segment_is_ended_only_where_the_archive_would_not_get_one():
    assert started(standby=False) == ["archive 000000020000000000000003"]
    same = "000000020000000000000004"
    assert started(standby=False, before=same) == ["point", "switch", f"archive {same}"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"checkpoint": 0x4000027},
            "current checkpoint '0/4000027' in pg_control is less than backup start '0/4000028'",
        ),
        ({"timeline": 3}, "the backup starts on timeline 2, but pg_control is of timeline 3"),
    ],
)
def test_a_data_directory_that_is_not_the_servers_is_noticed(wrong, message):
    with pytest.raises(errors.DbMismatchError) as caught:
        started(standby=False, **wrong)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"db_timeout": 299.0}, True),
        ({"db_timeout": 300.0}, False),
        ({"db_timeout": 299.0, "start_fast": True}, False),
    ],
)
def test_a_checkpoint_that_may_come_after_the_timeout_is_warned_of(caplog, options, warned):
    started(standby=False, **options)
    assert ("checkpoint_timeout (300s)" in caplog.text) == warned
