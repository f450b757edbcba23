# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run after another one: what that has left, and what it has not come to."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.pgsftp.backup.tests.support.plan import play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS


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
