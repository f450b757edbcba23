# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every type streams both ways, in the framing that the format asks for."""

from __future__ import annotations

import bz2
import concurrent.futures
import ctypes
import gzip
import io
import random
import shutil
import subprocess
import zlib

import pytest
import zstandard

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    FormatError,
    OptionInvalidValueError,
    ServiceError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform import compression
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.compression import (
    Framing,
)

CODED = ("gz", "bz2", "zst", "lz4")


def pack(
    name: str, data: bytes, framing: Framing = Framing.WHOLE, level: int | None = None
) -> bytes:
    stream = compression.compressor(name, level, framing=framing)
    return stream.update(data[:10]) + stream.update(data[10:]) + stream.finish()


def unpack(name: str, data: bytes, framing: Framing = Framing.WHOLE, step: int = 1 << 20) -> bytes:
    stream = compression.decompressor(name, framing=framing)
    output = [
        piece
        for start in range(0, len(data), step)
        for piece in stream.pieces(data[start : start + step])
    ]
    return b"".join(output) + stream.finish()


@pytest.fixture(params=["empty", "short", "zeros", "mixed"])
def content(request: pytest.FixtureRequest) -> bytes:
    return {
        "empty": b"",
        "short": b"15\n",
        "zeros": bytes(5_000_000),
        "mixed": random.Random(1).randbytes(300_000) + b"abc" * 400_000,
    }[request.param]


@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize("name", list(compression.TYPES))
@pytest.mark.parametrize("step", [7919, 1 << 20])
def test_what_goes_in_comes_out(name: str, framing: Framing, content: bytes, step: int) -> None:
    assert unpack(name, pack(name, content, framing), framing, step) == content


def test_the_library_readers_agree(content: bytes) -> None:
    assert gzip.decompress(pack("gz", content)) == content
    assert zlib.decompress(pack("gz", content, Framing.RAW)) == content
    assert bz2.decompress(pack("bz2", content)) == content
    frames = io.BytesIO(pack("zst", content))
    reader = zstandard.ZstdDecompressor().stream_reader(frames, read_across_frames=True)
    assert reader.read() == content


def test_headers_are_those_of_the_real_writer() -> None:
    assert pack("gz", b"x" * 100).hex().startswith("1f8b08000000000000")
    assert pack("gz", b"x" * 100, Framing.RAW)[0] == 0x78
    for level in (3, 9):
        frame = pack("zst", b"x" * 100, level=level)
        # Magic number, and a descriptor without content size, checksum and dictionary.
        assert frame.hex().startswith("28b52ffd00")
        assert zstandard.frame_content_size(frame) == -1
        assert not zstandard.get_frame_parameters(frame).has_checksum


@pytest.mark.parametrize("level", [-7, 3, 8])
@pytest.mark.parametrize("step", [1000, (1 << 20) - 1, 1 << 20, 3 << 20])
def test_a_zstd_stream_is_frames_of_a_mebibyte(level: int, step: int) -> None:
    content = random.Random(3).randbytes(1 << 16) * 44
    stream = compression.compressor("zst", level)
    stored = b"".join(stream.update(content[at : at + step]) for at in range(0, len(content), step))
    stored += stream.finish()
    assert unpack("zst", stored) == content
    # However the bytes arrive.
    assert stored == pack("zst", content, level=level)
    sizes = []
    while stored:
        reader = zstandard.ZstdDecompressor().decompressobj()
        sizes.append(len(reader.decompress(stored)))
        assert reader.eof
        stored = reader.unused_data
    assert sizes == [1 << 20, 1 << 20, 44 * (1 << 16) - (2 << 20)]


def test_a_zstd_stream_of_a_whole_number_of_frames_has_no_empty_one() -> None:
    assert pack("zst", bytes(2 << 20)) == pack("zst", bytes(1 << 20)) * 2


def test_a_high_level_has_one_frame_for_its_large_window() -> None:
    content = random.Random(4).randbytes(3 << 20)
    reader = zstandard.ZstdDecompressor().decompressobj()
    stored = pack("zst", content * 2, level=19)
    assert reader.decompress(stored) == content * 2
    assert reader.eof and not reader.unused_data
    assert len(stored) < 1.1 * len(content)


def test_threads_compress_at_the_same_time() -> None:
    contents = [bytes([number]) * (3 << 20) for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for content, stored in zip(contents, threads.map(lambda one: pack("zst", one), contents)):
            assert unpack("zst", stored) == content


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("keep", [0, 1, 5, 50, -1])
def test_a_cut_stream_is_refused(name: str, keep: int) -> None:
    whole = pack(name, random.Random(2).randbytes(1000))
    with pytest.raises(FormatError, match=name):
        unpack(name, whole[:keep])


@pytest.mark.parametrize("name", CODED)
def test_a_damaged_stream_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match="damaged"):
        unpack(name, b"this is not compressed at all")


@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("name", ["gz", "bz2"])
def test_nothing_may_follow_the_only_member(name: str, framing: Framing, step: int) -> None:
    member = pack(name, b"content", framing)
    with pytest.raises(FormatError, match="after the end"):
        unpack(name, member + member, framing, step)


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_zstd_frames_in_a_row_are_one_stream(step: int) -> None:
    other = zstandard.ZstdCompressor(write_checksum=True).compress(b"second")
    assert unpack("zst", pack("zst", b"first ") + other, step=step) == b"first second"


@pytest.mark.parametrize("name", CODED)
def test_pieces_are_bounded_however_well_the_input_is_compressed(name: str) -> None:
    packed = pack(name, bytes(200 << 20), level=1)
    stream = compression.decompressor(name)
    sizes = [len(piece) for piece in stream.pieces(packed)]
    assert sum(sizes) + len(stream.finish()) == 200 << 20
    assert max(sizes) <= 32 << 20


def lz4_tool(data: bytes, *arguments: str) -> bytes:
    """The lz4 program, where it is there: the judge of what we write."""
    program = shutil.which("lz4")
    if program is None:
        pytest.skip("no lz4 program")
    return subprocess.run([program, *arguments], input=data, capture_output=True, check=True).stdout


def test_lz4_frames_have_the_header_of_the_real_writer() -> None:
    assert pack("lz4", b"x" * 100).hex().startswith("04224d1844405e")
    assert pack("lz4", b"x" * 100, Framing.RAW).hex().startswith("04224d184040c0")


def test_a_whole_lz4_frame_ends_with_the_checksum_of_its_content() -> None:
    data = random.Random(3).randbytes(1000)
    whole, raw = pack("lz4", data), pack("lz4", data, Framing.RAW)
    assert whole[7:-4] == raw[7:]
    damaged = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(FormatError, match=r"lz4 stream is damaged: .*[cC]ontentChecksum"):
        unpack("lz4", damaged)


def test_the_lz4_program_agrees(content: bytes) -> None:
    for framing in Framing:
        assert lz4_tool(pack("lz4", content, framing), "-dc") == content
    for form in ("-B4", "-B7", "-BI", "--content-size", "--no-frame-crc"):
        assert unpack("lz4", lz4_tool(content, form, "-c")) == content


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_lz4_frames_in_a_row_are_one_stream(step: int) -> None:
    both = pack("lz4", b"first ") + pack("lz4", b"second", Framing.RAW)
    assert unpack("lz4", both, step=step) == b"first second"
    with pytest.raises(FormatError, match="unexpected end of lz4"):
        unpack("lz4", both[:-1], step=step)


def test_every_level_of_lz4_is_its_own() -> None:
    data = b"".join(b"%d," % (number * number) for number in range(50_000))
    sizes = {level: len(pack("lz4", data, level=level)) for level in (-5, 1, 9, 12)}
    assert sorted(sizes.values(), reverse=True) == list(sizes.values())
    assert len(set(sizes.values())) == 4
    assert unpack("lz4", pack("lz4", data, level=12)) == data


def test_a_system_without_lz4_is_told_which_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    for make in (compression.compressor, compression.decompressor):
        with pytest.raises(ServiceError, match="liblz4 cannot be loaded") as caught:
            make("lz4")
        assert "liblz4-1" in str(caught.value.hint)
        assert "lz4-libs" in str(caught.value.hint)


def test_unknown_names_and_levels_are_refused() -> None:
    with pytest.raises(OptionInvalidValueError, match="'rar' is not a compression type"):
        compression.compress_type("rar")
    with pytest.raises(OptionInvalidValueError, match=r"level 23 is outside of -7..22 for 'zst'"):
        compression.compressor("zst", 23)


def test_a_level_counts() -> None:
    data = b"".join(b"%d," % number for number in range(50_000))
    assert len(pack("zst", data, level=19)) < len(pack("zst", data, level=-5))


def test_extensions_tell_the_type() -> None:
    assert compression.type_of_name("0000-aa.zst").name == "zst"
    assert compression.type_of_name("0000-aa.lz4").name == "lz4"
    assert compression.type_of_name("0000-aa").name == "none"
    assert compression.type_of_name("0000.backup").extension == ""
