# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a data directory belongs in a backup, on directories made for the purpose."""

from __future__ import annotations

import contextlib
import json
import os
import socket

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    datadir,
    entries,
    owner,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    Note,
    Target,
)
from ansible_collections.pgsftp.backup.tests.support.tree import CATALOG, VERSION_DIRECTORY


def test_files_and_directories(tree):
    tree.file("PG_VERSION", "base/5/1259", content=b"15\n")
    os.utime(tree.root / "PG_VERSION", ns=(0, 1_700_000_000_999_999_999))
    (tree.root / "PG_VERSION").chmod(0o640)
    found = tree.scan()
    assert found.root == str(tree.root)
    me, mine = owner.user_name(os.geteuid()), owner.group_name(os.getegid())
    assert found.paths[0] == entries.PathEntry("pg_data", 0o700, me, mine)
    assert [path.name for path in found.paths] == [
        "pg_data",
        "pg_data/base",
        "pg_data/base/5",
        "pg_data/global",
        "pg_data/pg_tblspc",
        "pg_data/pg_wal",
        "pg_data/pg_wal/archive_status",
        "pg_data/pg_xact",
    ]
    assert found.files[0] == entries.FileEntry(
        "pg_data/PG_VERSION", 3, 1_700_000_000, 0o640, me, mine, page_check=False, fixed_size=False
    )
    assert found.files[0].path == "PG_VERSION"
    assert found.targets == [Target("pg_data", "path", str(tree.root))]
    assert found.links == []
    assert found.notes == []


def test_an_owner_without_a_name(tree):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    tree.file("x")
    os.chown(tree.root / "x", 54321, 54322)
    entry = tree.scan().files[0]
    assert (entry.user, entry.group) == (None, None)


def test_everything_is_sorted_as_bytes_are(tree):
    tree.file("b", "a", "Z", "ä", "base/5/10", "base/5/9", "base.x")
    names = tree.files()
    assert names == sorted(names, key=str.encode)
    assert [name[8:] for name in names] == ["Z", "a", "b", "base.x", "base/5/10", "base/5/9", "ä"]


def test_names_that_are_odd_but_fine(tree):
    odd = ("with space", 'qu"ote', "eq=ual", "[x]", "日本", "-dash", "#hash", "tab\there")
    tree.file(*odd)
    assert {name[8:] for name in tree.files()} == set(odd)


@pytest.mark.parametrize(
    ("name", "shown"), [(b"bad\xff", r"bad\xff"), (b"two\nlines", r"two\nlines")]
)
def test_names_that_a_manifest_cannot_hold(tree, name, shown):
    with open(os.path.join(os.fsencode(tree.root), b"base", name), "wb"):
        pass
    with pytest.raises(errors.FormatError) as caught:
        tree.scan()
    assert shown in caught.value.message
    assert f"in '{tree.root}/base'" in caught.value.message
    assert "rename or remove it" in caught.value.hint
    assert tree.files(exclude=["base"]) == []


TOP = (
    "backup_label",
    "backup_label.old",
    "postgresql.auto.conf.tmp",
    "postmaster.opts",
    "postmaster.pid",
)


KEPT = ("tablespace_map", "current_logfiles", "core.1", "postgresql.auto.conf")


@pytest.mark.parametrize(
    ("version", "skipped"),
    [
        ("11", ("recovery.conf", "recovery.done")),
        ("12", ("recovery.signal", "standby.signal")),
        ("15", ("recovery.signal", "standby.signal", "backup_manifest", "backup_manifest.tmp")),
    ],
)
def test_files_of_the_running_server(tree, version, skipped):
    of_versions = {
        "recovery.conf", "recovery.done", "recovery.signal", "standby.signal", "backup_manifest",
        "backup_manifest.tmp",
    }  # fmt: skip
    tree.file(*TOP, *KEPT, *of_versions)
    left = {*KEPT, *(of_versions - set(skipped))}
    assert {name[8:] for name in tree.files(version=version)} == left
    # The same names elsewhere are somebody's own.
    tree.file("mine/postmaster.pid", "mine/backup_label")
    assert "pg_data/mine/postmaster.pid" in tree.files(version=version)


@pytest.mark.parametrize(
    "name",
    [
        "pg_dynshmem",
        "pg_notify",
        "pg_replslot",
        "pg_serial",
        "pg_snapshots",
        "pg_stat_tmp",
        "pg_subtrans",
    ],
)
@pytest.mark.parametrize("online", [True, False])
def test_directories_of_which_only_the_name_is_kept(tree, name, online):
    tree.file(f"{name}/0000", f"{name}/sub/x", f"mine/{name}/x")
    assert tree.files(online=online) == [f"pg_data/mine/{name}/x"]
    paths = tree.paths(online=online)
    assert f"pg_data/{name}" in paths
    assert f"pg_data/{name}/sub" not in paths


def test_wal_comes_from_the_archive(tree):
    tree.file("pg_wal/000000010000000000000001", "pg_wal/archive_status/x.done",
              "pg_wal/summaries/x.summary", "pg_wal/00000002.history")  # fmt: skip
    assert tree.files() == ["pg_data/pg_wal/summaries/x.summary"]
    assert "pg_data/pg_wal/archive_status" in tree.paths()
    assert len(tree.files(online=False)) == 4


def test_temporary_files(tree):
    tree.file("base/pgsql_tmp/x", "pgsql_tmp.1", "base/5/pgsql_tmp2", "base/5/t3_16384",
              "base/5/t3_16384_fsm", "base/5/t12_16384_vm.1", "base/5/t3_16384.2",
              "base/5/t3_16384_init", "base/5/t_1", "t3_16384", "base/t3_16384")  # fmt: skip
    assert tree.files() == [
        "pg_data/base/5/t3_16384_init",
        "pg_data/base/5/t_1",
        "pg_data/base/t3_16384",
        "pg_data/t3_16384",
    ]


def test_caches_of_the_relation_directories(tree):
    tree.file("base/5/pg_internal.init", "base/5/pg_internal.init.123", "global/pg_internal.init")
    tree.file("base/5/pg_internal.initial", "pg_internal.init", "base/x/pg_internal.init")
    assert tree.files() == [
        "pg_data/base/5/pg_internal.initial",
        "pg_data/base/x/pg_internal.init",
        "pg_data/pg_internal.init",
    ]


def test_of_unlogged_relations_only_the_init_fork(tree):
    tree.file(*(f"base/5/{name}" for name in (
        "100", "100_fsm", "100_vm", "100.1", "100_fsm.1", "100_init", "100_init.1",
        "1000", "10", "10_fsm", "x100",
    )))  # fmt: skip
    # The same number in another database is another relation.
    tree.file("base/6/100", "global/100", "100", "100_init")
    assert [name[8:] for name in tree.files()] == [
        "100",
        "100_init",
        "base/5/10",
        "base/5/1000",
        "base/5/100_init",
        "base/5/100_init.1",
        "base/5/10_fsm",
        "base/5/x100",
        "base/6/100",
        "global/100",
    ]


def test_which_files_have_pages(tree):
    place = tree.tablespace()
    (place / "5" / "200").touch()
    (place / "PG_VERSION").touch()
    checked = {"base/5/1", "base/5/1_fsm", "base/5/x", "global/1260"}
    unchecked = {"base/5/PG_VERSION", "base/5/pg_filenode.map", "global/pg_control", "base/1",
                 "global/pg_filenode.map", "pg_xact/0000", "base/x/1"}  # fmt: skip
    tree.file(*checked, *unchecked)
    found = {entry.name: entry.page_check for entry in tree.scan(tablespaces={16384: "a"}).files}
    assert {name for name in found if found[name]} == {f"pg_data/{name}" for name in checked} | {
        f"pg_tblspc/16384/{VERSION_DIRECTORY}/5/200"
    }


@pytest.mark.parametrize(
    ("name", "replayed"),
    [
        ("pg_data/base/5/1259", True),
        ("pg_data/base/5/PG_VERSION", True),
        ("pg_data/global/1260", True),
        ("pg_data/pg_xact/0000", True),
        ("pg_data/pg_multixact/offsets/0000", True),
        ("pg_tblspc/16384/PG_15_1/5/1", True),
        ("pg_data/global/pg_control", False),
        ("pg_data/PG_VERSION", False),
        ("pg_data/postgresql.conf", False),
        ("pg_data/pg_twophase/x", False),
        ("pg_data/base.x", False),
        ("pg_data/mine/base/1", False),
    ],
)
def test_what_a_standby_may_give(tree, name, replayed):
    assert datadir.primary_only(name) is not replayed
    if name.startswith("pg_data/"):
        tree.file(name[8:])
        entry = next(entry for entry in tree.scan().files if entry.name == name)
        assert entry.fixed_size is replayed


def test_exclusions(tree):
    tree.file("log/a", "log/b", "x", "base/5/1", "keep/log/a")
    found = tree.scan(exclude=["log/", "x", "base/5", "nothing"])
    assert [entry.name for entry in found.files] == ["pg_data/keep/log/a"]
    names = [entry.name for entry in found.paths]
    assert "pg_data/log" in names
    assert "pg_data/base/5" not in names
    assert sorted(found.notes) == [
        Note("info", f"exclude '{tree.root}/base/5' from backup using 'base/5' exclusion"),
        Note("info", f"exclude '{tree.root}/x' from backup using 'x' exclusion"),
        Note("info", f"exclude contents of '{tree.root}/log' from backup using 'log/' exclusion"),
    ]


def test_special_files(tree):
    os.mkfifo(tree.root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree.root / "socket"))
    found = tree.scan()
    assert found.files == []
    assert found.notes == [
        Note("warn", f"exclude special file '{tree.root}/{name}' from backup")
        for name in ("fifo", "socket")
    ]


def test_what_vanishes_while_it_is_listed(tree, monkeypatch):
    tree.file("base/5/1", "base/6/1")

    class Gone:
        name = "gone"

        def stat(self, *, follow_symlinks):
            raise FileNotFoundError(2, "No such file or directory")

    real = os.scandir

    def scandir(path):
        if str(path).endswith("base/6"):
            raise FileNotFoundError(2, "No such file or directory")
        listed = [*real(path), Gone()]
        return contextlib.nullcontext(listed)

    monkeypatch.setattr(os, "scandir", scandir)
    found = tree.scan()
    assert "pg_data/base/6" in [entry.name for entry in found.paths]
    assert [entry.name for entry in found.files] == ["pg_data/base/5/1"]


def test_a_data_directory_that_is_not_there(tree):
    with pytest.raises(errors.PathMissingError, match="unable to list missing path"):
        datadir.scan("/nowhere", online=True, version="15", catalog_version=CATALOG)


def test_a_directory_that_cannot_be_read(tree, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(errors.FileOpenError, match=r"unable to list '.*': Permission denied"):
        tree.scan()


def test_one_lstat_for_each_entry(tree, monkeypatch):
    tree.file(*(f"base/5/{number}" for number in range(100)))
    calls = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda *a, **k: calls.append(a) or real(*a, **k))
    assert len(tree.scan().files) == 100
    assert len(calls) <= 1


def test_the_way_between_two_nodes(tree):
    tree.file("x")
    os.mkfifo(tree.root / "fifo")
    tree.tablespace()
    (tree.root / "log").symlink_to(tree.outside / "ts1")
    with pytest.raises(errors.LinkDestinationError):
        tree.scan()
    (tree.root / "log").unlink()
    found = tree.scan()
    assert entries.DataDirectory.from_json(json.loads(json.dumps(found.to_json()))) == found
