# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a standby, with a standby and a clock that do as they are told."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    ReplayStatus,
    Server,
    ServerFacts,
)

FACTS = ServerFacts(
    150004, "15", "/pg", 1, True, "on", "true", 1 << 24, True, 1, "0/2000028", 300
)  # fmt: skip


class Standby(Server):
    """Replays one position a look; its checkpoint follows when asked for."""

    def __init__(self, positions, *, checkpoints=None, timeline=1):
        self._positions = list(positions)
        self._checkpoints = list(checkpoints or ["0/3000060"])
        self._checkpoint = "0/2000028"
        self._timeline = timeline
        self.asked = 0
        self.time = 0.0

    def facts(self):
        return FACTS

    def replay_status(self):
        position = self._positions.pop(0) if len(self._positions) > 1 else self._positions[0]
        return ReplayStatus(position, position, self._checkpoint, self._timeline)

    def checkpoint(self):
        self.asked += 1
        checkpoints = self._checkpoints
        self._checkpoint = checkpoints.pop(0) if len(checkpoints) > 1 else checkpoints[0]

    def sleep(self, seconds):
        self.time += seconds

    def wait(self, timeout=60.0, **options):
        return self.wait_replay(
            "0/3000028", timeout, sleep=self.sleep, clock=lambda: self.time, **options
        )

    def _unused(self, *_):
        raise AssertionError

    now = in_recovery = start_backup = stop_backup = databases = tablespaces = _unused
    create_restore_point = switch_wal = current_wal_segment = archived_wal = close = _unused


def test_it_is_there_already():
    standby = Standby(["0/3000098"])
    assert standby.wait(timeline=1) == "0/3000098"
    assert standby.asked == 1
    assert standby.time == 0


def test_the_position_itself_is_not_enough():
    standby = Standby(["0/3000028", "0/3000028", "0/3000029"])
    assert standby.wait() == "0/3000029"
    assert standby.time > 0


def test_progress_keeps_it_waiting():
    # Each position is seen for nine tenths of the time that is allowed.
    positions = [f"0/20000{step:02X}" for step in range(20) for _dummy in range(9)]
    standby = Standby([*positions, "0/3000098"])
    assert standby.wait(timeout=1.0) == "0/3000098"
    assert standby.time > 15


def test_no_progress():
    standby = Standby(["0/2FFFF28"])
    with pytest.raises(errors.ArchiveTimeoutError) as caught:
        standby.wait(timeout=1.0)
    assert caught.value.message == (
        "timeout before standby replayed to 0/3000028 - only reached 0/2FFFF28 (256 bytes behind)"
        " after 1s without progress"
    )
    assert 0.9 < standby.time < 1.3


def test_a_checkpoint_that_came_too_early_is_asked_for_again():
    standby = Standby(["0/3000098"], checkpoints=["0/2000028", "0/2000028", "0/3000060"])
    standby.wait()
    assert standby.asked == 3
    assert 3.9 < standby.time < 4.5


def test_a_checkpoint_that_never_comes():
    standby = Standby(["0/3000098"], checkpoints=["0/2000028"])
    with pytest.raises(
        errors.ArchiveTimeoutError, match="standby checkpoint lsn reached 0/3000028"
    ):
        standby.wait(timeout=5.0)


def test_not_a_standby_of_this_primary():
    standby = Standby(["0/3000098"])
    with pytest.raises(errors.DbMismatchError, match="standby checkpoint '0/2000028' is ahead"):
        standby.wait_replay("0/1000028", 1.0)
    with pytest.raises(errors.DbMismatchError, match="on timeline 3 but expected 1"):
        Standby(["0/3000098"], timeline=3).wait(timeline=1)
    with pytest.raises(errors.DbMismatchError, match="does not recover any more"):
        Standby([None]).wait()
