# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables become settings that its program understands."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS


@pytest.mark.parametrize(
    ("delay", "seconds"), [("5min", 300), (30, 30), ("0", 0), ("1h 30min", 5400), ("20s", 20)]
)
def test_times_are_seconds(tmp_path: Path, delay: t.Any, seconds: int) -> None:
    variables = {"schedule_delay": delay, "schedule_max_ages": {"full": "8d", "incr": "26h"}}
    rules: list[dict[str, t.Any]] = [{"module": "stat", "result": {"stat": {"exists": True}}}]
    plan = play(tmp_path, ["schedule"], FACTS, variables, rules)
    settings = json.loads(plan.files["/etc/pgsftp/schedule-demo.json"])
    assert int(settings["delay"]) == seconds
    assert settings["max_ages"] == {"full": 8 * 86400, "incr": 26 * 3600}
