# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's filters for sets give their members in any order, another one in each run: what is
written or done in that order would change without a reason.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
FILES = sorted(
    path
    for folder in ("roles", "playbooks")
    for path in (TOP / folder).rglob("*")
    if path.suffix in (".yml", ".j2")
)
SETS = re.compile(r"\|\s*(?:difference|union|intersect|symmetric_difference)\(")
# A number of members, and what is put into an order.
HARMLESS = re.compile(r"\|\s*(?:length|sort|map\('regex_escape'\))|\bunion\(.*\| select \| unique")


def test_there_is_something_to_look_at():
    assert len(FILES) > 50


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_no_list_is_in_the_order_of_a_set(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        assert not SETS.search(line) or HARMLESS.search(line), line
