# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real data directory: the scan against what the server says of its relations, and pg_control."""

from __future__ import annotations

import shutil

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    datadir,
    wal,
)
from ansible_collections.pgsftp.backup.tests.support.postgres import VERSIONS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request, new_cluster):
    made = new_cluster(version=request.param)
    space = made.directory("ts1")
    made.psql(f"create tablespace ts1 location '{space}'")
    made.psql("create database app")
    made.psql(
        "create table logged (x int); insert into logged select generate_series(1, 10000);"
        " create unlogged table unlogged (x int); insert into unlogged values (1);"
        " create table there (x int) tablespace ts1; insert into there values (1);"
        " create unlogged table elsewhere (x int) tablespace ts1; insert into elsewhere values (1)",
        "app",
    )
    made.psql("vacuum logged; checkpoint", "app")
    return made


def scan(cluster, **options):
    seen = control.load(str(cluster.data))
    names = cluster.psql("select oid, spcname from pg_tablespace").splitlines()
    return datadir.scan(
        str(cluster.data),
        **{
            "online": True,
            "version": seen.version,
            "catalog_version": seen.catalog_version,
            "tablespaces": {int(oid): name for oid, name in (row.split("|") for row in names)},
            **options,
        },
    )


def relation(cluster, name):
    """The name in a manifest of a relation of the database app."""
    path = cluster.psql(f"select pg_relation_filepath('{name}')", "app")
    return path if path.startswith("pg_tblspc/") else f"pg_data/{path}"


def test_relations(cluster):
    files = {entry.name: entry for entry in scan(cluster).files}
    logged, there = relation(cluster, "logged"), relation(cluster, "there")
    assert files[logged].size == 45 * 8192
    assert files[logged].page_check
    assert files[logged].fixed_size
    assert {logged + "_fsm", logged + "_vm"} <= set(files)
    assert files[there].page_check
    for name in ("unlogged", "elsewhere"):
        path = relation(cluster, name)
        assert path not in files
        assert files[path + "_init"].size == 0


def test_what_is_only_of_the_running_server(cluster):
    found = scan(cluster)
    files = {entry.name[8:] for entry in found.files}
    assert not files & {"postmaster.pid", "postmaster.opts"}
    assert not [name for name in files if "pg_internal.init" in name]
    assert not [name for name in files if name.startswith("pg_wal/")]
    assert {"PG_VERSION", "global/pg_control", "postgresql.conf", "base/1/1259"} <= files
    paths = {entry.name for entry in found.paths}
    assert {"pg_data/pg_wal/archive_status", "pg_data/pg_replslot"} <= paths


def test_temporary_relations(cluster):
    sql = "create temp table t (x int); select pg_relation_filepath('t')"
    path = cluster.data / cluster.psql(sql, "app").splitlines()[-1]
    assert path.name.startswith("t")
    # That one went away with its session; a crashed server leaves them behind.
    left = path.with_name("t999_" + path.name.split("_")[1])
    left.write_bytes(bytes(8192))
    try:
        names = {entry.name for entry in scan(cluster).files}
    finally:
        left.unlink()
    assert f"pg_data/{left.relative_to(cluster.data)}" not in names


def test_everything_else_is_there(cluster):
    """What a full copy of the stopped cluster has, and a scan does not, is of the known kinds."""
    found = {entry.name for entry in scan(cluster, online=False).files}
    missing = []
    for path in cluster.data.rglob("*"):
        name = f"pg_data/{path.relative_to(cluster.data)}"
        if path.is_file() and not path.is_symlink() and name not in found:
            missing.append(name)
    unlogged = relation(cluster, "unlogged")
    known = ("pg_data/postmaster.", "pg_data/pg_subtrans/", "pg_data/pg_notify/",
             "pg_data/pg_stat_tmp/", "pg_data/pg_dynshmem/", unlogged)  # fmt: skip
    assert [
        name for name in missing if not name.startswith(known) and "pg_internal.init" not in name
    ] == []


def test_the_wal_of_the_server_has_its_header(cluster):
    seen = control.load(str(cluster.data))
    name = cluster.psql("select pg_walfile_name(pg_current_wal_insert_lsn())")
    data = (cluster.data / "pg_wal" / name).read_bytes()
    head = wal.header(data)
    assert (head.version, head.system_id) == (seen.version, seen.system_id)
    assert (head.segment_size, head.block_size) == (seen.wal_segment_size, 8192)
    assert wal.segment_name(head.timeline, head.page_address, head.segment_size) == name
    assert name == wal.segment_name(seen.timeline, wal.lsn_parse(
        cluster.psql("select pg_current_wal_insert_lsn()")), seen.wal_segment_size)  # fmt: skip


def test_a_server_does_not_start_without_its_checkpoint(new_cluster):
    cluster = new_cluster()
    cluster.stop()
    path = cluster.data / "global" / "pg_control"
    good = path.read_bytes()
    state = control.read(good)
    assert state.state == 1
    path.write_bytes(control.invalidate_checkpoint(good))
    with pytest.raises(AssertionError, match="checkpoint record"):
        cluster.start()
    assert control.load(str(cluster.data)).system_id == state.system_id
    path.write_bytes(control.normalized(good))
    cluster.start()


def test_a_history_of_a_real_promotion(new_cluster):
    cluster = new_cluster()
    standby = cluster.new_standby()
    standby.promote()
    standby.psql("checkpoint")
    text = (standby.data / "pg_wal" / "00000002.history").read_text()
    forks = wal.history(text)
    assert [fork.timeline for fork in forks] == [1]
    assert control.load(str(standby.data)).timeline == 2
    standby.stop()


def test_links_of_a_real_cluster(new_cluster):
    cluster = new_cluster(start=False)
    place = cluster.directory("wal") / "pg_wal"
    shutil.move(cluster.data / "pg_wal", place)
    (cluster.data / "pg_wal").symlink_to(place)
    cluster.start()
    found = scan(cluster)
    assert [link.name for link in found.links] == ["pg_data/pg_wal"]
    (cluster.data / "again").symlink_to(place)
    with pytest.raises(errors.LinkDestinationError):
        scan(cluster)
