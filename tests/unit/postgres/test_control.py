# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_control: read, read while it is written, and changed as a restore changes it."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    releases,
)
from ansible_collections.pgsftp.backup.tests.support.pg_files import control_file as build


@pytest.mark.parametrize("release", releases.RELEASES, ids=lambda release: release.version)
def test_every_release(release):
    seen = control.read(build(release))
    assert seen == control.ControlData(
        system_id=7711080140707770482,
        control_version=release.control_version,
        catalog_version=release.catalog_version,
        version=release.version,
        state=6,
        checkpoint=0x3000060,
        redo=0x3000028,
        timeline=3,
        min_recovery_point=0x2000100,
        backup_start_point=0x1000028,
        page_size=8192,
        segment_pages=131072,
        wal_segment_size=16 << 20,
        data_checksums=True,
    )


def test_crc32c_of_the_known_vectors():
    assert control.crc32c(b"123456789") == 0xE3069283
    assert control.crc32c(b"") == 0
    assert control.crc32c(bytes(32)) == 0x8A9136AA


PG15 = releases.of_name("15")


def test_a_system_id_of_64_bits():
    assert control.read(build(PG15, system_id=2**64 - 1)).system_id == 2**64 - 1


def test_checksums_that_are_being_switched_are_off():
    release = releases.of_name("19")
    assert not control.read(build(release, data_checksums=2)).data_checksums
    assert not control.read(build(release, data_checksums=0)).data_checksums


def test_a_catalog_of_the_release_to_come():
    release = releases.of_name("19")
    later = release._replace(catalog_version=202608011)
    assert control.read(build(later)).version == "19"


def test_an_unknown_version():
    with pytest.raises(errors.VersionNotSupportedError) as caught:
        control.read(build(PG15._replace(catalog_version=202209062)))
    assert "control version = 1300 and catalog version = 202209062" in caught.value.message
    assert "9.6 to 19 are known" in caught.value.hint


@pytest.mark.parametrize("change", [0, 40, 228, 287, 288])
def test_a_damaged_byte(change):
    data = bytearray(build(PG15))
    data[change] ^= 1
    with pytest.raises(
        errors.ChecksumError, match=r"pg_control checksum 0x[0-9a-f]+ does not match .* 0x[0-9a-f]+"
    ):
        control.read(bytes(data))


@pytest.mark.parametrize("size", [0, 4096, 1 << 19, 3 << 20, 1 << 31])
def test_a_segment_size_that_cannot_be(size):
    with pytest.raises(errors.FormatError, match="wal segment size"):
        control.read(build(PG15, wal_segment_size=size))


def test_a_page_size_that_cannot_be():
    with pytest.raises(errors.FormatError, match="page size"):
        control.read(build(PG15, page_size=8191))


def test_a_short_file():
    with pytest.raises(errors.FormatError, match="has 511 bytes"):
        control.read(build(PG15)[:511])


def test_a_restore_leaves_no_checkpoint_to_start_from():
    data = build(PG15)
    changed = control.invalidate_checkpoint(data)
    assert len(changed) == len(data)
    assert control.read(changed).checkpoint == 0xDEAD
    assert control.read(changed).redo == control.read(data).redo
    differing = {index for index in range(len(data)) if data[index] != changed[index]}
    assert differing <= set(range(32, 40)) | set(range(288, 292))


def test_a_backup_stores_512_bytes_and_zeros():
    data = bytearray(build(PG15))
    data[600] = 7
    stored = control.normalized(bytes(data))
    assert len(stored) == 8192
    assert stored[:512] == data[:512]
    assert not any(stored[512:])
    assert control.normalized(stored[:512]) == stored


def test_a_file_that_is_being_written(monkeypatch):
    good = build(PG15)
    torn = good[:100] + bytes(412)
    reads = iter([torn, torn[:-1] + b"x", good])
    monkeypatch.setattr(control, "_REREAD_PAUSE", 0)
    assert control.settled(lambda: next(reads)) == good[:512]
    with pytest.raises(errors.ChecksumError):
        control.settled(lambda: torn)


def test_load(tmp_path):
    with pytest.raises(errors.FileMissingError) as caught:
        control.load(str(tmp_path))
    assert caught.value.hint == f"is '{tmp_path}' the data directory of a cluster?"
    (tmp_path / "global").mkdir()
    path = tmp_path / "global" / "pg_control"
    path.write_bytes(build(PG15))
    assert control.load(str(tmp_path)).version == "15"
    path.write_bytes(b"short")
    with pytest.raises(errors.FileReadError):
        control.load(str(tmp_path))
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.FileOpenError):
        control.load(str(tmp_path))
