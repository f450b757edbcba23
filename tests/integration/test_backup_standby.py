# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups from the standby: what it takes, and every way in which a standby cannot give one."""

from __future__ import annotations

import hashlib
import json
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    run as backup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    steps,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.source import (
    OnlineSource,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import manifest
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.own_server import as_owner

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    made = sites(new_cluster("--wal-segsize=1", max_wal_senders="8"))
    made.configure(repo1_retention_full="99")
    made.archive()
    made.run("stanza-create")
    made.cluster.psql("create table told as select generate_series(1, 10000) i; checkpoint")
    return made


@pytest.fixture(scope="module")
def standby(site):
    """One that streams, for the tests that leave it as it is."""
    return made_standby(site, "standby")


def made_standby(site, name, **settings):
    """A standby that will not archive, whatever becomes of it."""
    made = site.cluster.new_standby(name)
    made.configure(archive_command="/bin/true", **settings)
    made.restart()
    return made


def words(standby, *arguments, choice="y"):
    as_pg2 = [f"--{name}={value}" for name, value in standby.options(2).items()]
    return [f"--backup-standby={choice}", "--type=full", *as_pg2, *arguments]


def labels(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return [entry["label"] for entry in stanza["backup"]]


def fails_in_copy(site, standby, event, error, message, *more):
    """``event`` happens between the scan and the copy; the backup fails and is not listed."""
    before = labels(site)
    # What it has so far is saved all the time.
    arguments = words(standby, "--manifest-save-threshold=1KiB", *more)
    options = load("backup", [f"--config={site.config}", "--stanza=demo", *arguments], {})
    copy = steps.copy

    def event_and_copy(*arguments):
        event()
        return copy(*arguments)

    def work():
        steps.copy = event_and_copy
        with pytest.raises(error, match=message):
            backup.run(options)

    as_owner(work)
    assert labels(site) == before
    (left,) = {path.name for path in (site.repo / "backup/demo").glob("2*")} - set(before)
    return site.repo / "backup/demo" / left


def restored_contents(site, name):
    copy = site.restored(name)
    site.run("restore", f"--pg1-path={copy.data}")
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    try:
        copy.wait("select pg_is_in_recovery()", "f")
        return peer.contents(copy)
    finally:
        copy.stop()


def test_a_quiet_primary(site, standby):
    """Nothing happens on it but the backup; relations come from the standby."""
    expected = peer.contents(site.cluster)
    for _again in range(2):
        out = site.run("backup", *words(standby)).stdout
        assert "replay on the standby reached" in out
    label = max(labels(site))
    manifest = (site.repo / "backup/demo" / label / "backup.manifest").read_text()
    assert "option-backup-standby=true" in manifest
    assert restored_contents(site, "quiet") == expected


def test_a_quiet_primary_whose_standby_gets_whole_segments_only(site):
    """Fed by restore_command, it sees the start of the backup once that segment has ended."""
    shipped = made_standby(site, "shipped")
    shipped.psql("alter system set primary_conninfo = ''")
    get = f"{site.command} --config={site.config} --stanza=demo --pg1-path={shipped.data}"
    shipped.configure(restore_command=f"{get} archive-get %f %p")
    shipped.restart()
    assert shipped.psql("select count(*) from pg_stat_wal_receiver") == "0"
    try:
        # Not even a switch of segments is due: the backup has to ask for it.
        site.cluster.psql("select pg_switch_wal()")
        site.run("check")
        for _again in range(2):
            out = site.run("backup", *words(shipped, "--archive-timeout=20")).stdout
            assert "replay on the standby reached" in out
    finally:
        shipped.stop()


def test_no_standby_where_one_is_required(site):
    out = site.run("backup", "--backup-standby=y", code=56)
    assert "unable to find a standby cluster, but backup-standby=y" in out.stdout + out.stderr


def test_no_standby_where_one_is_preferred(site, standby):
    standby.stop()
    try:
        out = site.run("backup", *words(standby, choice="prefer")).stdout
    finally:
        standby.start()
    assert "unable to find a standby to back up from, using the primary" in out
    label = max(labels(site))
    manifest = (site.repo / "backup/demo" / label / "backup.manifest").read_text()
    assert "option-backup-standby=false" in manifest


def test_a_standby_that_does_not_replay_is_told_with_how_far_it_is(site, standby):
    before = labels(site)
    standby.psql("select pg_wal_replay_pause()")
    try:
        out = site.run("backup", *words(standby, "--archive-timeout=2"), code=82)
    finally:
        standby.psql("select pg_wal_replay_resume()")
    said = " ".join((out.stdout + out.stderr).split())
    assert "timeout before standby replayed to 0/" in said
    assert "bytes behind) after 2s without progress" in said
    assert labels(site) == before


@pytest.mark.parametrize("more", [(), ("--no-resume",)], ids=["saved meanwhile", "at the end"])
def test_a_standby_that_is_promoted_during_the_copy(site, more):
    """From then on its files have changes that are not in the WAL of the backup."""
    promoted = made_standby(site, f"promoted{len(more)}")

    def event():
        promoted.promote()
        promoted.psql("delete from told; vacuum told; checkpoint")

    left = fails_in_copy(
        site,
        promoted,
        event,
        errors.DbMismatchError,
        "the standby does not recover any more",
        *more,
    )
    # What it had copied must not be gone on with, either.
    saved = manifest.load(PosixStorage(str(site.repo)), "demo", left.name, None)
    assert list(saved.files) == []
    promoted.stop()
    expected = peer.contents(site.cluster)
    site.run("backup", "--type=full")
    assert restored_contents(site, f"after-promotion{len(more)}") == expected


def test_what_the_primary_wrote_while_the_standby_was_waited_for_is_not_lost(site):
    """The standby has it in memory alone, and the next backup begins behind the WAL that has it."""
    behind = made_standby(site, "behind", bgwriter_lru_maxpages="0", checkpoint_timeout="1h")
    primary = site.cluster
    # Nothing else may write to the index.
    primary.psql(
        "create table written with (autovacuum_enabled = off)"
        " as select i, md5(i::text) m from generate_series(1, 20000) i; vacuum written; checkpoint"
    )
    scan = OnlineSource.scan

    def write_and_scan(source):
        primary.psql("create index written_i on written (i); checkpoint")
        behind.wait(
            f"select pg_last_wal_replay_lsn() >= '{primary.psql('select pg_current_wal_lsn()')}'",
            "t",
        )
        # Such that it is no matter of the second in which the scan is made.
        time.sleep(2.1)
        return scan(source)

    def work():
        OnlineSource.scan = write_and_scan
        backup.run(load("backup", [f"--config={site.config}", "--stanza=demo", *words(behind)], {}))

    as_owner(work)
    behind.stop()
    name = primary.psql("select pg_relation_filepath('written_i')")
    storage = PosixStorage(str(site.repo))
    rows = {row.name: row for row in manifest.load(storage, "demo", max(labels(site)), None).files}
    row, path = rows[f"pg_data/{name}"], primary.data / name
    assert row.size == path.stat().st_size
    assert row.checksum != hashlib.sha1(path.read_bytes()).hexdigest(), "the standby had it all"
    site.run("backup", "--type=incr")
    primary.psql("select pg_switch_wal()")
    site.run("check")
    copy = site.restored("written")
    site.run("restore", f"--pg1-path={copy.data}")
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    try:
        copy.wait("select pg_is_in_recovery()", "f")
        copy.psql("create extension amcheck")
        copy.psql("select bt_index_check('written_i', heapallindexed => true)")
    finally:
        copy.stop()


def test_a_standby_that_is_lost_during_the_copy(site):
    lost = made_standby(site, "lost")
    left = fails_in_copy(
        site, lost, lambda: lost.stop("immediate"), errors.DbConnectError, "lost the connection"
    )
    assert left.exists()
    assert site.cluster.psql("select count(*) from pg_stat_activity where query ~ 'backup_st'") == (
        "1"
    )


def test_a_standby_of_another_cluster(site, new_cluster):
    """It is refused, also where it is only preferred: the configuration is wrong."""
    other = new_cluster("--wal-segsize=1").new_standby()
    for choice in ("y", "prefer"):
        out = site.run("backup", *words(other, choice=choice), code=58)
        assert "the standby pg2 has system-id" in out.stdout + out.stderr
    out = site.run("check", *words(other)[2:], "--backup-standby=y", code=58)
    assert "the standby pg2 has system-id" in out.stdout + out.stderr


def test_a_standby_that_runs_elsewhere(site, standby):
    elsewhere = words(standby)
    elsewhere[elsewhere.index(f"--pg2-path={standby.data}")] = f"--pg2-path={site.cluster.data}"
    out = site.run("backup", *elsewhere, code=58)
    assert f"the server runs in '{standby.data}', but pg2-path is" in out.stdout + out.stderr
