# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a zstd frame ends (RFC 8878, section 3), for bindings that do not tell.

Before 0.18, which Ubuntu 22.04 and Enterprise Linux 9 have, ``decompressobj`` ignores what follows
a frame, and does not say whether it has seen the end. Only lengths are read here: it is the library
that decides whether a frame is sound.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .compression import Buffer

_MAGIC = 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)

# Bytes of the fields of a frame header, by the flags of its descriptor.
_DICTIONARY_ID = (0, 1, 2, 4)
_CONTENT_SIZE = (0, 2, 4, 8)
_RLE_BLOCK = 1

# A part of a frame: how many bytes are skipped until the next field that has to be read, that
# field's size, and what reads it. The frame ends where there is none.
_Next = t.Optional[tuple[int, int, t.Callable[[int], t.Any]]]


class FrameEnd:
    """Follows the bytes of one frame to its end."""

    def __init__(self) -> None:
        self._skip = 0
        self._want = 4
        self._field = b""
        self._read: t.Callable[[int], _Next] | None = self._magic
        self._checksum = 0

    def find(self, data: Buffer) -> int | None:
        """Where in ``data``, which goes on from the last call, the frame ends; None if it does not.

        What is no frame has no end.
        """
        at = 0
        while True:
            step = min(self._skip, len(data) - at)
            self._skip -= step
            at += step
            if self._skip == 0 and self._read is None:
                return at
            part = bytes(data[at : at + self._want - len(self._field)])
            if self._skip or not part:
                return None
            at += len(part)
            self._field += part
            if len(self._field) == self._want and self._read is not None:
                self._go_on(self._read(int.from_bytes(self._field, "little")))

    def _go_on(self, following: _Next) -> None:
        self._field = b""
        if following is None:
            self._want, self._read = 0, None
        else:
            self._skip, self._want, self._read = following

    def _magic(self, value: int) -> _Next:
        if value == _MAGIC:
            return 0, 1, self._descriptor
        if value in _SKIPPABLE:
            return 0, 4, self._skippable
        return 0, 1, self._nothing

    def _nothing(self, _value: int) -> _Next:
        return 0, 1, self._nothing

    def _skippable(self, size: int) -> _Next:
        self._skip = size
        return None

    def _descriptor(self, flags: int) -> _Next:
        single_segment = flags >> 5 & 1
        self._checksum = 4 * (flags >> 2 & 1)
        window = 1 - single_segment
        content = _CONTENT_SIZE[flags >> 6] or single_segment
        return window + _DICTIONARY_ID[flags & 3] + content, 3, self._block

    def _block(self, header: int) -> _Next:
        size = 1 if header >> 1 & 3 == _RLE_BLOCK else header >> 3
        if header & 1:
            self._skip = size + self._checksum
            return None
        return size, 3, self._block


class EndlessStream:
    """A ``decompressobj`` of an old binding, with the end of the frame that newer ones tell."""

    def __init__(self, stream: t.Any, error: type[Exception]) -> None:
        self._stream = stream
        self._error = error
        self._end = FrameEnd()
        self.eof = False
        self.unused_data: Buffer = b""

    def decompress(self, data: Buffer) -> bytes:
        """The content of ``data``; raises the binding's error for what is no frame."""
        end = self._end.find(data)
        if end is None:
            return t.cast(bytes, self._stream.decompress(data))
        output = t.cast(bytes, self._stream.decompress(data[:end]))
        self._confirm()
        self.eof = True
        self.unused_data = data[end:]
        return output

    def _confirm(self) -> None:
        """The binding refuses to be used after the end: that is how it says that it has seen it."""
        try:
            self._stream.decompress(b"")
        except self._error:
            return
        raise self._error("the frame goes on after its last block")
