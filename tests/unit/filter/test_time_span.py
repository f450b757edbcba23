# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A time span has the seconds that systemd 252 takes it for (systemd-analyze timespan)."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.pgsftp.backup.plugins.filter.time_span import FilterModule

time_span = FilterModule().filters()["time_span"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (30, 30),
        ("0", 0),
        ("5min", 300),
        ("5 min", 300),
        (" 5min\t30s ", 330),
        ("30 s", 30),
        ("2 hours", 7200),
        ("1h30min", 5400),
        ("1h 30", 3630),
        ("1hr2", 3602),
        ("5 30", 35),
        ("1h1h", 7200),
        ("1.5h", 5400),
        (".5h", 1800),
        ("+5s", 5),
        ("1 w", 7 * 86400),
        ("2M", 5259600),
        ("2 months", 5259600),
        ("1y", 31557600),
        ("1d1ms", 86401),
        ("1 \u00b5s", 1),
        ("1000000\u03bcs", 1),
    ],
)
def test_what_systemd_takes(text: str | int, seconds: int) -> None:
    assert time_span(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5.h", "5mon", "1H", "1 . 5h", "1.5.5h", "1,5h", "5m in", "1e3", "-1s", "s", "infinity"],
)
def test_what_it_does_not_take(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="is no time span of systemd"):
        time_span(text)
