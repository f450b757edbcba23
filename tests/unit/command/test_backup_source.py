# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions with the servers live as long as the copy."""

from __future__ import annotations

import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import source
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.cluster import Cluster
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options


class Node:
    """A host whose server counts what it is asked."""

    def __init__(self):
        self.asked = 0
        self.db = types.SimpleNamespace(facts=lambda: None, now=self._now)

    def _now(self):
        self.asked += 1
        return 0.0


@pytest.mark.parametrize("both", [True, False])
def test_a_silent_session_gets_a_query_now_and_then(monkeypatch, both):
    clock = [100.0]
    monkeypatch.setattr(source.time, "monotonic", lambda: clock[0])
    primary, standby = Node(), Node()
    made = source.OnlineSource(Cluster(primary, None, standby if both else None), Options("backup"))
    for _event in range(100):
        made.keep_alive()
    assert primary.asked == 0
    for seconds, asked in ((29.0, 0), (30.0, 1), (59.0, 1), (60.0, 2)):
        clock[0] = 100.0 + seconds
        made.keep_alive()
        made.keep_alive()
        assert primary.asked == asked
        assert standby.asked == (asked if both else 0)
