# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read together, and what is not."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import ranges
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.stored import Stored
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import Framing


class Placed(t.NamedTuple):
    """Something that is stored."""

    stored: Stored


def file_at(path, offset, size):
    return Placed(Stored(path, offset, size, Framing.WHOLE))


def test_neighbours_in_a_bundle_are_one_range():
    files = [file_at("bundle/1", 100, 50), file_at("bundle/1", 0, 100)]
    (joined,) = ranges.ranges(files)
    assert (joined.offset, joined.size) == (0, 150)
    assert [file.stored.offset for file in joined.files] == [0, 100]


def test_a_small_gap_is_fetched_along_and_a_large_one_is_not():
    near = [file_at("b", 0, 10), file_at("b", 10 + ranges.JOIN_GAP, 10)]
    far = [file_at("b", 0, 10), file_at("b", 11 + ranges.JOIN_GAP, 10)]
    assert len(ranges.ranges(near)) == 1
    assert len(ranges.ranges(far)) == 2


def test_files_of_their_own_are_ranges_of_their_own():
    assert len(ranges.ranges([file_at("a", 0, 10), file_at("b", 0, 10)])) == 2


def test_a_range_holds_a_bounded_number_of_open_files():
    files = [file_at("b", number, 1) for number in range(ranges.FILES_PER_RANGE + 1)]
    assert [len(part.files) for part in ranges.ranges(files)] == [ranges.FILES_PER_RANGE, 1]


def test_the_bytes_of_a_range_are_cut_into_files_whatever_was_left_of_the_one_before(tmp_path):
    (tmp_path / "b").write_bytes(b"aaaa--bbbbbb")
    (part,) = ranges.ranges([file_at("b", 0, 4), file_at("b", 6, 6)])
    data = ranges.RangeBytes(part, PosixStorage(str(tmp_path)).reader("b", offset=0, size=12))
    next(data.take(part.files[0].stored))
    assert b"".join(data.take(part.files[1].stored)) == b"bbbbbb"


def test_a_range_that_ends_too_early_is_an_error(tmp_path):
    (tmp_path / "b").write_bytes(b"aaaa")
    (part,) = ranges.ranges([file_at("b", 0, 9)])
    data = ranges.RangeBytes(part, PosixStorage(str(tmp_path)).reader("b"))
    with pytest.raises(errors.FileReadError, match="ends at 4 bytes, too early"):
        list(data.take(part.files[0].stored))


@pytest.mark.parametrize(("offset", "size"), [(-4, 2), (0, -1)])
def test_what_lies_nowhere_comes_to_an_end(tmp_path, offset, size):
    (tmp_path / "b").write_bytes(b"aaaa")
    (part,) = ranges.ranges([file_at("b", 0, 4)])
    data = ranges.RangeBytes(part, PosixStorage(str(tmp_path)).reader("b"))
    assert sum(map(len, data.take(Stored("b", offset, size, Framing.WHOLE)))) <= 2


def test_what_is_done_together_is_bounded_by_number_and_weight():
    def grouped(items, *, most, limit):
        return list(ranges.groups(items, len, most=most, limit=limit))

    assert grouped([], most=2, limit=9) == []
    assert grouped(["a", "b", "c"], most=2, limit=9) == [["a", "b"], ["c"]]
    assert grouped(["aa", "bb", "c"], most=9, limit=4) == [["aa", "bb"], ["c"]]
    assert grouped(["a", "bbbbb", "c"], most=9, limit=4) == [["a"], ["bbbbb"], ["c"]]
