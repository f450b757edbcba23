# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file out of super blocks, and out of some that are not what the map says."""

from __future__ import annotations

import itertools
import struct

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import blocks
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    EngineError,
    FileReadError,
    FormatError,
    StorageError,
    StorageMissingError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import layout
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
        return blocks.content(storage, chain, blocks.BlockFile("pg_data/f", stored, block, 8192))

    return read


def test_one_block(content):
    assert content(8192) == bytes(8192)


@pytest.mark.parametrize("size", [8193, 64 << 20])
def test_a_bomb_is_not_held(content, size):
    with pytest.raises(FormatError, match="more than 8192 bytes"):
        content(size)


# --- many files ------------------------------------------------------------------------------

OLD, NEW = LABEL, f"{LABEL}_20261123-110720I"
BLOCK = 8192
PLAIN = Chain("demo", (OLD, NEW), Encoding())


class Counting(PosixStorage):
    """Remembers what is read."""

    def __init__(self, root):
        super().__init__(root)
        self.asked = []

    def reader(self, path, *, offset=0, size=None):
        self.asked.append((path.rpartition("/")[2], offset, size))
        return super().reader(path, offset=offset, size=size)


class Backups:
    """Two backups with a bundle each, in which nothing is compressed."""

    def __init__(self, root):
        self.storage = Counting(str(root))
        self.bundles = {OLD: bytearray(), NEW: bytearray()}
        self.root = root
        self.files = []
        self.expected = []

    def add(self, *places):
        """A file of as many blocks as there are labels, each in the bundle of that backup."""
        number_of = len(self.files)
        content = [struct.pack(">HH", number_of, at) * (BLOCK // 4) for at in range(len(places))]
        starts = {}
        for label in (OLD, NEW):
            starts[label] = len(self.bundles[label])
            for place, one in zip(places, content):
                if place == label:
                    self.bundles[label] += one
        runs = [(label, list(group)) for label, group in itertools.groupby(places)]
        stored_map = bytearray(b"\0")
        seen = set()
        for at, (label, group) in enumerate(runs):
            first = label not in seen
            seen.add(label)
            flags = (at == len(runs) - 1) | ((2 | (4 if starts[label] else 0)) if first else 0)
            stored_map += number(PLAIN.references.index(label) << 3 | flags)
            if first:
                stored_map += number(1)
                stored_map += number(starts[label]) if starts[label] else b""
            for count in range(len(group)):
                size = BLOCK if at == count == 0 else 0
                stored_map += number(size << 3 | (count == len(group) - 1)) + b"abcdef"
        self.bundles[NEW] += stored_map
        path = layout.bundle_path("demo", NEW, 1)
        stored = Stored(path, starts[NEW], len(self.bundles[NEW]) - starts[NEW], Framing.RAW)
        block = Block(BLOCK, 6, len(stored_map))
        self.files.append(
            blocks.BlockFile(f"pg_data/{number_of}", stored, block, len(places) * BLOCK)
        )
        self.expected.append(b"".join(content))

    def write(self, *labels):
        """Store the bundles of these backups."""
        for label in labels or self.bundles:
            self.storage.write(layout.bundle_path("demo", label, 1), bytes(self.bundles[label]))

    def contents(self):
        return blocks.contents(self.storage, PLAIN, self.files)

    def read(self):
        """The content of each file, or its error."""
        found = {}
        for at, pieces in self.contents():
            try:
                found[at] = b"".join(pieces)
            except EngineError as error:
                found[at] = type(error)
        return [found[at] for at in range(len(self.files))]


@pytest.fixture
def backups(tmp_path):
    return Backups(tmp_path)


def test_many_small_files_are_read_with_their_maps(backups):
    for _number in range(100):
        backups.add(NEW, NEW)
    backups.write()
    assert backups.read() == backups.expected
    (asked,) = backups.storage.asked
    assert asked == ("1", 0, len(backups.bundles[NEW]))


def test_the_files_of_each_batch_are_read_together(backups):
    for _number in range(600):
        backups.add(NEW)
    backups.write()
    assert backups.read() == backups.expected
    assert len(backups.storage.asked) == 3


def test_of_large_files_few_maps_are_held(tmp_path):
    """Those of files of a gigabyte have a hundred thousand blocks each."""
    (tmp_path / "backup/demo" / NEW / "pg_data").mkdir(parents=True)
    files, size = [], 300_000
    for at in range(5):
        path = f"backup/demo/{NEW}/pg_data/{at}.pgbi"
        (tmp_path / path).write_bytes(bytes(2 << 20))
        files.append(
            blocks.BlockFile(
                f"pg_data/{at}", Stored(path, 0, 2 << 20, Framing.RAW), Block(BLOCK, 6, size), 1
            )
        )
    storage = Counting(str(tmp_path))
    seen = []
    for at, pieces in blocks.contents(storage, PLAIN, files):
        with pytest.raises(FormatError):
            next(pieces)
        seen.append((at, len(storage.asked)))
    assert seen == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


def test_blocks_of_an_earlier_backup_are_fetched(backups):
    for _number in range(20):
        backups.add(OLD, NEW, OLD, OLD)
        backups.add(NEW)
    backups.write()
    assert backups.read() == backups.expected
    ours, *old = backups.storage.asked
    assert ours[2] == len(backups.bundles[NEW])
    # The last two of a file lie together.
    assert [size for _name, _offset, size in old] == [BLOCK, 2 * BLOCK] * 20


def test_of_a_large_file_nothing_is_read_twice(backups):
    backups.add(*[NEW] * 300)
    backups.write()
    assert backups.read() == backups.expected
    first, *runs = backups.storage.asked
    assert first[2] == backups.files[0].block.map_size
    assert [size for _name, _offset, size in runs] == [128 * BLOCK, 128 * BLOCK, 44 * BLOCK]


def test_what_is_not_taken_is_passed_over(backups):
    for _number in range(6):
        backups.add(OLD, NEW, OLD)
    backups.write()
    found = []
    for at, pieces in backups.contents():
        if at == 1:
            continue
        if at == 2:
            next(pieces)
            continue
        found.append((at, b"".join(pieces) == backups.expected[at]))
    assert found == [(0, True), (3, True), (4, True), (5, True)]


def test_a_damaged_map_is_that_of_one_file(backups):
    for _number in range(4):
        backups.add(NEW)
    second = backups.files[1].stored
    backups.bundles[NEW][second.offset + BLOCK] = 1
    backups.write()
    first, *others = backups.expected
    assert backups.read() == [first, FormatError, *others[1:]]


def test_a_missing_bundle_is_told_of_each_file(backups):
    for _number in range(3):
        backups.add(NEW, OLD)
    backups.write(OLD)
    assert backups.read() == [StorageMissingError] * 3
    backups.write(NEW)
    backups.storage.remove(layout.bundle_path("demo", OLD, 1))
    assert backups.read() == [StorageMissingError] * 3


def test_a_bundle_that_is_cut_has_what_lies_before(backups):
    for _number in range(3):
        backups.add(NEW)
    cut = backups.files[1].stored.offset + 100
    del backups.bundles[NEW][cut:]
    backups.write()
    assert backups.read() == [backups.expected[0], FileReadError, FileReadError]


def test_an_error_in_the_middle_hides_nothing_that_lies_behind(backups, monkeypatch):
    for _number in range(3):
        backups.add(NEW)
    backups.write()
    bad = backups.files[1].stored.offset

    def reader(self, path, *, offset=0, size=None):
        made = PosixStorage.reader(self, path, offset=offset, size=size)
        if offset <= bad < offset + size:
            return _Broken(made, bad - offset)
        return made

    monkeypatch.setattr(Counting, "reader", reader)
    assert backups.read() == [backups.expected[0], StorageError, backups.expected[2]]


class _Broken:
    """A reader that fails at one byte."""

    def __init__(self, reader, good):
        self._data = reader.read_all()[:good]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __iter__(self):
        yield self._data
        raise StorageError("unable to read: input/output error")

    def close(self):
        return None
