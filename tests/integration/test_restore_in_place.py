# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores into a directory that holds something, whatever that has become since the backup."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = pytest.mark.integration

READ_ONLY = {"server.key": "the key\n", "notes/empty": "", "notes/long": "a line\n" * 1000}


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    """A stopped cluster with files that not even their owner may write, and its backup."""
    made = sites(new_cluster("--wal-segsize=1"))
    made.archive()
    made.run("stanza-create")
    data = made.cluster.data
    (data / "notes").mkdir()
    own(data / "notes")
    for name, text in READ_ONLY.items():
        place(data / name, text)
    made.cluster.psql("create database shop")
    made.cluster.psql("create table told as select generate_series(1, 1000) i; checkpoint")
    made.run("backup", "--type=full")
    made.cluster.shop = made.cluster.psql("select oid from pg_database where datname = 'shop'")
    made.expected = peer.contents(made.cluster)
    made.cluster.stop()
    return made


def place(path, text, mode=0o400):
    path.write_text(text)
    own(path)
    path.chmod(mode)


@pytest.fixture
def copy(site):
    """A restored data directory, to be changed and restored to once more."""
    made = site.restored("copy")
    site.run("restore", f"--pg1-path={made.data}")
    yield made
    shutil.rmtree(made.root)


def restore(site, copy, *arguments):
    return site.run(
        "restore", f"--pg1-path={copy.data}", "--log-level-console=detail", *arguments
    ).stdout


def assert_whole(site, copy, *, start=False):
    for name, text in READ_ONLY.items():
        assert (copy.data / name).read_text() == text
        assert (copy.data / name).stat().st_mode & 0o777 == 0o400
    assert (copy.data / "global/pg_control").exists()
    if start:
        copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
        copy.start()
        copy.wait("select pg_is_in_recovery()", "f")
        assert peer.contents(copy) == site.expected
        copy.stop()


@pytest.mark.parametrize("how", [("--delta",), ("--force",), ("--delta", "--force")])
def test_files_that_may_only_be_read_are_as_good_as_others(site, copy, how):
    out = restore(site, copy, *how)
    assert ("server.key - exists and matches" in out) == ("--delta" in how)
    assert_whole(site, copy, start=True)


@pytest.mark.parametrize("how", ["--delta", "--force"])
def test_files_that_may_only_be_read_are_replaced(site, copy, how):
    for name in READ_ONLY:
        (copy.data / name).unlink()
        place(copy.data / name, "something else\n")
    restore(site, copy, how)
    assert_whole(site, copy)


def test_a_file_that_may_only_be_read_is_cut_where_it_only_grew(site, copy):
    (copy.data / "server.key").unlink()
    place(copy.data / "server.key", READ_ONLY["server.key"] + "and more\n")
    assert "server.key - exists and matches" in restore(site, copy, "--delta")
    assert_whole(site, copy)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_replaced(site, copy):
    """A key may be root's for the server; whoever restores owns what was restored."""
    os.chown(copy.data / "server.key", 0, (copy.data / "server.key").stat().st_gid)
    (copy.data / "server.key").chmod(0o640)
    restore(site, copy, "--delta")
    assert_whole(site, copy)
    assert (copy.data / "server.key").stat().st_uid != 0


@pytest.mark.parametrize("how", ["--delta", "--force"])
def test_a_directory_where_the_backup_has_a_file_and_the_reverse(site, copy, how):
    for name in ("server.key", "notes/long"):
        (copy.data / name).unlink()
        (copy.data / name / "deep").mkdir(parents=True)
        (copy.data / name / "deep/file").write_text("not of the backup\n")
    shutil.rmtree(copy.data / "pg_notify")
    (copy.data / "pg_notify").write_text("a file\n")
    for top, names, files in os.walk(copy.data):
        for name in (*names, *files):
            own(copy.data / top / name)
    restore(site, copy, how)
    assert_whole(site, copy, start=True)
    assert (copy.data / "pg_notify").is_dir()


def test_a_link_where_the_backup_has_a_directory(site, copy):
    elsewhere = copy.directory("elsewhere")
    (elsewhere / "precious").write_text("not ours")
    shutil.rmtree(copy.data / "notes")
    (copy.data / "notes").symlink_to(elsewhere)
    restore(site, copy, "--delta")
    assert_whole(site, copy)
    assert not (copy.data / "notes").is_symlink()
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]


@pytest.mark.parametrize("how", [("--delta",), ("--delta", "--force")])
def test_a_database_that_was_left_out_comes_with_a_later_restore(site, copy, how):
    name = f"base/{site.cluster.shop}/1259"
    restore(site, copy, "--delta", "--db-exclude=shop")
    assert (copy.data / name).read_bytes().strip(b"\0") == b""
    restore(site, copy, *how)
    assert (copy.data / name).read_bytes() == (site.cluster.data / name).read_bytes()
