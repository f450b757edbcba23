# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression types of the repository format (repository reference, section 5).

Every codec streams. Compressors write exactly one gzip member, bzip2 stream or lz4 frame, since
the real reader stops at the end of the first member, and zstd frames in a row, of which it reads
all. Decompressors give bounded pieces however well the input was compressed, and raise when the
stream is damaged, ends early or is followed by anything.
"""

from __future__ import annotations

import bz2
import enum
import threading
import typing as t
import zlib

from .. import dependency
from ..errors import FormatError, OptionInvalidValueError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


Buffer = t.Union[bytes, memoryview]


class Framing(enum.Enum):
    """How a stored stream is wrapped (sections 4, 5 and 12)."""

    WHOLE = "whole"
    """A file of its own: gzip framing, cipher magic."""
    RAW = "raw"
    """A part of a raw bundle, or block data: zlib framing, no cipher magic."""


class CompressType(t.NamedTuple):
    """One row of the table of compression types."""

    name: str
    extension: str
    """What a stored file's name gets, with the dot; empty for none."""
    level: int | None
    """The default; None where there are no levels."""
    levels: range
    """Allowed levels; empty where there are none."""


_NONE = CompressType("none", "", None, range(0))

TYPES: Mapping[str, CompressType] = {
    row.name: row
    for row in (
        _NONE,
        CompressType("gz", ".gz", 6, range(-1, 10)),
        CompressType("bz2", ".bz2", 9, range(1, 10)),
        CompressType("lz4", ".lz4", 1, range(-5, 13)),
        CompressType("zst", ".zst", 3, range(-7, 23)),
    )
}

# zlib's parameters of the real writer: a window of 32 KiB and the most memory.
_ZLIB_MEMORY = 9
_ZLIB_BITS = {Framing.WHOLE: 15 + 16, Framing.RAW: 15}

# Upper bound of one decompressed piece of gz and bz2.
_PIECE = 1 << 20

# One frame of our zstd streams. A compressor that streams moves its window through a buffer, and
# once that has been filled it looks for matches in two places: half as much time again. Up to this
# level the window is hardly larger than a frame, so that nothing is lost.
_ZSTD_FRAME = 1 << 20
_ZSTD_FRAMES_UP_TO = 8

# zstd's binding cannot bound its output, but a block of at most 128 KiB takes at least 4 bytes of
# input: slices this small cost no measurable time and give at most 32 MiB at once, whatever comes.
_ZSTD_SLICE = 1024


def compress_type(name: str) -> CompressType:
    """The table row of an option value or manifest value; raises OptionInvalidValueError."""
    try:
        return TYPES[name]
    except KeyError:
        raise OptionInvalidValueError(
            f"'{name}' is not a compression type", hint=f"the types are {', '.join(TYPES)}."
        ) from None


def type_of_name(file_name: str) -> CompressType:
    """The compression type that a stored WAL file's extension tells; none without a known one."""
    for row in TYPES.values():
        if row.extension and file_name.endswith(row.extension):
            return row
    return _NONE


class Compressor(t.Protocol):
    """A stream into the repository."""

    def update(self, data: Buffer) -> bytes:
        """Take source bytes; what comes back may be empty."""

    def finish(self) -> bytes:
        """The rest; call once."""


class Decompressor(t.Protocol):
    """A stream out of the repository."""

    def pieces(self, data: Buffer) -> Iterator[bytes]:
        """Take stored bytes; give bounded pieces. Must be consumed before the next call."""

    def finish(self) -> bytes:
        """The rest; raises FormatError when the stream is not complete. Call once."""


def compressor(
    name: str, level: int | None = None, *, framing: Framing = Framing.WHOLE
) -> Compressor:
    """A new compressor; ``level`` None is the type's default. Raises OptionInvalidValueError."""
    row = compress_type(name)
    if level is None:
        level = row.level
    elif row.levels and level not in row.levels:
        raise OptionInvalidValueError(
            f"compression level {level} is outside of {row.levels[0]}..{row.levels[-1]} "
            f"for '{name}'"
        )
    if name == "gz":
        return _FlushCompressor(
            zlib.compressobj(t.cast(int, level), zlib.DEFLATED, _ZLIB_BITS[framing], _ZLIB_MEMORY)
        )
    if name == "bz2":
        return _FlushCompressor(bz2.BZ2Compressor(t.cast(int, level)))
    if name == "zst":
        if t.cast(int, level) > _ZSTD_FRAMES_UP_TO:
            return _FlushCompressor(_zstd_context(t.cast(int, level)).compressobj())
        return _ZstCompressor(t.cast(int, level))
    if name == "lz4":
        from .lz4_frame import Lz4Compressor

        return Lz4Compressor(t.cast(int, level), content_checksum=framing is Framing.WHOLE)
    return _Plain()


def decompressor(name: str, *, framing: Framing = Framing.WHOLE) -> Decompressor:
    """A new decompressor; raises OptionInvalidValueError for a name that is none."""
    compress_type(name)
    if name == "gz":
        return _GzDecompressor(framing)
    if name == "bz2":
        return _Bz2Decompressor()
    if name == "zst":
        return _ZstDecompressor()
    if name == "lz4":
        from .lz4_frame import Lz4Decompressor

        return Lz4Decompressor()
    return _Plain()


class _Plain:
    """The identity, for 'none', in both directions."""

    def update(self, data: Buffer) -> bytes:
        return bytes(data)

    def pieces(self, data: Buffer) -> Iterator[bytes]:
        yield bytes(data)

    def finish(self) -> bytes:
        return b""


class _FlushCompressor:
    """zlib, bz2 and zstandard agree on compress() and flush()."""

    def __init__(self, stream: t.Any) -> None:
        self._stream = stream

    def update(self, data: Buffer) -> bytes:
        return t.cast(bytes, self._stream.compress(data))

    def finish(self) -> bytes:
        return t.cast(bytes, self._stream.flush())


# Of this thread, by level: the tables are made once, which is half the work for a small file. Only
# what is compressed at once may share them.
_contexts = threading.local()


def _zstd_context(level: int) -> t.Any:
    """A new one, without content size and checksum, as the real writer."""
    return dependency.zstandard().ZstdCompressor(level=level, write_content_size=False)


class _ZstCompressor:
    """Frames, each of them compressed at once."""

    def __init__(self, level: int) -> None:
        known = t.cast("dict[int, t.Any]", _contexts.__dict__)
        if level not in known:
            known[level] = _zstd_context(level)
        self._context = known[level]
        self._held = bytearray()
        self._begun = False

    def update(self, data: Buffer) -> bytes:
        frames = []
        view = memoryview(data)
        if self._held:
            missing = _ZSTD_FRAME - len(self._held)
            self._held += view[:missing]
            view = view[missing:]
            if len(self._held) == _ZSTD_FRAME:
                frames.append(self._frame(self._held))
                self._held = bytearray()
        while len(view) >= _ZSTD_FRAME:
            frames.append(self._frame(view[:_ZSTD_FRAME]))
            view = view[_ZSTD_FRAME:]
        self._held += view
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def finish(self) -> bytes:
        # What is empty is one frame, too.
        return b"" if self._begun and not self._held else self._frame(self._held)

    def _frame(self, data: bytearray | memoryview) -> bytes:
        self._begun = True
        return t.cast(bytes, self._context.compress(data))


def _damaged(name: str, cause: Exception) -> FormatError:
    return FormatError(f"{name} stream is damaged: {cause}")


def _incomplete(name: str) -> FormatError:
    return FormatError(f"unexpected end of {name} stream")


def _trailing(name: str) -> FormatError:
    # The real reader ignores what follows the first member, so that such a file would come back
    # short; nobody writes one on purpose.
    return FormatError(f"unexpected data after the end of {name} stream")


class _GzDecompressor:
    def __init__(self, framing: Framing) -> None:
        self._stream = zlib.decompressobj(_ZLIB_BITS[framing])

    def pieces(self, data: Buffer) -> Iterator[bytes]:
        if data and self._stream.eof:
            raise _trailing("gz")
        while data:
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error as cause:
                raise _damaged("gz", cause) from cause
            if piece:
                yield piece
            if self._stream.unused_data:
                raise _trailing("gz")
            data = self._stream.unconsumed_tail

    def finish(self) -> bytes:
        # What is left is less than one back reference: its bound is 258 bytes.
        try:
            rest = self._stream.flush()
        except zlib.error as cause:
            raise _damaged("gz", cause) from cause
        if not self._stream.eof:
            raise _incomplete("gz")
        return rest


class _Bz2Decompressor:
    def __init__(self) -> None:
        self._stream = bz2.BZ2Decompressor()

    def pieces(self, data: Buffer) -> Iterator[bytes]:
        if data and self._stream.eof:
            raise _trailing("bz2")
        while data or not (self._stream.needs_input or self._stream.eof):
            try:
                piece = self._stream.decompress(data, _PIECE)
            except OSError as cause:
                raise _damaged("bz2", cause) from cause
            data = b""
            if piece:
                yield piece
        if self._stream.unused_data != b"":
            raise _trailing("bz2")

    def finish(self) -> bytes:
        if not self._stream.eof:
            raise _incomplete("bz2")
        return b""


class _ZstDecompressor:
    """Concatenated frames are one stream, as for the real reader."""

    def __init__(self) -> None:
        library = dependency.zstandard()
        self._error = library.ZstdError
        self._context = library.ZstdDecompressor()
        self._stream = self._frame()
        self._fed = False

    def _frame(self) -> t.Any:
        stream = self._context.decompressobj()
        if hasattr(stream, "eof"):
            return stream
        from .zstd_frame import EndlessStream

        return EndlessStream(stream, self._error)

    def pieces(self, data: Buffer) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            piece: Buffer = data[start : start + _ZSTD_SLICE]
            while piece:
                if self._stream.eof:
                    self._stream = self._frame()
                self._fed = True
                try:
                    output = self._stream.decompress(piece)
                except self._error as cause:
                    raise _damaged("zst", cause) from cause
                piece = self._stream.unused_data if self._stream.eof else b""
                if output:
                    yield output

    def finish(self) -> bytes:
        if not (self._fed and self._stream.eof):
            raise _incomplete("zst")
        return b""
