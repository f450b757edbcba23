# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file out of super blocks, and out of some that are not what the map says."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import blocks
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.blockmap import Chain
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import Block
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.stored import Stored
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    Framing,
    encode,
)

LABEL = "20261122-110720F"
ENCODING = Encoding("zst", 3)


def number(value):
    output = bytearray()
    while value > 127:
        output.append(value & 127 | 128)
        value >>= 7
    return bytes([*output, value])


@pytest.fixture
def content(tmp_path):
    """What is read of a file of one block whose super block holds that much."""

    def read(size):
        unit = encode(bytes(size), ENCODING, framing=Framing.RAW)
        block_map = b"\0" + number(1) + number(len(unit) << 3 | 1) + b"abcdef"
        path = f"backup/demo/{LABEL}/pg_data/f.pgbi"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(unit + block_map)
        stored = Stored(path, 0, len(unit) + len(block_map), Framing.RAW)
        chain = Chain("demo", (LABEL,), ENCODING)
        block = Block(8192, 6, len(block_map))
        storage = PosixStorage(str(tmp_path))
        return b"".join(blocks.content(storage, chain, "pg_data/f", stored, block, 8192))

    return read


def test_one_block(content):
    assert content(8192) == bytes(8192)


@pytest.mark.parametrize("size", [8193, 64 << 20])
def test_a_bomb_is_not_held(content, size):
    with pytest.raises(FormatError, match="more than 8192 bytes"):
        content(size)
