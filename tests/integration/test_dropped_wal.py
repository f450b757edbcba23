# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive-push-queue-max on a real cluster: WAL is dropped aloud, and the next backup is full."""

from __future__ import annotations

import json
import re
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    run as backup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.own_server import as_owner

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    made = sites(new_cluster("--wal-segsize=1"))
    made.configure(archive_timeout="5")
    made.archive()
    made.run("stanza-create")
    made.cluster.psql("create table told (i int)")
    made.run("backup", "--type=full")
    return made


def backups(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return [row["type"] for row in stanza["backup"]]


def ready(site):
    return list((site.cluster.data / "pg_wal/archive_status").glob("*.ready"))


def archive_by(site, command):
    site.cluster.configure(archive_command=command)
    site.cluster.reload()


def promoted(cluster):
    cluster.turn_timeline()
    cluster.psql("checkpoint")


def test_an_incremental_backup_without_loss_stays_one(site):
    site.cluster.psql("insert into told values (0); select pg_switch_wal()")
    done = site.run("backup", "--type=incr")
    assert "changed to full" not in done.stdout + done.stderr
    assert backups(site) == ["full", "incr"]


def test_dropped_wal_that_nothing_has_followed_makes_the_next_backup_a_full_one(site):
    """All that tells of it is that the server has it for archived."""
    cluster = site.cluster
    before = backups(site)
    push = cluster.psql("show archive_command")
    archive_by(site, "true")
    # Until the archiver has heard of it.
    time.sleep(1)
    cluster.psql("insert into told values (0)")
    ended = cluster.psql("select pg_walfile_name(pg_switch_wal())")
    cluster.wait_archived(ended)
    archive_by(site, push)
    done = site.run("backup", "--type=incr", "--archive-timeout=2")
    assert f"to {ended} since backup" in done.stdout
    assert "is missing in the archive, incr backup has been changed to full" in done.stdout
    site.run("backup", "--type=incr")
    assert backups(site) == [*before, "full", "incr"]


def test_dropped_wal_makes_the_next_backup_a_full_one(site):
    cluster = site.cluster
    earlier = backups(site)
    push = cluster.psql("show archive_command")
    archive_by(site, "false")
    for number in range(1, 6):
        cluster.psql(f"insert into told values ({number}); select pg_switch_wal()")
    assert len(ready(site)) >= 5
    before = cluster.log.read_text()
    site.configure(archive_push_queue_max="2MiB")
    archive_by(site, push)
    deadline = time.monotonic() + 90
    while ready(site):
        assert time.monotonic() < deadline, cluster.log.read_text()
        time.sleep(0.1)
    said = cluster.log.read_text()[len(before) :]
    dropped = said.count("because archive queue exceeded 2MB")
    # All but the last two, which may wait.
    assert dropped >= 3
    assert "WARN: dropped WAL file" in said

    options = load("backup", [f"--config={site.config}", "--stanza=demo", "--type=incr"], {})

    def foreseen():
        found = backup.preview(options)
        assert (found.type, found.prior) == ("full", None)

    as_owner(foreseen)
    done = site.run("backup", "--type=incr")
    assert "is missing in the archive, incr backup has been changed to full" in done.stdout
    assert backups(site) == [*earlier, "full"]
    # What is new builds on what has no gap behind it.
    site.run("backup", "--type=incr")
    assert backups(site) == [*earlier, "full", "incr"]
    verified = site.run("verify", "--output=text")
    assert "WAL gap: " in verified.stdout


def test_wal_dropped_after_a_promotion_makes_the_next_backup_a_full_one(site):
    cluster = site.cluster
    push = cluster.psql("show archive_command")

    def written(number):
        cluster.psql(f"insert into told values ({number})")
        ended = cluster.psql("select pg_walfile_name(pg_switch_wal())")
        cluster.wait_archived(ended)
        return ended

    promoted(cluster)
    written(0)
    done = site.run("backup", "--type=incr")
    assert "changed to full" not in done.stdout + done.stderr
    promoted(cluster)
    timeline = cluster.psql("select timeline_id from pg_control_checkpoint()")
    # What the old timeline left unfinished is archived after it.
    done = cluster.data / f"pg_wal/archive_status/{int(timeline):08X}.history.done"
    deadline = time.monotonic() + 30
    while not done.exists():
        assert time.monotonic() < deadline, cluster.log.read_text()
        time.sleep(0.1)
    archive_by(site, "true")
    time.sleep(1)
    first = written(1)
    archive_by(site, push)
    time.sleep(1)
    written(2)
    done = site.run("backup", "--type=incr", "--archive-timeout=2")
    assert f"WAL from {first} to {first} since backup" in done.stdout
    assert "is missing in the archive, incr backup has been changed to full" in done.stdout


def test_a_history_at_the_head_of_the_queue_does_not_fill_the_disk_of_the_server(site):
    """PostgreSQL asks for it first, and for nothing else before it is done."""
    cluster = site.cluster
    push = cluster.psql("show archive_command")
    archive_by(site, "false")
    promoted(cluster)
    timeline = int(cluster.psql("select timeline_id from pg_control_checkpoint()"))
    for number in range(6):
        cluster.psql(f"insert into told values ({number}); select pg_switch_wal()")
    assert any(path.name == f"{timeline:08X}.history.ready" for path in ready(site))
    site.configure(archive_push_queue_max="2MiB")
    # No repository can be reached.
    away = site.config.with_name("away.conf")
    away.write_text(
        re.sub("(?m)^repo1-path=.*", "repo1-path=/proc/nowhere", site.config.read_text())
    )
    own(away)
    archive_by(site, push.replace(str(site.config), str(away)))
    deadline = time.monotonic() + 120
    while len(ready(site)) > 2:
        assert time.monotonic() < deadline, cluster.log.read_text()
        time.sleep(0.1)
    assert f"dropped WAL file '{timeline:08X}.history'" in cluster.log.read_text()
    archive_by(site, push)
    deadline = time.monotonic() + 120
    while ready(site):
        assert time.monotonic() < deadline, cluster.log.read_text()
        time.sleep(0.1)
    done = site.run("backup", "--type=incr", "--archive-timeout=2")
    assert f"changed to full: the archive has no history of timeline {timeline}" in done.stdout
    done = site.run("backup", "--type=incr", "--archive-timeout=2")
    assert "changed to full" not in done.stdout
