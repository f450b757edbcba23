# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pixels of a PNG file, as far as a browser writes them: 8 bits a channel, not interlaced."""

from __future__ import annotations

import collections
import struct
import zlib


def size(data: bytes) -> tuple[int, int]:
    """Width and height."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def colours(data: bytes) -> collections.Counter[tuple[int, ...]]:
    """How many pixels have a colour (red, green, blue)."""
    width, _height = size(data)
    depth, kind, _compression, _filter, interlaced = data[24:29]
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[kind]
    packed, position = b"", 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            packed += data[position + 8 : position + 8 + length]
        position += 12 + length
    raw = zlib.decompress(packed)
    stride = width * channels
    above = bytearray(stride)
    found: collections.Counter[tuple[int, ...]] = collections.Counter()
    for start in range(0, len(raw), stride + 1):
        row = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], row, above, channels)
        found.update(zip(row[0::channels], row[1::channels], row[2::channels]))
        above = row
    return found


def _unfilter(kind: int, row: bytearray, above: bytearray, step: int) -> None:
    """Undo the filter of a row (PNG specification, section 9.2)."""
    for i in range(len(row) if kind else 0):
        left = row[i - step] if i >= step else 0
        up = above[i]
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            corner = above[i - step] if i >= step else 0
            base = left + up - corner
            guess = min((left, up, corner), key=lambda value: abs(base - value))
        row[i] = (row[i] + guess) & 0xFF
