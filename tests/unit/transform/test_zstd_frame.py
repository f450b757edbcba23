# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A zstd binding that does not tell where a frame ends, as before 0.18, gives the same results."""

from __future__ import annotations

import random
import struct
import types
import typing as t

import pytest
import zstandard

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import dependency
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform import compression
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.zstd_frame import (
    FrameEnd,
)

STEPS = [1, 3, 1000, 1 << 20]


class OldStream:
    """What ``decompressobj`` gives before 0.18: it ignores what follows the frame, and says so
    only by its refusal to be used again."""

    def __init__(self, stream: t.Any) -> None:
        self._stream = stream
        self._done = False

    def decompress(self, data: t.Any) -> bytes:
        if self._done:
            raise zstandard.ZstdError("cannot use a decompressobj multiple times")
        output = self._stream.decompress(data)
        self._done = getattr(self._stream, "eof", self._done)
        return output


class OldDecompressor:
    def decompressobj(self) -> OldStream:
        return OldStream(zstandard.ZstdDecompressor().decompressobj())


@pytest.fixture(autouse=True)
def _old(monkeypatch: pytest.MonkeyPatch) -> None:
    library = types.SimpleNamespace(ZstdError=zstandard.ZstdError, ZstdDecompressor=OldDecompressor)
    monkeypatch.setattr(dependency, "zstandard", lambda: library)


def frame(data: bytes, level: int = 3, **settings: bool) -> bytes:
    return zstandard.ZstdCompressor(level=level, **settings).compress(data)


def streamed(data: bytes) -> bytes:
    """As the engine writes it: without the size of the content."""
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return stream.compress(data) + stream.flush()


def skippable(size: int) -> bytes:
    return struct.pack("<II", 0x184D2A53, size) + bytes(size)


def unpack(data: bytes, step: int = 1 << 20) -> bytes:
    stream = compression.decompressor("zst")
    output = [
        piece
        for start in range(0, len(data), step)
        for piece in stream.pieces(memoryview(data)[start : start + step])
    ]
    return b"".join(output) + stream.finish()


NOISE = random.Random(4).randbytes(400_000)

# Each size of the header's fields, and each type of block.
CONTENTS = {
    "nothing": b"",
    "a byte": b"x",
    "raw": NOISE[:300],
    "repeated": bytes(1_000_000),
    "blocks": NOISE,
    "compressed": b"".join(b"%d," % number for number in range(100_000)),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_every_form_of_frame(content: bytes, checksum: bool, step: int) -> None:
    if step == 1:
        content = content[:20_000]
    assert unpack(frame(content, write_checksum=checksum), step) == content
    assert unpack(frame(content, write_content_size=False), step) == content
    assert unpack(streamed(content), step) == content


@pytest.mark.parametrize("step", STEPS)
def test_frames_in_a_row_are_one_stream(step: int) -> None:
    parts = [streamed(b"first "), skippable(10), frame(b"", write_checksum=True), skippable(0)]
    data = b"".join(parts) + frame(b"second") + skippable(3)
    assert unpack(data, step) == b"first second"


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_every_cut_is_noticed(step: int) -> None:
    ends = []
    data = b""
    for part in (streamed(b"first"), skippable(3), frame(NOISE[:70], write_checksum=True)):
        data += part
        ends.append(len(data))
    for size in range(len(data)):
        if size in ends:
            continue
        with pytest.raises(FormatError, match="zst"):
            unpack(data[:size], step)


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("tail", [b"x", b"1234567890", bytes(4), streamed(b"next")[:-1]])
def test_what_follows_the_end_and_is_no_frame_is_refused(tail: bytes, step: int) -> None:
    with pytest.raises(FormatError, match="zst"):
        unpack(streamed(b"content") + tail, step)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_changed_byte_is_refused_or_not_noticed_by_either(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(5)
    whole = streamed(content)
    for _number in range(60):
        place = chance.randrange(min(len(whole), 200))
        data = bytearray(whole)
        data[place] ^= 1 << chance.randrange(8)
        outcomes = []
        for library in (dependency.zstandard(), zstandard):
            with monkeypatch.context() as patch:
                patch.setattr(dependency, "zstandard", lambda library=library: library)
                try:
                    outcomes.append(unpack(bytes(data)))
                except FormatError:
                    outcomes.append(None)
        assert outcomes[0] == outcomes[1], (place, data[place])


def test_an_end_that_the_library_does_not_see_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they disagree about must not end a file early."""
    monkeypatch.setattr(FrameEnd, "find", lambda self, data: min(20, len(data)))
    with pytest.raises(FormatError, match="zst stream is damaged"):
        unpack(streamed(NOISE[:1000]))
