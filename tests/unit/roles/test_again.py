# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run after another one: what that has left, and what it has not come to."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists


def test_units_that_an_interrupted_run_wrote_are_read(tmp_path: Path) -> None:
    rules = [{"module": "copy", "result": {"changed": False}}]
    plan = play(tmp_path, ["schedule"], FACTS, {}, rules)
    steps = plan.of("systemd_service")
    reload = [step for step in steps if step.get("daemon_reload")]
    assert len(reload) == 1
    timers = [step for step in steps if step.get("name", "").endswith(".timer")]
    assert timers and steps.index(reload[0]) < steps.index(timers[0])


def test_of_old_engines_the_one_of_before_stays(tmp_path: Path) -> None:
    versions = [("0.0.2-b", 20.0), ("0.0.1-a", 10.0), ("0.0.3-c", 30.0), ("other", 5.0)]
    files = [{"path": f"/opt/pgsftp/{name}/complete", "mtime": time} for name, time in versions]
    rules = [{"module": "find", "contains": "complete", "result": {"files": files}}]
    plan = play(tmp_path, ["pgsftp/engine"], FACTS, {"pgsftp_libraries": "system"}, rules)
    gone = [args["path"] for args in plan.of("file") if args["state"] == "absent"]
    assert gone == ["/opt/pgsftp/0.0.2-b", "/opt/pgsftp/0.0.1-a"]


UNIT = "/etc/systemd/system/pgsftp-archiver.service"


def _time(path: str, time: float) -> dict[str, t.Any]:
    state = {"exists": True, "mtime": time}
    return {"module": "stat", "contains": path, "result": {"stat": state}}


def _archiver(place: Path, rules: list[dict[str, t.Any]], enabled: bool = True) -> list[str]:
    """What becomes of the archiver when nothing is written."""
    unchanged = {"module": "copy", "result": {"changed": False}}
    variables = {"pgsftp_archiver_enabled": enabled}
    plan = play(place, ["pgsftp/archiver"], FACTS, variables, [unchanged, *rules])
    return [args["state"] for args in plan.of("systemd_service")]


@pytest.mark.parametrize(
    ("unit", "current", "state"),
    [(10.0, 20.5, "restarted"), (20.5, 10.0, "restarted"), (10.0, 10.5, "started")],
)
def test_an_archiver_that_is_older_than_its_unit_or_engine_is_restarted(
    tmp_path: Path, unit: float, current: float, state: str
) -> None:
    """The run that wrote them was broken off before it came to that."""
    rules = [_time(UNIT, unit), _time("/opt/pgsftp/current", current)]
    assert _archiver(tmp_path, [*rules, _time("/run/pgsftp/demo.sock", 20.25)]) == [state]


def test_of_an_archiver_that_does_not_answer_nothing_is_known(tmp_path: Path) -> None:
    assert _archiver(tmp_path, [_time(UNIT, 10.0)]) == ["started"]


@pytest.mark.parametrize("ours", [True, False])
def test_the_archiver_of_another_stanza_is_not_stopped(tmp_path: Path, ours: bool) -> None:
    found = {
        "module": "find",
        "contains": "--stanza=demo archiver",
        "result": {"matched": int(ours)},
    }
    assert _archiver(tmp_path, [exists(UNIT), found], False) == (["stopped"] if ours else [])
