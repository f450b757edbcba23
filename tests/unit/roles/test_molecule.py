# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Molecule would not notice about its scenarios."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pgsftp.backup.tests.support.plan import play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, said

MOLECULE = Path(__file__).resolve().parents[3] / "molecule"
TASKS = sorted(
    path
    for top in ("molecule", "roles", "playbooks")
    for path in (MOLECULE.parent / top).rglob("*.yml")
    if "vars" not in path.parts
)
SCENARIOS = sorted(path.parent for path in MOLECULE.glob("*/molecule.yml"))


def loaded(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_its_own_playbook_is_the_one_that_is_played(scenario: Path) -> None:
    """What base.yml names wins over a file of the scenario's that nothing names."""
    playbooks = {
        **loaded(MOLECULE / "base.yml")["ansible"]["playbooks"],
        **(loaded(scenario / "molecule.yml") or {}).get("ansible", {}).get("playbooks", {}),
    }
    for name in ("create", "prepare", "destroy"):
        assert (scenario / playbooks[name]).exists()
        own = scenario / f"{name}.yml"
        assert not own.exists() or (scenario / playbooks[name]) == own


def conditions(found: t.Any) -> t.Iterator[t.Any]:
    if isinstance(found, list):
        for item in found:
            yield from conditions(item)
    elif isinstance(found, dict):
        for key, value in found.items():
            if key in ("that", "when", "failed_when", "changed_when", "until"):
                yield from value if isinstance(value, list) else [value]
            else:
                yield from conditions(value)


@pytest.mark.parametrize(
    "path",
    TASKS,
    ids=lambda path: str(path.relative_to(MOLECULE.parent)),
)
def test_conditions_are_conditions(path: Path) -> None:
    """A colon in an unquoted one makes it a mapping, which fails when it is evaluated."""
    for condition in conditions(loaded(path)):
        assert isinstance(condition, (str, bool)), condition


@pytest.mark.parametrize(
    ("answer", "fails"),
    [
        ({"stdout": "pgsftp 0.1.0"}, False),
        ({"stdout": "pgsftp 0.0.1"}, True),
        ({"stdout": "", "stderr": "no such file", "rc": 127}, True),
    ],
)
def test_an_engine_that_does_not_run_is_none_that_was_upgraded(
    tmp_path: Path, answer: dict[str, t.Any], fails: bool
) -> None:
    rules = [
        {"module": "command", "contains": "pgsftp version", "result": answer},
        said("last_archived_wal", "t|0|21"),
        said("verify", '{"status": "ok", "archives": []}'),
    ]
    groups = {"postgresql": ["host"], "primary": ["host"]}
    verify = "../molecule/upgrade_engine/verify.yml"
    play_book(tmp_path, verify, FACTS, {"postgresql_version": "15"}, rules, fails, groups)
