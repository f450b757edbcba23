# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LZ4 frames, through the system's liblz4 (lz4frame.h; repository reference, section 5).

The frames are those of the real writer: linked blocks of 64 KiB, no content size. A file of its own
carries a checksum of its content, a part of a raw bundle does not.
"""

from __future__ import annotations

import ctypes
import typing as t

from .. import dependency
from ..errors import FormatError, ServiceError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .compression import Buffer

_VERSION = 100  # LZ4F_VERSION

# Source bytes of one call, and what a decompressed piece holds at most.
_SLICE = 1 << 18


class _FrameInfo(ctypes.Structure):
    """LZ4F_frameInfo_t. Zeros are the defaults: blocks of 64 KiB, linked, no checksums."""

    _fields_ = (
        ("block_size_id", ctypes.c_int),
        ("block_mode", ctypes.c_int),
        ("content_checksum", ctypes.c_int),
        ("frame_type", ctypes.c_int),
        ("content_size", ctypes.c_ulonglong),
        ("dictionary_id", ctypes.c_uint),
        ("block_checksum", ctypes.c_int),
    )


class _Preferences(ctypes.Structure):
    """LZ4F_preferences_t."""

    _fields_ = (
        ("frame_info", _FrameInfo),
        ("compression_level", ctypes.c_int),
        ("auto_flush", ctypes.c_uint),
        ("favor_decompression_speed", ctypes.c_uint),
        ("reserved", ctypes.c_uint * 3),
    )


_PROTOTYPES: dict[str, tuple[t.Any, tuple[t.Any, ...]]] = {
    "LZ4F_isError": (ctypes.c_uint, (ctypes.c_size_t,)),
    "LZ4F_getErrorName": (ctypes.c_char_p, (ctypes.c_size_t,)),
    "LZ4F_createCompressionContext": (ctypes.c_size_t, (ctypes.c_void_p, ctypes.c_uint)),
    "LZ4F_freeCompressionContext": (ctypes.c_size_t, (ctypes.c_void_p,)),
    "LZ4F_compressBound": (ctypes.c_size_t, (ctypes.c_size_t, ctypes.c_void_p)),
    "LZ4F_compressBegin": (
        ctypes.c_size_t,
        (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
    ),
    "LZ4F_compressUpdate": (
        ctypes.c_size_t,
        (
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
        ),
    ),
    "LZ4F_compressEnd": (
        ctypes.c_size_t,
        (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
    ),
    "LZ4F_createDecompressionContext": (ctypes.c_size_t, (ctypes.c_void_p, ctypes.c_uint)),
    "LZ4F_freeDecompressionContext": (ctypes.c_size_t, (ctypes.c_void_p,)),
    "LZ4F_decompress": (
        ctypes.c_size_t,
        (
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ),
    ),
}


def _library() -> t.Any:
    """liblz4 with typed functions; ServiceError where it is not installed."""
    library = dependency.lz4()
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Lz4Compressor:
    """Writes one frame."""

    def __init__(self, level: int, *, content_checksum: bool) -> None:
        self._library = _library()
        self._context = ctypes.c_void_p()
        self._check(
            self._library.LZ4F_createCompressionContext(ctypes.byref(self._context), _VERSION)
        )
        self._preferences = _Preferences(
            frame_info=_FrameInfo(content_checksum=int(content_checksum)), compression_level=level
        )
        self._room = self._library.LZ4F_compressBound(_SLICE, ctypes.byref(self._preferences))
        self._output = ctypes.create_string_buffer(self._room)
        self._head = self._take(
            self._library.LZ4F_compressBegin(
                self._context, self._output, self._room, ctypes.byref(self._preferences)
            )
        )

    def update(self, data: Buffer) -> bytes:
        """Take source bytes; what comes back may be empty."""
        pieces = [self._head]
        self._head = b""
        for start in range(0, len(data), _SLICE):
            piece = bytes(data[start : start + _SLICE])
            pieces.append(
                self._take(
                    self._library.LZ4F_compressUpdate(
                        self._context, self._output, self._room, piece, len(piece), None
                    )
                )
            )
        return b"".join(pieces)

    def finish(self) -> bytes:
        """The rest; call once."""
        tail = self._library.LZ4F_compressEnd(self._context, self._output, self._room, None)
        return self._head + self._take(tail)

    def _take(self, size: int) -> bytes:
        self._check(size)
        return ctypes.string_at(self._output, size)

    def _check(self, result: int) -> None:
        if self._library.LZ4F_isError(result):
            raise ServiceError(f"lz4 cannot compress: {_error_name(self._library, result)}")

    def __del__(self) -> None:
        # Absent when the constructor did not come so far.
        if getattr(self, "_context", None):
            self._library.LZ4F_freeCompressionContext(self._context)


class Lz4Decompressor:
    """Reads frames; several in a row are one stream, as for the real reader."""

    def __init__(self) -> None:
        self._library = _library()
        self._context = ctypes.c_void_p()
        result = self._library.LZ4F_createDecompressionContext(
            ctypes.byref(self._context), _VERSION
        )
        if self._library.LZ4F_isError(result):
            raise ServiceError(f"lz4 cannot decompress: {_error_name(self._library, result)}")
        self._output = ctypes.create_string_buffer(_SLICE)
        self._wanted = 1  # what the library would like to see next; 0 at the end of a frame

    def pieces(self, data: Buffer) -> Iterator[bytes]:
        """Take stored bytes; give bounded pieces. Must be consumed before the next call."""
        for start in range(0, len(data), _SLICE):
            left = bytes(data[start : start + _SLICE])
            while True:
                taken = ctypes.c_size_t(len(left))
                given = ctypes.c_size_t(_SLICE)
                result = self._library.LZ4F_decompress(
                    self._context,
                    self._output,
                    ctypes.byref(given),
                    left,
                    ctypes.byref(taken),
                    None,
                )
                if self._library.LZ4F_isError(result):
                    name = _error_name(self._library, result)
                    raise FormatError(f"lz4 stream is damaged: {name}")
                self._wanted = result
                left = left[taken.value :]
                if given.value:
                    yield ctypes.string_at(self._output, given.value)
                # A full buffer may have more behind it, for which no input is needed.
                if not left and (given.value < _SLICE or result == 0):
                    break

    def finish(self) -> bytes:
        """The rest; raises FormatError when the stream is not complete. Call once."""
        if self._wanted:
            raise FormatError("unexpected end of lz4 stream")
        return b""

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._library.LZ4F_freeDecompressionContext(self._context)


def _error_name(library: t.Any, result: int) -> str:
    return t.cast(bytes, library.LZ4F_getErrorName(result)).decode("ascii", "replace")
