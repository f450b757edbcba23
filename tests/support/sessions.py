# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with an in-process server, which end when a test wants it."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sessions import Sessions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.turns import Turns
from ansible_collections.pgsftp.backup.tests.support.clock import Clock
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects, Line, SftpServer


class Opener:
    """Opens sessions with an in-process server; session N ends after ``cuts[N]`` requests, all that
    have no number after ``every``. ``asked`` has the time of each attempt, ``defects`` what else is
    wrong with each server.
    """

    def __init__(self, root, cuts, refusals, every, defects):
        self.clock = Clock()
        self.turns = Turns(clock=self.clock, sleep=self.clock.sleep)
        self.asked = []
        self._every = every
        self._defects = defects
        self._root = root
        self._cuts = list(cuts)
        self._refusals = list(refusals)
        self.opened = 0
        self.servers = []

    def open(self, generation=0):
        self.asked.append(self.clock())
        if self._refusals:
            error = self._refusals.pop(0)
            if error is not None:
                raise error
        cut = self._cuts[self.opened] if self.opened < len(self._cuts) else self._every
        self.opened += 1
        server = SftpServer(Defects(cut_after=cut, **self._defects))
        self.servers.append(server)
        line = Line(server, 1 << 40)
        return SftpStorage(
            Channel(line, "sftp-srv", line.close), "sftp-srv", str(self._root), generation
        )


def sessions(root, cuts=(), refusals=(), every=None, defects=None, **changes):
    root.mkdir(exist_ok=True)
    return Sessions(Opener(root, cuts, refusals, every, defects or {}), **changes)


def refused():
    return errors.HostConnectError("unable to connect to 'sftp-srv:22': connection refused")
