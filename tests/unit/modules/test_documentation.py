# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module documents is what it takes."""

from __future__ import annotations

import importlib
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pgsftp.backup.plugins.doc_fragments.common import ModuleDocFragment

ROOT = Path(__file__).resolve().parents[3]
NAMES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


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


@pytest.mark.parametrize("name", NAMES)
def test_check_mode_before_the_installation_answers(
    name: str, fake_module: t.Any, answer_of: t.Any
) -> None:
    fake_module.check_mode = True
    fake_module.params = {"stanza": "demo", "config": "/does/not/exist"}
    answer = answer_of(_module(name).main)
    assert answer.result["changed"] is (name in ("stanza", "backup", "restore"))


def test_every_module_is_in_the_action_group() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["action_groups"]["all"] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_module_carries_a_fragment_for_its_attributes(name: str) -> None:
    fragments = yaml.safe_load(_module(name).DOCUMENTATION)["extends_documentation_fragment"]
    assert "pgsftp.backup.common" in fragments
    assert "pgsftp.backup.common.attributes" in fragments
