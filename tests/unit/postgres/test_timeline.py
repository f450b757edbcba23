# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a timeline, as PostgreSQL takes it."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import timeline
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.wal import Fork

SIZE = 16 * 1024 * 1024
PATH = timeline.path(4, [Fork(1, 5 * SIZE + 100, ""), Fork(2, 7 * SIZE, "")])


@pytest.mark.parametrize(
    ("text", "number"), [("latest", None), ("current", None), ("7", 7), ("0x1F", 31)]
)
def test_a_target_timeline(text, number):
    assert timeline.wanted(text) == number


@pytest.mark.parametrize("text", ["", "0", "07", "newest", "-1", "1 ", "0x"])
def test_no_target_timeline(text):
    with pytest.raises(errors.OptionInvalidValueError, match="target-timeline"):
        timeline.wanted(text)


def test_the_latest_is_the_last_one_without_a_hole():
    assert timeline.newest(1, {2, 3, 5}) == 3
    assert timeline.newest(3, {2, 3}) == 3
    assert timeline.newest(1, ()) == 1


def test_a_path_need_not_visit_every_timeline():
    assert [stretch.timeline for stretch in PATH] == [1, 2, 4]
    assert timeline.stretch_of(PATH, 2) == (2, 5 * SIZE + 100, 7 * SIZE)
    assert timeline.stretch_of(PATH, 3) is None


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (4, ["000000010000000000000004"]),
        # The segment of a fork is on both sides; the newer one has all of it.
        (5, ["000000020000000000000005", "000000010000000000000005"]),
        (6, ["000000020000000000000006"]),
        (7, ["000000040000000000000007", "000000020000000000000007"]),
        (8, ["000000040000000000000008"]),
    ],
)
def test_who_holds_a_segment(number, expected):
    assert timeline.holders(PATH, number, SIZE) == expected
