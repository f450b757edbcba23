# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that a restore leaves out."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    contents,
    databases,
)

FILES = [
    *(f"pg_data/base/{oid}/{name}" for oid in (1, 5, 16400, 16500) for name in ("PG_VERSION", "7")),
    # Only in a tablespace.
    "pg_tblspc/16384/PG_15_202209061/16600/PG_VERSION",
    "pg_tblspc/16384/PG_15_202209061/16600/7",
    "pg_data/PG_VERSION",
    "pg_data/global/7",
]
NAMES = {1: "template1", 5: "postgres", 16400: "shop", 16500: "blog", 16600: "123"}


def manifest(files=FILES, names=None):
    return contents.Manifest(
        backup=contents.BackupFacts("L", "full", 1, 2, 3, ("L",)),
        db=contents.ManifestDb(1, 2, "15", 3, 4),
        options=contents.ManifestOptions(),
        targets=[],
        files=[contents.ManifestFile(name, 3, 3, 1, 0o600, "p", "p") for name in files],
        paths=[],
        databases=[
            contents.Database(name, oid, 16383)
            for oid, name in (NAMES if names is None else names).items()
        ],
    )


def left_out(include=(), exclude=(), **changes):
    return databases.left_out(manifest(**changes), include, exclude)


def test_everything_is_restored_unless_asked_otherwise():
    assert left_out() == frozenset()


def test_what_is_not_included_is_left_out_but_for_the_system():
    assert left_out(["shop"]) == {16500, 16600}
    assert left_out(["16500", "shop"]) == {16600}


def test_only_what_is_excluded_is_left_out():
    assert left_out(exclude=["shop", "16600"]) == {16400, 16600}
    assert left_out(exclude=["123"]) == {16600}


def test_both():
    assert left_out(["shop"], ["blog"]) == {16500, 16600}
    with pytest.raises(errors.DbInvalidError, match="'shop' is in the exclude list"):
        left_out(["shop"], ["16400"])


def test_the_system_is_always_there_unless_it_is_excluded():
    with pytest.raises(errors.DbInvalidError, match="included by default"):
        left_out(["postgres"])
    assert left_out(["shop"], ["postgres"]) == {5, 16500, 16600}
    # Made anew by a user, it has another oid and is the system's all the same.
    names = {**NAMES, 16500: "postgres", 5: "old"}
    assert left_out(["shop"], names=names) == {16600}


def test_a_database_that_is_not_there():
    for wanted in ("nosuch", "99999"):
        with pytest.raises(errors.DbMissingError, match=f"to include '{wanted}'"):
            left_out([wanted])
        with pytest.raises(errors.DbMissingError, match=f"to exclude '{wanted}'"):
            left_out(exclude=[wanted])


def test_a_backup_without_databases():
    with pytest.raises(errors.FormatError, match="no databases found"):
        left_out(["x"], files=[], names={})


@pytest.mark.parametrize(
    ("name", "oid"),
    [
        ("pg_data/base/16400/7", 16400),
        ("pg_data/base/16400/pg_filenode.map", 16400),
        ("pg_tblspc/16384/PG_15_202209061/16600/7.1", 16600),
        ("pg_data/base/16400/PG_VERSION", None),
        ("pg_data/global/7", None),
        ("pg_data/base/pgsql_tmp", None),
    ],
)
def test_whose_content_a_file_is(name, oid):
    assert databases.database_of(name) == oid
