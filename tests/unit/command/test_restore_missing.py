# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing of a range, without a list of all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.missing import (
    Missing,
)


@given(st.integers(0, 30), st.integers(0, 30), st.sets(st.integers(0, 40)))
def test_it_is_the_list(first, last, there):
    wanted = [number for number in range(first, last + 1) if number not in there]
    found = Missing(first, last, there)
    assert list(found) == wanted
    assert len(found) == len(wanted)
    assert bool(found) == bool(wanted)
    assert found[:3] == wanted[:3]


def test_however_far_the_end_is():
    found = Missing(5, 1 << 60, {5, 7, 1 << 50})
    assert len(found) == (1 << 60) - 4 - 3
    assert found[:3] == [6, 8, 9]
    assert found[1] == 8


def test_there_is_no_more():
    with pytest.raises(IndexError):
        Missing(1, 3, {1, 2})[1]
