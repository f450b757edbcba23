# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``setting_value``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: setting_value
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: A value as it stands between quotes in PostgreSQL's configuration
description:
  - Doubles quotes and backslashes, as a restore does for C(recovery-option).
  - >-
    pgBackRest writes values as they are, so those written for it may have them doubled already.
    Such a value is returned as it is, unless O(plain=true).
options:
  _input:
    description: The value.
    type: str
    required: true
  plain:
    description: Whether the value is what PostgreSQL is to read, in which nothing is doubled yet.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Set what a standby does when its recovery ends
  ansible.builtin.lineinfile:
    path: /var/lib/postgresql/17/main/postgresql.auto.conf
    regexp: "^recovery_end_command *="
    line: "recovery_end_command = '{{ command | pgsftp.backup.setting_value }}'"
"""

RETURN = r"""
_value:
  description: The value with its quotes and backslashes doubled.
  type: str
"""

import typing as t

from ..module_utils.engine.postgres.recovery import quoted

# A value between quotes ends with the line, and takes escapes as C does.
ESCAPES = str.maketrans({"\\": "\\\\", "'": "''", "\n": "\\n"})


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        """The filters by name."""
        return {"setting_value": setting_value}


def setting_value(value: str, plain: bool = False) -> str:
    """The value between quotes."""
    return value.translate(ESCAPES) if plain else quoted(value)
