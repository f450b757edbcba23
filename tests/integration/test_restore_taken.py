# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore takes no directory from another cluster, neither one that runs nor one that is down."""

from __future__ import annotations

import os
import shutil
import struct

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    releases,
)
from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    """A running cluster whose WAL lies elsewhere, with a tablespace that its copies do not know."""
    made = sites(new_cluster("--wal-segsize=1"))
    cluster = made.cluster
    cluster.stop()
    made.wal = cluster.root / "wal"
    shutil.move(cluster.data / "pg_wal", made.wal)
    (cluster.data / "pg_wal").symlink_to(made.wal)
    made.outside = cluster.directory("outside")
    for name, text in (("notes/note.txt", "a line\n"), ("extra.conf", "work_mem = '5MB'\n")):
        path = made.outside / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        for each in (path.parent, path):
            own(each)
    (made.outside / "notes").chmod(0o700)
    for name in ("notes", "extra.conf"):
        (cluster.data / name).symlink_to(made.outside / name)
    with (cluster.data / "postgresql.conf").open("a") as conf:
        conf.write("include_if_exists 'extra.conf'\n")
    cluster.start()
    made.archive()
    made.run("stanza-create")
    made.run("backup", "--type=full")
    made.before = made.restored("before")
    made.run("restore", f"--pg1-path={made.before.data}", "--type=immediate")
    made.space = cluster.directory("space")
    cluster.psql(f"create tablespace space location '{made.space}'")
    cluster.psql("create table spaced tablespace space as select generate_series(1, 1000) i")
    made.run("backup", "--type=incr")
    cluster.psql("insert into spaced select generate_series(1, 500)")
    cluster.psql("select pg_switch_wal()")
    return made


@pytest.fixture
def copy(site):
    """A copy of before the tablespace, to be restored to once more."""
    made = site.restored("copy")
    shutil.copytree(site.before.data, made.data, symlinks=True)
    for path in (made.data, *made.data.rglob("*")):
        own(path)
    made.data.chmod(0o700)
    yield made
    shutil.rmtree(made.root)


@pytest.fixture
def stopped(site):
    """The cluster is down for a test."""
    site.cluster.stop()
    yield
    site.cluster.start()


def files(root):
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def refused(site, copy, *arguments, code):
    """All of it is as it was, and a server that runs goes on."""
    if (site.cluster.data / "postmaster.pid").exists():
        site.cluster.psql("checkpoint")
    mine, others = files(copy.data), files(site.space)
    done = site.run("restore", f"--pg1-path={copy.data}", *arguments, code=code)
    assert files(copy.data) == mine
    assert files(site.space) == others
    assert any(len(path.name) == 24 for path in site.wal.iterdir())
    return done.stdout + done.stderr


HOW = [("--delta",), ("--force",), ("--delta", "--force")]


@pytest.mark.parametrize("how", HOW)
def test_a_tablespace_of_a_server_that_runs(site, copy, how):
    said = refused(site, copy, *how, "--type=immediate", code=38)
    assert f"the server in '{site.cluster.data}' uses it" in said
    assert "--tablespace-map=space=" in said
    assert site.cluster.psql("select count(*) from spaced") == "1500"


@pytest.mark.parametrize("how", HOW)
def test_the_wal_of_a_server_that_runs(site, copy, how):
    said = refused(
        site, copy, *how, "--link-all", f"--tablespace-map-all={copy.root}/spaces",
        "--type=immediate", code=38,
    )  # fmt: skip
    assert f"the server in '{site.cluster.data}' uses it" in said
    assert "--link-map=" in said
    site.cluster.psql("create table more (); select pg_switch_wal(); drop table more")


def test_a_server_elsewhere_than_the_backup_says(site, copy):
    """What runs on this machine is found by itself, wherever its data directory is."""
    standby = site.cluster.new_standby("elsewhere")
    try:
        oid = site.cluster.psql("select oid from pg_tablespace where spcname = 'space'")
        said = refused(
            site, copy, "--force", "--type=immediate",
            f"--tablespace-map=space={standby.root}/ts{oid}", code=38,
        )  # fmt: skip
        assert f"the server in '{standby.data}' uses it" in said
    finally:
        standby.stop("immediate")


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("how", HOW)
def test_a_cluster_that_is_down_keeps_its_own(site, copy, how):
    said = refused(site, copy, *how, "--type=immediate", code=40)
    assert f"because it belongs to the cluster in '{site.cluster.data}'" in said


def test_another_cluster_is_not_replaced_unless_that_is_said(site, copy):
    """As where pg1-path is that of the neighbour."""
    path = copy.data / "global/pg_control"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    release = releases.of_control(*struct.unpack_from("<II", data, 8))
    struct.pack_into("<I", data, release.crc, control.crc32c(bytes(data[: release.crc])))
    path.write_bytes(data)
    found, own_id = (
        control.load(str(directory)).system_id for directory in (copy.data, site.cluster.data)
    )
    wanted = (f"--tablespace-map-all={copy.root}/spaces", "--type=immediate")
    said = refused(site, copy, "--delta", *wanted, code=58)
    assert f"system-id {found}" in said and f"system-id {own_id}" in said
    site.run("restore", f"--pg1-path={copy.data}", "--delta", "--force", *wanted)
    assert control.load(str(copy.data)).system_id == own_id


def test_without_delta_the_hint_does_not_say_delta(site):
    empty = site.restored("empty")
    done = site.run("restore", f"--pg1-path={empty.data}", code=38)
    assert "--tablespace-map=space=" in done.stdout + done.stderr
    assert "--delta" not in done.stdout + done.stderr
    assert not empty.data.exists()


def test_files_that_nobody_is_known_to_use(site, copy):
    """They are replaced with --force alone, and from then on they are the copy's own."""
    oid = site.cluster.psql("select oid from pg_tablespace where spcname = 'space'")
    place = copy.directory("spaces")
    shutil.copytree(site.space, place / "space")
    for path in (place, *place.rglob("*")):
        own(path)
    wanted = (f"--tablespace-map-all={place}", "--type=immediate")
    said = refused(site, copy, *wanted, "--delta", code=40)
    assert "--force takes it over" in said
    site.run("restore", f"--pg1-path={copy.data}", *wanted, "--delta", "--force")
    assert os.readlink(copy.data / "pg_tblspc" / oid) == f"{place}/space"
    site.run("restore", f"--pg1-path={copy.data}", *wanted, "--delta")


def test_the_cluster_itself_has_its_own_also_when_links_are_lost(site):
    data = site.cluster.data
    expected = peer.contents(site.cluster)
    site.cluster.stop()
    said = site.run("restore", "--delta", "--link-all", "--log-level-console=detail").stdout
    assert "pg_tblspc" in said and "exists and matches" in said
    (link,) = (data / "pg_tblspc").iterdir()
    link.unlink()
    site.run("restore", "--delta", "--link-all")
    assert os.readlink(link) == str(site.space)
    assert os.readlink(data / "pg_wal") == str(site.wal)
    # After a disaster only what lies elsewhere may be left.
    shutil.rmtree(data)
    data.mkdir(0o700)
    own(data)
    done = site.run("restore", "--delta", "--link-all", code=40)
    assert "--force takes it over" in done.stdout + done.stderr
    site.run("restore", "--force", "--link-all")
    assert os.readlink(link) == str(site.space)
    assert os.readlink(data / "pg_wal") == str(site.wal)
    assert os.readlink(data / "notes") == str(site.outside / "notes")
    assert os.readlink(data / "extra.conf") == str(site.outside / "extra.conf")
    site.cluster.start()
    site.cluster.wait("select pg_is_in_recovery()", "f")
    assert peer.contents(site.cluster) == expected
    assert site.cluster.psql("show work_mem") == "5MB"
    assert (data / "notes/note.txt").read_text() == "a line\n"
