# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on a real cluster: archive, back up, restore, and the server has the data again.

Once on a directory and once over SFTP with a real sshd.
"""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A server that lets the tests in."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["posix", "sftp"])
def site(request, sites, sshd):
    """A cluster with a table, archived into a repository that has one full backup."""
    made = sites()
    if request.param == "sftp":
        made.use_sftp(sshd)
    made.archive()
    cluster = made.cluster
    cluster.psql("create table fact as select i, md5(i::text) m from generate_series(1, 50000) i")
    space = cluster.directory("space")
    cluster.psql(f"create tablespace side location '{space}'")
    cluster.psql("create table side tablespace side as select generate_series(1, 1000) i")
    cluster.psql("create unlogged table fleeting as select 1 i")
    made.run("stanza-create")
    made.run("check")
    made.run("backup", "--type=full")
    cluster.psql("insert into fact select 100000, 'after the backup'")
    cluster.psql("select pg_switch_wal()")
    return made


def backups(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return stanza["backup"]


def start(copy):
    """Start a restored directory on a socket of its own and wait until it may be written."""
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")


def test_the_backup_is_listed_with_what_it_needs(site):
    (backup,) = backups(site)
    assert backup["type"] == "full"
    assert backup["archive"]["start"] <= backup["archive"]["stop"]
    assert backup["error"] is False
    assert backup["info"]["size"] > backup["info"]["repository"]["size"] > 0
    text = site.run("info").stdout
    assert f"full backup: {backup['label']}" in text
    assert "status: ok" in text


def test_a_second_stanza_create_changes_nothing(site):
    out = site.run("stanza-create").stdout
    assert "already exists on repo1 and is valid" in out


def test_check_sees_a_segment_arrive(site):
    assert "successfully archived on repo1" in site.run("check").stdout


def test_a_restored_cluster_has_all_data_up_to_the_last_segment(site):
    copy = site.restored("default")
    space = copy.root / "space"
    site.run("restore", f"--pg1-path={copy.data}", f"--tablespace-map=side={space}")
    assert os.readlink(next((copy.data / "pg_tblspc").iterdir())) == str(space)
    start(copy)
    assert copy.psql("select count(*), max(m) from fact where i > 50000") == "1|after the backup"
    assert copy.psql("select count(*) from fact") == "50001"
    assert copy.psql("select count(*) from side") == "1000"
    assert copy.psql("select count(*) from fleeting") == "0"
    # Every page of every relation is as PostgreSQL wants it.
    copy.stop()
    copy.run(copy.bin / "pg_checksums", "--check", "--pgdata", copy.data)


def test_a_delta_restore_fetches_only_what_differs(site):
    copy = site.restored("delta")
    space = f"--tablespace-map=side={copy.root / 'space'}"
    site.run("restore", f"--pg1-path={copy.data}", space, "--type=none")
    (copy.data / "PG_VERSION").write_text("99\n")
    (copy.data / "base" / "stray").write_text("not of the backup")
    out = site.run(
        "restore", f"--pg1-path={copy.data}", space, "--type=none", "--delta",
        "--log-level-console=detail",
    ).stdout  # fmt: skip
    fetched = [line for line in out.splitlines() if "restore file" in line and "exists" not in line]
    assert len([line for line in fetched if "PG_VERSION" in line]) == 1
    # pg_control is always fetched: the restored one differs on purpose.
    assert len(fetched) == 2
    assert not (copy.data / "base" / "stray").exists()
    assert (copy.data / "PG_VERSION").read_text() == f"{site.cluster.version}\n"


def test_a_standby_follows_through_the_archive(site):
    copy = site.restored("standby")
    site.run(
        "restore", "--type=standby", f"--pg1-path={copy.data}",
        f"--tablespace-map=side={copy.root / 'space'}",
        "--recovery-option=primary_conninfo="
        f"host={site.cluster.socket} port={site.cluster.port} user=postgres",
    )  # fmt: skip
    assert (copy.data / "standby.signal").exists()
    copy.configure(unix_socket_directories=str(copy.socket))
    copy.start()
    site.cluster.psql("create table later as select 42 i")
    copy.wait("select count(*) from pg_class where relname = 'later'", "1")
    assert copy.psql("select pg_is_in_recovery()") == "t"
    site.cluster.wait("select state from pg_stat_replication", "streaming")
    copy.stop()


def test_differential_and_incremental_backups_refer_to_what_is_there(site):
    site.cluster.psql("create table grown as select generate_series(1, 20000) i")
    site.run("backup", "--type=diff")
    site.cluster.psql("update fact set m = 'changed' where i = 7")
    site.run("backup", "--type=incr")
    full, diff, incr = backups(site)[-3:]
    assert (diff["type"], diff["prior"]) == ("diff", full["label"])
    assert (incr["type"], incr["prior"]) == ("incr", diff["label"])
    assert incr["info"]["delta"] < full["info"]["delta"] / 2
    copy = site.restored("incr")
    site.run(
        "restore", f"--pg1-path={copy.data}", f"--tablespace-map=side={copy.root / 'space'}",
        "--type=immediate", "--target-action=promote",
    )  # fmt: skip
    start(copy)
    assert copy.psql("select m from fact where i = 7") == "changed"
    assert copy.psql("select count(*) from grown") == "20000"
    copy.stop()
    copy.run(copy.bin / "pg_checksums", "--check", "--pgdata", copy.data)


def test_a_segment_comes_back_as_it_was(site):
    name = site.cluster.psql("select pg_walfile_name(pg_switch_wal())")
    site.run("check")
    target = site.root / "segment"
    site.run("archive-get", name, str(target))
    original = site.cluster.data / "pg_wal" / name
    if original.exists():
        assert target.read_bytes() == original.read_bytes()
    assert target.stat().st_size == 16 * 1024 * 1024
    site.run("archive-get", "0000000F00000000000000FF", str(target), code=1)


def test_the_same_segment_twice_is_fine_and_another_one_of_its_name_is_not(site):
    name = site.cluster.psql("select pg_walfile_name(pg_switch_wal())")
    site.run("check")
    copy = site.root / name
    site.run("archive-get", name, str(copy))
    own(copy)
    assert "same checksum" in site.run("archive-push", str(copy)).stdout
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    refused = site.run("archive-push", str(copy), code=45)
    assert "different checksum" in refused.stdout + refused.stderr
    again = site.root / "again"
    site.run("archive-get", name, str(again))
    assert again.read_bytes() != bytes(data)
