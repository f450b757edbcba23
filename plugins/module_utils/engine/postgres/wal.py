# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions in the WAL, names of its files, the header of a segment and the history of timelines.

From access/xlogdefs.h, access/xlog_internal.h and access/timeline.c (repository reference, sections
6.1, 6.4 and 7). A position (LSN) is a number of bytes; sizes of segments are bytes, too.
"""

from __future__ import annotations

import re
import struct
import typing as t

from ..errors import FileReadError, FormatError
from . import releases

HEADER_SIZE = 512

LARGEST = 1 << 30
"""No segment is larger than PostgreSQL lets initdb make them."""

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_PARTIAL = re.compile(r"[0-9A-F]{24}\.partial")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_BACKUP_LABEL = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")
_TIMELINE = re.compile(r"[0-9]{1,10}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_LONG_HEADER = 0x0002


def lsn_parse(text: str) -> int:
    """The position that PostgreSQL writes ``0/3000028``; FormatError for anything else."""
    match = _LSN.fullmatch(text)
    if match is None:
        raise FormatError(f"'{text}' is no position in the WAL")
    return (int(match[1], 16) << 32) | int(match[2], 16)


def lsn_text(lsn: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def segment_name(timeline: int, lsn: int, size: int) -> str:
    """The segment that holds the byte at ``lsn``."""
    return number_name(timeline, lsn // size, size)


def number_name(timeline: int, number: int, size: int) -> str:
    """The name of the segment with that number, counted from the beginning of the WAL."""
    per_id = 0x100000000 // size
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def segment_number(name: str, size: int) -> int:
    """The number of a segment, counted from the beginning of the WAL."""
    return int(name[8:16], 16) * (0x100000000 // size) + int(name[16:24], 16)


def timeline_of(name: str) -> int:
    """The timeline in the name of a segment, a backup label or a history file."""
    return int(name[:8], 16)


def segments_between(timeline: int, start: int, stop: int, size: int) -> list[str]:
    """The segments of all bytes from ``start`` to ``stop``, both ends included."""
    return [
        number_name(timeline, number, size) for number in range(start // size, stop // size + 1)
    ]


def next_segment(name: str, size: int) -> str:
    """The segment after ``name`` on its timeline."""
    return number_name(timeline_of(name), segment_number(name, size) + 1, size)


def previous_segment(name: str, size: int) -> str:
    """The segment before ``name`` on its timeline."""
    return number_name(timeline_of(name), segment_number(name, size) - 1, size)


def is_segment(name: str) -> bool:
    """A whole segment, ``000000010000000000000003``."""
    return _SEGMENT.fullmatch(name) is not None


def is_partial(name: str) -> bool:
    """The last segment of a timeline that ended, ``....partial``."""
    return _PARTIAL.fullmatch(name) is not None


def is_history(name: str) -> bool:
    """The history of a timeline, ``00000002.history``."""
    return _HISTORY.fullmatch(name) is not None


def is_backup_label(name: str) -> bool:
    """The mark that a backup leaves in the WAL, ``....00000028.backup``."""
    return _BACKUP_LABEL.fullmatch(name) is not None


def is_wal(name: str) -> bool:
    """Any file that belongs into the archive."""
    return is_segment(name) or is_history(name) or is_partial(name) or is_backup_label(name)


class WalHeader(t.NamedTuple):
    """What the first page of a segment says of itself."""

    version: str
    timeline: int
    page_address: int
    system_id: int
    segment_size: int
    block_size: int


def header(data: bytes) -> WalHeader:
    """Interpret the first bytes of a segment (or of a partial one).

    Raises FileReadError for fewer than 512 bytes, VersionNotSupportedError for an unknown magic
    number and FormatError when the first page is no first page.
    """
    if len(data) < HEADER_SIZE:
        raise FileReadError(f"WAL segment has only {len(data)} bytes")
    magic, flags, timeline, address = struct.unpack_from("<HHIQ", data)
    release = releases.of_wal(magic)
    if not flags & _LONG_HEADER:
        raise FormatError("first page header in WAL file is expected to be in long format")
    system_id, segment_size, block_size = struct.unpack_from("<QII", data, 24)
    return WalHeader(release.version, timeline, address, system_id, segment_size, block_size)


class Fork(t.NamedTuple):
    """A line of a history: on ``timeline`` until ``lsn``, then on the next one."""

    timeline: int
    lsn: int
    reason: str


def history(text: str) -> list[Fork]:
    """The forks that led to a timeline, oldest first; FormatError for a line that is none."""
    forks = []
    for line in text.split("\n"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        parts = line.split(None, 2)
        if len(parts) < 2 or not _TIMELINE.fullmatch(parts[0]):
            raise FormatError(f"'{line}' is no line of a timeline history")
        forks.append(Fork(int(parts[0]), lsn_parse(parts[1]), parts[2] if len(parts) == 3 else ""))
    if any(after.timeline <= before.timeline for before, after in zip(forks, forks[1:])):
        raise FormatError("timelines of a history are not ascending")
    return forks
