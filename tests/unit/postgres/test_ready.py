# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for the archive, and when it is too much."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import ready
from ansible_collections.pgsftp.backup.tests.support.pg_files import DataDirectory

NAMES = [f"0000000100000000000000{number:02X}" for number in range(1, 5)]
MIB = 1 << 20


def test_only_what_a_running_server_has_ready_waits(tmp_path):
    data = DataDirectory(tmp_path / "data")
    data.ready([*NAMES[:2], "00000002.history"])
    (data.path / "pg_wal" / "archive_status" / f"{NAMES[3]}.done").touch()
    assert ready.scan(str(data.path)).names == {*NAMES[:2], "00000002.history"}
    (data.path / "postmaster.pid").unlink()
    assert ready.scan(str(data.path)).names == frozenset()


@pytest.mark.parametrize(
    ("maximum", "too_much"), [(None, False), (4 * MIB, False), (4 * MIB - 1, True), (0, True)]
)
def test_a_queue_overflows_by_what_its_wal_takes(maximum, too_much):
    assert ready.overflows([*NAMES, "00000002.history"], MIB, maximum) is too_much
    assert not ready.overflows([], MIB, maximum)


def test_segments_hold_wal_and_what_tells_of_them_does_not():
    assert ready.holds_wal(NAMES[0])
    assert ready.holds_wal(f"{NAMES[0]}.partial")
    assert not ready.holds_wal("00000002.history")
    assert not ready.holds_wal(f"{NAMES[0]}.00000028.backup")
