# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first 512 bytes of pg_control and of WAL, as initdb of each release wrote them.

``initdb --wal-segsize=1 --data-checksums`` of 13.23, 14.23, 15.18, 16.14, 17.10 and 18.4, x86-64.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import control, wal

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "postgres"
VERSIONS = ("13", "14", "15", "16", "17", "18")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_release_wrote_is_read_as_that_release(version):
    found = control.read((RECORDED / version / "pg_control").read_bytes())
    header = wal.header((RECORDED / version / "wal").read_bytes())
    assert (found.version, header.version) == (version, version)
    assert found.system_id == header.system_id > 7 * 10**18
    assert found.wal_segment_size == header.segment_size == 1 << 20
    assert (found.page_size, found.segment_pages) == (8192, 131072)
    assert found.page_size == header.block_size == 8192
    assert (found.timeline, header.timeline) == (1, 1)
    assert found.data_checksums
    # initdb left a server that was shut down.
    assert found.state == 1
    assert found.redo == found.checkpoint > 0
    assert (found.min_recovery_point, found.backup_start_point) == (0, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flipped_bit_is_seen(version):
    data = bytearray((RECORDED / version / "pg_control").read_bytes())
    data[40] ^= 1
    with pytest.raises(errors.ChecksumError):
        control.read(bytes(data))


def test_a_release_to_come_is_refused_with_what_is_known():
    data = bytearray((RECORDED / "18" / "pg_control").read_bytes())
    data[8:16] = (2100).to_bytes(4, "little") + (202809011).to_bytes(4, "little")
    with pytest.raises(errors.VersionNotSupportedError) as caught:
        control.read(bytes(data))
    assert "control version = 2100 and catalog version = 202809011" in caught.value.message
    assert "PostgreSQL 9.6 to 19 are known" in caught.value.hint
    header = bytearray((RECORDED / "18" / "wal").read_bytes())
    header[:2] = b"\x30\xd1"
    with pytest.raises(errors.VersionNotSupportedError) as caught:
        wal.header(bytes(header))
    assert "WAL magic 0xD130" in caught.value.message
    assert "PostgreSQL 9.6 to 19 are known" in caught.value.hint
