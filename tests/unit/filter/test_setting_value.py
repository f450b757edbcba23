# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value between quotes is read by PostgreSQL as it was meant."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.filter.setting_value import FilterModule


@pytest.mark.parametrize(
    "value, text",
    [
        ("on", "on"),
        ("it's", "it''s"),
        (r"a\b", r"a\\b"),
        # Doubled already.
        ("host=a options=''''", "host=a options=''''"),
        (r"sslcert=''a\\\\b''", r"sslcert=''a\\\\b''"),
    ],
)
def test_quotes_and_backslashes_are_doubled_once(value: str, text: str) -> None:
    assert FilterModule().filters()["setting_value"](value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        ("it's", "it''s"),
        (r"a\b", r"a\\b"),
        # Meant as they are.
        ("''", "''" * 2),
        (r"\\", r"\\" * 2),
        (r"\'", r"\\''"),
        ("a\nb", r"a\nb"),
    ],
)
def test_a_plain_value_has_nothing_doubled_yet(value: str, text: str) -> None:
    assert FilterModule().filters()["setting_value"](value, plain=True) == text
