# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names a manifest may have, whoever wrote it."""

from __future__ import annotations

import contextlib
import posixpath
import typing as t

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import manifest_names
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import Target

DATA = Target("pg_data", "path", "/srv/pg/data")
SPACE = Target("pg_tblspc/16384", "link", "/srv/ts1", None, 16384, "ts1")


def look(kind: str, name: str, targets: t.Sequence[Target] = (DATA, SPACE)) -> None:
    names = manifest_names.Names()
    getattr(names, kind)(name)
    names.targets(targets)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("file", "pg_data/PG_VERSION"),
        ("file", "pg_data/base/5/16390_fsm"),
        ("file", "pg_data/pg_wal/000000010000000000000002"),
        ("file", "pg_data/..."),
        ("file", "pg_data/.hidden/a b"),
        ("file", "pg_data/pg_tblspc_old/x"),
        ("file", "pg_tblspc/16384/PG_15_202209061/5/16390"),
        ("file", "pg_tblspc/16384/PG_9.6_201608131/pgsql_tmp/x"),
        ("path", "pg_data"),
        ("path", "pg_data/base/5"),
        ("path", "pg_data/pg_tblspc"),
        ("path", "pg_tblspc"),
        ("path", "pg_tblspc/16384"),
        ("path", "pg_tblspc/16384/PG_15_202209061"),
        ("path", "pg_tblspc/16384/PG_15_202209061/5"),
        ("link", "pg_data/log"),
        ("link", "pg_data/conf.d/a"),
        ("link", "pg_data/pg_tblspc"),
        ("link", "pg_data/pg_tblspc/16384"),
    ],
)
def test_what_real_backups_have(kind: str, name: str) -> None:
    look(kind, name)


NOWHERE = [
    "", "/", "/etc/x", "foo", "foo/1", "pg_data/", "pg_data//x", "pg_data/.", "pg_data/..",
    "pg_data/../x", "pg_data/../../outside/evil.conf", "pg_data/base/../../x", "pg_data/./x",
    "pg_data/base/", "pg_datax/y", "./pg_data/x", "../pg_data",
    "pg_tblspc/", "pg_tblspc/abc", "pg_tblspc/..", "pg_tblspc/7", "pg_tblspc/²", "pg_tblspc/016384",
    "pg_tblspc/abc/x", "pg_tblspc/7/PG_15_202209061/x", "pg_tblspc/16384/", "pg_tblspc/16384/..",
    "pg_tblspc/16384/precious", "pg_tblspc/16384/precious/x", "pg_tblspc/16384/PG_15/x",
    "pg_tblspc/16384/PG_15_1/../x", "pg_tblspc/16384/PG_15_1x/y", "pg_tblspc/16384/PG_15_1/",
    "pg_data/pg_tblspc/16384/x", "pg_data/pg_tblspc/x", "pg_data/pg_tblspc/../x",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["file", "path", "link"])
@pytest.mark.parametrize("name", NOWHERE)
def test_what_leads_elsewhere(kind: str, name: str) -> None:
    with pytest.raises(FormatError, match="manifest has the name") as caught:
        look(kind, name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        # A file is in a directory, and the server has no other ones there.
        ("file", "pg_data"),
        ("file", "pg_tblspc"),
        ("file", "pg_tblspc/16384"),
        ("file", "pg_tblspc/16384/PG_15_202209061"),
        ("file", "pg_data/pg_tblspc/16384"),
        ("path", "pg_data/pg_tblspc/16384"),
        ("link", "pg_data"),
        ("link", "pg_tblspc/16384"),
    ],
)
def test_what_only_another_kind_of_entry_is(kind: str, name: str) -> None:
    with pytest.raises(FormatError, match="manifest has the name"):
        look(kind, name)


def test_the_second_file_of_a_directory_is_looked_at_as_well() -> None:
    names = manifest_names.Names()
    names.file("pg_data/base/1")
    for name in ("pg_data/base/..", "pg_data/base/", "pg_data/base/."):
        with pytest.raises(FormatError):
            names.file(name)


@pytest.mark.parametrize(
    "target",
    [
        DATA._replace(kind="link"),
        DATA._replace(file="x"),
        DATA._replace(tablespace_id=5),
        Target("/etc", "link", "/x"),
        Target("pg_data/../x", "link", "/x"),
        Target("pg_data/", "link", "/x"),
        Target("pg_data/log", "path", "/x"),
        Target("pg_data/log", "link", "/x", None, 5),
        Target("pg_data/a.conf", "link", "/x", "../b.conf"),
        Target("pg_data/a.conf", "link", "/x", ""),
        Target("pg_data/pg_tblspc/5", "link", "/x"),
        Target("pg_tblspc/5", "link", "/x"),
        Target("pg_tblspc/5", "link", "/x", None, 6, "ts"),
        Target("pg_tblspc/5", "path", "/x", None, 5, "ts"),
        Target("pg_tblspc/5", "link", "/x", "f", 5, "ts"),
    ],
)
def test_targets_that_are_none(target: Target) -> None:
    with pytest.raises(FormatError, match="manifest has the"):
        manifest_names.Names().targets([target])


def test_links_of_all_kinds_are_targets() -> None:
    manifest_names.Names().targets(
        [
            DATA,
            Target("pg_data/log", "link", "../log"),
            Target("pg_data/pg_tblspc", "link", "/srv/spaces"),
            Target("pg_data/postgresql.conf", "link", "/etc/pg", "postgresql.conf"),
            SPACE,
        ]
    )


PARTS = st.sampled_from(
    ["", ".", "..", "pg_data", "pg_tblspc", "16384", "7", "PG_15_202209061", "base", "x", "etc"]
)


@given(st.sampled_from(["file", "path"]), st.lists(PARTS, max_size=6).map("/".join))
@example("file", "pg_data/../../outside/evil.conf")
def test_no_name_leads_out(kind: str, name: str) -> None:
    with contextlib.suppress(FormatError):
        look(kind, name)
        assert posixpath.normpath(name) == name
        inside = ("pg_data", "pg_tblspc/16384/PG_15_202209061")
        if kind == "file":
            assert name.startswith(tuple(f"{top}/" for top in inside))
        else:
            assert name in ("pg_tblspc", "pg_tblspc/16384", *inside) or name.startswith(
                tuple(f"{top}/" for top in inside)
            )
        assert name == "pg_data/pg_tblspc" or not f"{name}/".startswith("pg_data/pg_tblspc/")
