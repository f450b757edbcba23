# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files block by block: whatever a chain of backups stores gives back the file."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import blockmap
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.block_encoder import (
    BlockEncoder,
    Place,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.blockmap import (
    Chain,
    MapEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import Block
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    decode,
)

SIZE = 8192
BLOCK = Block(SIZE)
SUPER = 4 * SIZE
ENCODINGS = [Encoding(), Encoding("zst", 3), Encoding("gz", 1, "secret"), Encoding("lz4", 1)]


class History:
    """Backups of one file: what each stored, and the newest map."""

    def __init__(self, encoding: Encoding) -> None:
        self.chain = Chain("demo", (), encoding)
        self.stored: list[bytes] = []
        self.entries: list[MapEntry] = []

    def back_up(self, content: bytes, step: int = 20_000, offset: int = 100) -> BlockEncoder:
        """One more backup, into a bundle where the file begins at ``offset``."""
        number = len(self.stored)
        self.chain = self.chain._replace(references=(*self.chain.references, f"L{number}"))
        encoder = BlockEncoder(
            self.chain.encoding, BLOCK, SUPER, Place(number, number, offset), self.entries
        )
        output = b"".join(
            encoder.update(content[start : start + step]) for start in range(0, len(content), step)
        )
        output += encoder.finish()
        self.stored.append(bytes(offset) + output)
        assert encoder.source_sha1 == hashlib.sha1(content).hexdigest()
        assert encoder.stored_sha1 == hashlib.sha1(output).hexdigest()
        assert (encoder.source_size, encoder.stored_size) == (len(content), len(output))
        self.entries = blockmap.load_map(
            self.chain,
            "file",
            encoder.block,
            output[len(output) - encoder.block.map_size :],
            len(content),
        )
        return encoder

    def content(self) -> bytes:
        """The file as a restore of the newest backup sees it."""
        contents = [
            decode(
                self.stored[unit.reference][unit.offset : unit.offset + unit.stored_size],
                self.chain.encoding,
                framing=blockmap.FRAMING,
            )
            for unit in blockmap.super_blocks(self.entries)
        ]
        return b"".join(blockmap.assemble(self.entries, SIZE, contents))


@given(
    st.lists(
        st.tuples(st.integers(1, 12 * SIZE), st.lists(st.integers(0, 11), max_size=4)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(ENCODINGS),
)
def test_any_chain_gives_back_the_file(
    steps: list[tuple[int, list[int]]], encoding: Encoding
) -> None:
    source = random.Random(1)
    history = History(encoding)
    file = source.randbytes(12 * SIZE)
    for size, changed in steps:
        for number in changed:
            file = file[: number * SIZE] + source.randbytes(SIZE) + file[(number + 1) * SIZE :]
        history.back_up(file[:size])
        assert history.content() == file[:size]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.compress_type)
@pytest.mark.parametrize("step", [1000, SIZE, 1 << 20])
def test_only_what_changed_is_stored(encoding: Encoding, step: int) -> None:
    source = random.Random(2)
    file = source.randbytes(20 * SIZE + 5)
    history = History(encoding)
    full = history.back_up(file, step)
    assert full.stored_size > len(file)
    assert len({entry.super_block for entry in history.entries}) == 6
    file = file[: 3 * SIZE] + source.randbytes(SIZE) + file[4 * SIZE :]
    incr = history.back_up(file, step)
    assert incr.stored_size < SIZE + 1000
    assert [entry.super_block.reference for entry in history.entries] == [0] * 3 + [1] + [0] * 17
    assert history.content() == file


def test_nothing_comes_out_of_an_unchanged_file_but_the_map() -> None:
    file = random.Random(3).randbytes(20 * SIZE)
    history = History(Encoding("zst", 3))
    history.back_up(file)
    same = history.back_up(file)
    assert same.stored_size == same.block.map_size


def test_a_file_that_was_cut_needs_no_block_but_a_map() -> None:
    file = random.Random(4).randbytes(20 * SIZE)
    history = History(Encoding("zst", 3))
    history.back_up(file)
    cut = history.back_up(file[: 7 * SIZE])
    assert cut.stored_size == cut.block.map_size
    assert history.content() == file[: 7 * SIZE]


def test_a_block_that_grew_at_the_end_is_another_block() -> None:
    file = random.Random(5).randbytes(3 * SIZE)
    history = History(Encoding())
    history.back_up(file[: 2 * SIZE + 100])
    history.back_up(file)
    assert [entry.super_block.reference for entry in history.entries] == [0, 0, 1]
    assert history.content() == file


def test_a_wider_checksum_is_kept_whole() -> None:
    encoder = BlockEncoder(Encoding(), Block(32 * 1024, 7), 1 << 20, Place(0))
    output = encoder.update(bytes(100_000)) + encoder.finish()
    stored_map = output[len(output) - encoder.block.map_size :]
    entries = blockmap.parse(stored_map, 32 * 1024, 7)
    assert len(entries) == 4
    assert {len(entry.checksum) for entry in entries} == {7}
