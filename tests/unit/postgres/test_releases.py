# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of PostgreSQL and how they are recognised."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import releases


def test_no_two_releases_look_alike():
    for field in ("version", "wal_magic"):
        assert len({getattr(row, field) for row in releases.RELEASES}) == len(releases.RELEASES)
    pairs = {(row.control_version, row.catalog_version) for row in releases.RELEASES}
    assert len(pairs) == len(releases.RELEASES)
    assert [row.number for row in releases.RELEASES] == sorted(
        row.number for row in releases.RELEASES
    )


@pytest.mark.parametrize(
    ("number", "version"),
    [
        (90624, "9.6"),
        (100023, "10"),
        (130011, "13"),
        (150004, "15"),
        (170000, "17"),
        (180001, "18"),
    ],
)
def test_the_number_of_a_server(number, version):
    assert releases.of_server(number).version == version


def test_numbers_compare():
    assert releases.number("9.6") == 90600 < releases.number("10") == 100000


def test_what_is_not_known():
    for call in (
        lambda: releases.of_server(210000),
        lambda: releases.of_server(90524),
        lambda: releases.of_wal(0xD000),
        lambda: releases.of_name("8"),
        lambda: releases.of_control(1, 2),
    ):
        with pytest.raises(errors.VersionNotSupportedError) as caught:
            call()
        assert "are known" in caught.value.hint
