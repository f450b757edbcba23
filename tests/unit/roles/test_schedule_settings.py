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
    ("delay", "seconds"),
    [("5min", 300), (30, 30), ("0", 0), ("1h 30min", 5400), ("1.5h", 5400), ("20 s", 20)],
)
def test_times_are_seconds(tmp_path: Path, delay: t.Any, seconds: int) -> None:
    variables = {"schedule_delay": delay, "schedule_max_ages": {"full": "8d", "incr": "26h"}}
    rules: list[dict[str, t.Any]] = [{"module": "stat", "result": {"stat": {"exists": True}}}]
    plan = play(tmp_path, ["schedule"], FACTS, variables, rules)
    settings = json.loads(plan.files["/etc/pgsftp/schedule-demo.json"])
    assert int(settings["delay"]) == seconds
    assert settings["max_ages"] == {"full": 8 * 86400, "incr": 26 * 3600}


@pytest.mark.parametrize("delay", ["5 mins", "infinity", -1])
def test_a_delay_that_no_timer_understands_is_refused_before_anything_is_written(
    tmp_path: Path, delay: t.Any
) -> None:
    plan = play(tmp_path, ["schedule"], FACTS, {"schedule_delay": delay}, fails=True)
    assert not plan.of("file", "copy", "template", "systemd_service")
    assert f"'{delay}' is no time span of systemd" in " ".join(plan.output.split())


def test_settings_are_there_before_the_program_that_reads_them(tmp_path: Path) -> None:
    rules: list[dict[str, t.Any]] = [{"module": "stat", "result": {"stat": {"exists": True}}}]
    plan = play(tmp_path, ["schedule"], FACTS, {}, rules)
    written = list(plan.files)
    settings = written.index("/etc/pgsftp/schedule-demo.json")
    assert settings < written.index("/usr/local/bin/pgsftp-schedule")
