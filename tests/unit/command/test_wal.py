# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The segments that a backup waits for."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import wal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    BackupStart,
    BackupStop,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("start", "stop", "size", "expected"),
    [
        ("0/1000028", "0/1000100", 16 * MIB, (1, 1)),
        ("0/1000028", "0/2000001", 16 * MIB, (1, 2)),
        # The last record ends where the next segment begins, of which nothing is needed.
        ("0/1000028", "0/2000000", 16 * MIB, (1, 1)),
        ("0/1600028", "0/1700000", MIB, (0x16, 0x16)),
        ("0/1600000", "0/1600000", MIB, (0x16, 0x16)),
    ],
)
def test_the_segments_of_a_backup(start, stop, size, expected):
    first, last = expected
    name = "000000010000000000000001"
    found = wal.segments(BackupStart(start, name, 0), BackupStop(stop, name, "", "", 0), size)
    assert found == [f"0000000100000000{number:08X}" for number in range(first, last + 1)]
