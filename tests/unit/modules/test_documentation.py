# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module documents is what it takes."""

from __future__ import annotations

import importlib
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pgsftp.backup.plugins.doc_fragments.common import ModuleDocFragment
from ansible_collections.pgsftp.backup.plugins.module_utils import failure
from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.expire import (
    ExpireResult,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.expire_wal import (
    RemovedWal,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify.result import (
    ArchiveResult,
    BackupResult,
    Finding,
    Problem,
    Status,
    VerifyResult,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import PathNotEmptyError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import retention
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive import (
    WalRange,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.retention import (
    ArchiveVerdict,
    Verdict,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.wal_gaps import Gap
from ansible_collections.pgsftp.backup.tests.support.documented import check_documented

ROOT = Path(__file__).resolve().parents[3]
# Those of the engine. Of as_owner all but its documentation is an action plugin.
NAMES = sorted({path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - {"as_owner"})


def _module(name: str) -> t.Any:
    return importlib.import_module(f"ansible_collections.pgsftp.backup.plugins.modules.{name}")


def _options(name: str) -> dict[str, dict[str, t.Any]]:
    own = yaml.safe_load(_module(name).DOCUMENTATION).get("options", {})
    shared = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    if "pgsftp.backup.common.followed" in _module(name).DOCUMENTATION:
        shared.update(yaml.safe_load(ModuleDocFragment.FOLLOWED)["options"])
    return {**shared, **own}


@pytest.mark.parametrize("name", NAMES)
def test_documented_options_are_the_argument_spec(
    name: str, fake_module: t.Any, answer_of: t.Any
) -> None:
    fake_module.check_mode = True
    fake_module.params = {"stanza": "demo", "config": "/does/not/exist"}
    assert not answer_of(_module(name).main).failed
    keys = ("type", "default", "choices", "required", "elements")
    documented = {
        option: {key: row[key] for key in keys if key in row}
        for option, row in _options(name).items()
    }
    assert fake_module.spec == documented


FROM_ZERO: dict[str, tuple[dict[str, str], dict[str, t.Any]]] = {
    "stanza": (
        {},
        {"changed": True, "diff": {"before": {"stanza": None}, "after": {"stanza": "demo"}}},
    ),
    "stanza upgraded": (
        {"state": "upgraded"},
        {
            "changed": False,
            "upgraded": [],
            "diff": {"before": {"stanza": None}, "after": {"stanza": None}},
        },
    ),
    "stanza absent": (
        {"state": "absent"},
        {
            "changed": False,
            "deleted": [],
            "backups": [],
            "diff": {"before": {"stanza": None}, "after": {"stanza": None}},
        },
    ),
    "backup": ({"max_age": "1d"}, {"changed": True, "plan": {"type": "full"}}),
    "restore": ({}, {"changed": True}),
    "restore confirmed": ({"state": "confirmed"}, {"changed": False}),
    "restore reverted": ({"state": "reverted"}, {"changed": False}),
    "expire": ({}, {"changed": False, "repos": [], "diff": {"before": {}, "after": {}}}),
    "verify": ({}, {"changed": False}),
    "check": ({}, {"changed": False}),
    "stanza_info": ({}, {"changed": False}),
}


@pytest.mark.parametrize("case", FROM_ZERO)
def test_check_mode_before_the_installation_answers(
    case: str, fake_module: t.Any, answer_of: t.Any
) -> None:
    parameters, expected = FROM_ZERO[case]
    fake_module.check_mode = True
    fake_module.params = {"stanza": "demo", "config": "/does/not/exist", **parameters}
    answer = answer_of(_module(case.split()[0]).main)
    assert not answer.failed
    assert answer.result == {"msg": "/does/not/exist does not exist yet", **expected}


def test_every_module_has_been_asked_before_the_installation() -> None:
    assert {case.split()[0] for case in FROM_ZERO} == set(NAMES)


@pytest.mark.parametrize("case", FROM_ZERO)
def test_what_is_not_there_before_the_installation_is_documented_so(case: str) -> None:
    name = case.split()[0]
    default = _options(name).get("state", {}).get("default")
    current = FROM_ZERO[case][0].get("state", default)
    for value, row in yaml.safe_load(_module(name).RETURN).items():
        there = value in FROM_ZERO[case][1]
        never = any(
            phrase in row["returned"]
            for phrase in (
                "failure",
                "not in check mode",
                "except in check mode",
                "there is a backup already",
            )
        )
        states = re.findall(r"O\(state=(\w+)\)", row["returned"])
        never = never or bool(states and current not in states)
        assert there is not never, f"{value}: {row['returned']}"


def test_every_module_documents_what_a_failure_returns() -> None:
    """The same words everywhere: Ansible has no fragments for what is returned."""
    told = failure.told(PathNotEmptyError("the cause", hint="the way out."))
    documented = {}
    for name in NAMES:
        rows = yaml.safe_load(_module(name).RETURN)
        assert rows["failure"]["contains"].keys() == told["failure"].keys(), name
        documented[name] = rows["failure"]["contains"]
        assert rows["failure"]["returned"] == rows["code"]["returned"]
        assert "returned" in rows["code"] and rows["code"]["type"] == "int"
    assert all(row == documented["backup"] for row in documented.values())
    of = {"str": str, "int": int}
    for key, row in documented["backup"].items():
        assert isinstance(told["failure"][key], of[row["type"]])
        assert isinstance(row["sample"], of[row["type"]])


def test_the_sample_of_a_failure_is_one_of_the_engine() -> None:
    sample = {
        key: row["sample"]
        for key, row in yaml.safe_load(_module("backup").RETURN)["failure"]["contains"].items()
    }
    error = getattr(errors, sample["type"])
    assert error.code == sample["code"]
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    assert sample["hint"] in page


def test_every_module_is_in_the_action_group() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["action_groups"]["all"] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_module_carries_a_fragment_for_its_attributes(name: str) -> None:
    fragments = yaml.safe_load(_module(name).DOCUMENTATION)["extends_documentation_fragment"]
    assert "pgsftp.backup.common" in fragments
    assert "pgsftp.backup.common.attributes" in fragments


def _rows(rows: dict[str, t.Any], where: str) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for name, row in rows.items():
        yield f"{where}.{name}", row
        yield from _rows(row.get("contains", {}), f"{where}.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_shows_something(name: str) -> None:
    for where, row in _rows(yaml.safe_load(_module(name).RETURN), name):
        if row.get("elements") == "dict":
            assert "contains" in row, f"{where} does not say what is in it"
        if "contains" not in row:
            assert row["sample"] not in (None, [], {}), where
        if "choices" in row:
            assert row["sample"] in row["choices"], where


WAL_NAME = "000000010000000000000001"


def test_what_verify_finds_is_documented() -> None:
    part = WalRange(WAL_NAME, WAL_NAME)
    result = VerifyResult(
        "demo",
        1,
        ("no usable archive.info file",),
        (ArchiveResult("17-1", ranges=(part,), gaps=(Gap(WAL_NAME, WAL_NAME, 1, "why"),)),),
        (BackupResult("20261122-193512F", Status.INVALID, missing_wal=(part,)),),
        tuple(Finding(problem, "path", "name", "why") for problem in Problem),
    )
    found = result.as_dict()
    del found["changed"]
    check_documented("verify", {"changed": False, "verify": found})
    rows = yaml.safe_load(_module("verify").RETURN)["verify"]["contains"]
    assert rows["backups"]["contains"]["status"]["choices"] == [row.value for row in Status]
    problems = [Finding(problem, "", "").key for problem in Problem]
    assert rows["files"]["contains"]["problem"]["choices"] == problems


def test_what_expire_does_is_documented() -> None:
    verdict = Verdict("20261122-193512F", True, "why")
    kept = ArchiveVerdict((retention.WalRange(WAL_NAME, None, "why"),), "why")
    removed = RemovedWal("17-1", WAL_NAME, WAL_NAME)
    lists = (("path",), ("path",), ("label",), ("label",))
    result = ExpireResult(1, (verdict,), {"17-1": kept}, (removed,), *lists, dry_run=False)
    check_documented("expire", {"changed": True, "repos": [result.as_dict()]})
    rows = yaml.safe_load(_module("expire").RETURN)["repos"]["contains"]

    def keys(value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: keys(part) for key, part in value.items()}
        return [keys(part) for part in value] if isinstance(value, list) else None

    assert keys(rows["archives"]["sample"]) == keys(result.as_dict()["archives"])
