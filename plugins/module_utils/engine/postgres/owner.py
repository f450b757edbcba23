# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of users and groups; asked of the system once each."""

from __future__ import annotations

import grp
import pwd
from functools import cache


@cache
def user_name(uid: int) -> str | None:
    """The name of a user, None when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


@cache
def group_name(gid: int) -> str | None:
    """The name of a group, None when it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
