# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file global/pg_control: what it says, and how a restore changes it.

Layout from catalog/pg_control.h (repository reference, section 7). Only the first 512 bytes mean
anything; the server writes them as one sector.
"""

from __future__ import annotations

import os
import struct
import time
import typing as t
from dataclasses import dataclass

from ..errors import ChecksumError, FileMissingError, FileOpenError, FileReadError, FormatError
from . import releases

NAME = "global/pg_control"
FILE_SIZE = 8192
DATA_SIZE = 512

# No checkpoint can be there: a server that has no backup_label must not start from it.
INVALID_CHECKPOINT = 0xDEAD

_CHECKPOINT = 32
_STATE = 16
_MIB = 1024 * 1024
_PAGE_SIZES = (1024, 2048, 4096, 8192, 16384, 32768)
_REREAD_PAUSE = 0.05


@dataclass(frozen=True)
class ControlData:
    """What the engine needs of pg_control. Positions are numbers (see `wal.lsn_text`)."""

    system_id: int
    control_version: int
    catalog_version: int
    version: str
    state: int  # 6: in production, 5: in archive recovery, 1: shut down
    checkpoint: int
    redo: int
    timeline: int
    min_recovery_point: int
    backup_start_point: int
    page_size: int
    segment_pages: int  # pages in a whole segment of a relation: RELSEG_SIZE
    wal_segment_size: int
    data_checksums: bool


def read(data: bytes) -> ControlData:
    """Interpret the content of pg_control.

    Raises VersionNotSupportedError for a version that is not known, ChecksumError when the content
    is torn or damaged and FormatError when a size in it cannot be.
    """
    if len(data) < DATA_SIZE:
        raise FormatError(f"pg_control has {len(data)} bytes instead of {FILE_SIZE}")
    system_id, control_version, catalog_version = struct.unpack_from("<QII", data)
    release = releases.of_control(control_version, catalog_version)
    stored = _u32(data, release.crc)
    computed = crc32c(data[: release.crc])
    if stored != computed:
        raise ChecksumError(
            f"calculated pg_control checksum 0x{computed:x} does not match expected value"
            f" 0x{stored:x}",
            hint="the file is damaged, or of an architecture that is not known: a restore brings"
            " back a whole one.",
        )
    control = ControlData(
        system_id=system_id,
        control_version=control_version,
        catalog_version=catalog_version,
        version=release.version,
        state=_u32(data, _STATE),
        checkpoint=_u64(data, _CHECKPOINT),
        redo=_u64(data, release.redo),
        timeline=_u32(data, release.timeline),
        min_recovery_point=_u64(data, release.min_recovery_point),
        backup_start_point=_u64(data, release.backup_start_point),
        page_size=_u32(data, release.page_size),
        segment_pages=_u32(data, release.page_size + 4),
        wal_segment_size=_u32(data, release.wal_segment_size),
        # From 19 on 2 and 3 say that checksums are being switched on or off.
        data_checksums=_u32(data, release.data_checksums) == 1,
    )
    size = control.wal_segment_size
    if not (_MIB <= size <= 1024 * _MIB and size & (size - 1) == 0):
        raise FormatError(f"wal segment size is {size} but must be a power of two, 1MiB to 1GiB")
    if control.page_size not in _PAGE_SIZES:
        raise FormatError(f"page size is {control.page_size} but must be 1KiB to 32KiB")
    if not control.segment_pages:
        raise FormatError("a segment of a relation has 0 pages")
    return control


def load(path: str) -> ControlData:
    """pg_control of the data directory ``path``; see ``load_bytes`` and ``read`` for errors."""
    return read(load_bytes(path))


def load_bytes(path: str) -> bytes:
    """The meaningful bytes of pg_control of a data directory, read until they are whole.

    Raises FileMissingError, FileOpenError, FileReadError and the errors of ``read``.
    """
    name = os.path.join(path, NAME)

    def one() -> bytes:
        try:
            with open(name, "rb") as stream:
                data = stream.read(DATA_SIZE)
        except FileNotFoundError as cause:
            raise FileMissingError(
                f"unable to open missing file '{name}' for read",
                hint=f"is '{path}' the data directory of a cluster?",
            ) from cause
        except OSError as cause:
            raise FileOpenError(
                f"unable to open '{name}' for read: {cause.strerror}",
                hint="run the command as the owner of the data directory.",
            ) from cause
        if len(data) < DATA_SIZE:
            raise FileReadError(f"'{name}' has only {len(data)} bytes")
        return data

    return settled(one)


def settled(one: t.Callable[[], bytes]) -> bytes:
    """Read repeatedly until the checksum is right: the server may be writing the file just now.

    Gives up, with the error of ``read``, when two reads a moment apart are equal and wrong.
    """
    data = one()
    while True:
        try:
            read(data)
        except (ChecksumError, FormatError):
            time.sleep(_REREAD_PAUSE)
            again = one()
            if again == data:
                raise
            data = again
        else:
            return data[:DATA_SIZE]


def normalized(data: bytes) -> bytes:
    """The file as a backup stores it: the meaningful bytes, then zeros."""
    return data[:DATA_SIZE].ljust(FILE_SIZE, b"\0")


def invalidate_checkpoint(data: bytes) -> bytes:
    """The file as a restore of an online backup writes it (repository reference, section 15).

    Without backup_label the server cannot start from it. Raises the errors of ``read``.
    """
    control = read(data)
    release = releases.of_control(control.control_version, control.catalog_version)
    changed = bytearray(data)
    struct.pack_into("<Q", changed, _CHECKPOINT, INVALID_CHECKPOINT)
    struct.pack_into("<I", changed, release.crc, crc32c(bytes(changed[: release.crc])))
    return bytes(changed)


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) as port/pg_crc32c.h computes it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        for _bit in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        rows.append(byte)
    return tuple(rows)


_TABLE = _table()


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")


def _u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")
