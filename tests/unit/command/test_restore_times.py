# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which times of an archive can be those at which its segments came."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import times

STOPPED = 1_700_000_000


def written(*moments, line=1, first=1):
    return {
        f"{line:08X}{0:08X}{number:08X}": None if moment is None else STOPPED + moment
        for number, moment in enumerate(moments, first)
    }


@pytest.mark.parametrize(
    ("moments", "trusted"),
    [
        ((0,), True),
        ((times.NEAR, times.NEAR + 1, 99999), True),
        ((-times.NEAR,), True),
        ((times.NEAR + 1, times.NEAR + 2), False),
        ((-times.NEAR - 1,), False),
        ((None,), False),
        ((0, None), False),
        # Segments that are sent together.
        ((0, 9000, 9000 - times.CLOCK_SKEW, 9001), True),
        ((0, 9000, 9000 - times.CLOCK_SKEW - 1), False),
        ((0, 9000, 8900, 8699), False),
    ],
)
def test_of_one_timeline(moments, trusted):
    assert times.trusted(written(*moments), min(written(0)), STOPPED) is trusted


def test_each_timeline_has_its_own_order():
    both = {**written(0, 90000), **written(10, 20, line=2)}
    assert times.trusted(both, min(both), STOPPED)


def test_a_backup_of_which_too_little_is_known():
    assert not times.trusted({}, min(written(0)), STOPPED)
    assert not times.trusted(written(0), min(written(0)), 0)
