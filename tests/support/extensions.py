# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions of SFTP that OpenSSH has, and servers that lack some of them."""

from __future__ import annotations

from .sftp_server import ALL_EXTENSIONS

POSIX_RENAME = "posix-rename@openssh.com"
FSYNC = "fsync@openssh.com"


def without(*names: str) -> dict[str, str]:
    """What a server announces that has all but these."""
    return {key: value for key, value in ALL_EXTENSIONS.items() if key not in names}
