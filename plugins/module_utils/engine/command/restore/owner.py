# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns restored files.

An ordinary user owns all that it restores. Root gives files to the owners of the backup, and what
has an owner that this host does not know to the owner of the data directory (repository reference,
section 15).
"""

from __future__ import annotations

import grp
import os
import pwd

from ... import log


class Owners:
    """Names of a manifest as ids of this host; looks each name up once and warns once."""

    def __init__(self, pg_data: str) -> None:
        self._root = os.geteuid() == 0
        self._uid, self._gid = os.geteuid(), os.getegid()
        if self._root:
            try:
                status = os.stat(pg_data)
                self._uid, self._gid = status.st_uid, status.st_gid
            except FileNotFoundError:
                pass
        self._users: dict[str | None, int] = {}
        self._groups: dict[str | None, int] = {}

    def of(self, user: str | None, group: str | None) -> tuple[int, int]:
        """User and group id for a file of that owner."""
        if not self._root:
            return self._uid, self._gid
        if user not in self._users:
            self._users[user] = self._user(user)
        if group not in self._groups:
            self._groups[group] = self._group(group)
        return self._users[user], self._groups[group]

    def _user(self, name: str | None) -> int:
        try:
            return pwd.getpwnam(name or "").pw_uid
        except KeyError:
            log.warn("unknown user '%s' in backup manifest mapped to uid %d", name, self._uid)
            return self._uid

    def _group(self, name: str | None) -> int:
        try:
            return grp.getgrnam(name or "").gr_gid
        except KeyError:
            log.warn("unknown group '%s' in backup manifest mapped to gid %d", name, self._gid)
            return self._gid
