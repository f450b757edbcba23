# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and tablespaces of a data directory: what a backup takes of them, and what it refuses."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import owner
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    LinkEntry,
    Target,
)
from ansible_collections.pgsftp.backup.tests.support.tree import VERSION_DIRECTORY


def test_a_link_to_a_directory(tree):
    log = tree.outside / "log"
    (log / "sub").mkdir(parents=True)
    (log / "a.log").touch()
    log.chmod(0o750)
    (tree.root / "log").symlink_to("../outside/log")
    found = tree.scan()
    assert [entry.name for entry in found.files] == ["pg_data/log/a.log"]
    assert (tree.root / found.files[0].path).samefile(log / "a.log")
    me, mine = owner.user_name(os.geteuid()), owner.group_name(os.getegid())
    assert found.links == [LinkEntry("pg_data/log", "../outside/log", me, mine)]
    assert found.targets[1] == Target("pg_data/log", "link", "../outside/log")
    modes = {entry.name: entry.mode for entry in found.paths}
    assert modes["pg_data/log"] == 0o750
    assert "pg_data/log/sub" in modes


def test_a_link_to_a_file(tree):
    conf = tree.outside / "postgresql.conf"
    conf.write_bytes(b"abc")
    conf.chmod(0o644)
    (tree.root / "postgresql.conf").symlink_to(conf)
    found = tree.scan()
    assert [(entry.name, entry.size, entry.mode) for entry in found.files] == [
        ("pg_data/postgresql.conf", 3, 0o644)
    ]
    assert found.targets[1] == Target(
        "pg_data/postgresql.conf", "link", str(tree.outside), file="postgresql.conf"
    )


def test_wal_elsewhere(tree):
    wal = tree.outside / "wal"
    (tree.root / "pg_wal").rename(wal)
    (wal / "000000010000000000000001").touch()
    (wal / "archive_status" / "x.ready").touch()
    (tree.root / "pg_wal").symlink_to(wal)
    found = tree.scan()
    assert found.files == []
    assert [link.name for link in found.links] == ["pg_data/pg_wal"]
    assert "pg_data/pg_wal/archive_status" in [entry.name for entry in found.paths]


def test_links_of_which_the_content_is_not_wanted(tree):
    place = tree.outside / "stat"
    place.mkdir()
    (place / "x").touch()
    (tree.root / "pg_stat_tmp").symlink_to(place)
    (tree.root / "pgsql_tmp").symlink_to("nowhere")
    (tree.root / "gone").symlink_to("nowhere")
    found = tree.scan(exclude=["gone"])
    assert found.files == []
    assert [link.name for link in found.links] == ["pg_data/pg_stat_tmp"]


@pytest.mark.parametrize(
    ("destination", "error", "message"),
    [
        ("nowhere", errors.FileOpenError, "missing path/file"),
        ("base", errors.LinkDestinationError, "is in PGDATA"),
        ("base/none", errors.LinkDestinationError, "is in PGDATA"),
        ("../outside/chain", errors.LinkDestinationError, "cannot reference another link"),
    ],
)
def test_links_that_cannot_be_backed_up(tree, destination, error, message):
    (tree.outside / "chain").symlink_to(tree.outside)
    if destination == "nowhere":
        destination = "../nowhere"
    (tree.root / "x").symlink_to(destination)
    with pytest.raises(error, match=message):
        tree.scan()


def test_two_links_to_one_place(tree):
    (tree.root / "a").symlink_to(tree.outside)
    (tree.root / "b").symlink_to(tree.outside)
    with pytest.raises(errors.LinkDestinationError, match="same directory"):
        tree.scan()


def test_a_tablespace(tree):
    place = tree.tablespace()
    (place / "5" / "200").write_bytes(b"12345678")
    (place / "5" / "t1_200").touch()
    (place.parent / "PG_14_1").mkdir()
    (tree.root / "pg_tblspc").chmod(0o750)
    found = tree.scan(tablespaces={1663: "pg_default", 16384: "ts1"})
    assert [entry.name for entry in found.files] == [f"pg_tblspc/16384/{VERSION_DIRECTORY}/5/200"]
    assert (tree.root / found.files[0].path).read_bytes() == b"12345678"
    assert [link.name for link in found.links] == ["pg_data/pg_tblspc/16384"]
    assert found.targets[1] == Target(
        "pg_tblspc/16384",
        "link",
        str(place.parent),
        tablespace_id=16384,
        tablespace_name="ts1",
    )
    modes = {entry.name: entry.mode for entry in found.paths if "tblspc" in entry.name}
    assert list(modes) == [
        "pg_data/pg_tblspc",
        "pg_tblspc",
        "pg_tblspc/16384",
        f"pg_tblspc/16384/{VERSION_DIRECTORY}",
        f"pg_tblspc/16384/{VERSION_DIRECTORY}/5",
    ]
    assert modes["pg_tblspc"] == 0o700
    assert modes["pg_tblspc/16384"] == 0o750


def test_several_tablespaces(tree):
    tree.tablespace(16384, "ts1")
    tree.tablespace(9999, "ts2")
    found = tree.scan()
    assert [path.name for path in found.paths if path.name.count("/") < 2].count("pg_tblspc") == 1
    assert [target.tablespace_name for target in found.targets] == [None, "ts16384", "ts9999"]


def test_a_tablespace_that_the_server_does_not_know(tree):
    tree.tablespace()
    with pytest.raises(errors.AssertError, match="oid 16384 not found in tablespace map"):
        tree.scan(tablespaces={1663: "pg_default"})


def test_what_is_no_tablespace(tree):
    tree.file("pg_tblspc/16384")
    with pytest.raises(errors.LinkExpectedError, match="should contain only symlinks"):
        tree.scan()
    (tree.root / "pg_tblspc" / "16384").unlink()
    (tree.root / "pg_tblspc" / "16385").mkdir()
    with pytest.raises(errors.LinkExpectedError):
        tree.scan()
    (tree.root / "pg_tblspc" / "16385").rmdir()
    (tree.root / "pg_tblspc" / "x").symlink_to(tree.outside)
    with pytest.raises(errors.FormatError, match="its name is not a number"):
        tree.scan()


def test_a_tablespace_without_a_directory_of_this_version(tree):
    (tree.root / "pg_tblspc" / "16384").symlink_to(tree.outside)
    with pytest.raises(errors.FileOpenError, match=VERSION_DIRECTORY):
        tree.scan()
