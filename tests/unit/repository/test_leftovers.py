# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which temporary files are nobody's any more."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import leftovers
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (
    FileInfo,
    FileKind,
    final_names,
    temporary_name,
)

NOW = 1_700_000_000.0
SEGMENT = f"000000010000000000000001-{'a' * 40}.zst"
TOKEN = "0123456789abcdef"


def entry(name, age=2 * leftovers.OLD, kind=FileKind.FILE):
    return FileInfo(name, kind, 0, int(NOW - age))


@pytest.mark.parametrize(
    ("name", "finals"),
    [
        (SEGMENT, ()),
        (f"{SEGMENT}.pgbackrest.tmp", (SEGMENT,)),
        (f"{SEGMENT}.{TOKEN}.pgbackrest.tmp", (SEGMENT, f"{SEGMENT}.{TOKEN}")),
        (f"{SEGMENT}.{TOKEN[1:]}.pgbackrest.tmp", (f"{SEGMENT}.{TOKEN[1:]}",)),
    ],
)
def test_the_name_that_a_file_was_on_its_way_to(name, finals):
    assert final_names(name) == finals


def test_every_temporary_name_is_another_one():
    names = {temporary_name("d/x") for _number in range(100)}
    assert len(names) == 100
    assert all("d/x" in final_names(name) for name in names)


def test_what_is_old_and_of_a_file_that_is_there_is_abandoned():
    ours, stocks = f"{SEGMENT}.{TOKEN}.pgbackrest.tmp", f"{SEGMENT}.pgbackrest.tmp"
    entries = [entry(SEGMENT), entry(ours), entry(stocks)]
    assert leftovers.abandoned(entries, NOW) == [ours, stocks]


@pytest.mark.parametrize("partial", ["", ".partial"])
def test_a_segment_has_no_checksum_in_its_name_while_it_is_on_its_way(partial):
    """What a push that was killed has left, once the segment is there."""
    name = f"{SEGMENT[:24]}{partial}"
    stored, left = f"{name}-{'a' * 40}.zst", temporary_name(name)
    assert leftovers.abandoned([entry(stored), entry(left)], NOW) == [left]
    assert leftovers.abandoned([entry(f"x{stored}"), entry(left)], NOW) == []


@pytest.mark.parametrize(
    "entries",
    [
        [entry(SEGMENT), entry(f"{SEGMENT}.{TOKEN}.pgbackrest.tmp", age=leftovers.OLD - 1)],
        # A server that could not rename: it may be all there is.
        [entry("archive.info.copy"), entry(f"archive.info.{TOKEN}.pgbackrest.tmp")],
        [entry(SEGMENT), entry(f"{SEGMENT}.{TOKEN}.pgbackrest.tmp", kind=FileKind.PATH)],
        [entry(SEGMENT), entry(f"{SEGMENT}.{TOKEN}")],
    ],
    ids=["young", "of a file that is not there", "a directory", "no temporary name"],
)
def test_all_else_stays(entries):
    assert leftovers.abandoned(entries, NOW) == []
