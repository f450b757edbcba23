# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's argument specification and its defaults say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def _options(role: str, entry: str = "main") -> dict[str, dict[str, object]]:
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["argument_specs"][entry]["options"]


def _defaults(role: str) -> dict[str, object]:
    return yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text(encoding="utf-8"))


def test_all_roles_are_seen() -> None:
    assert NAMES == [
        "pgsftp",
        "postgresql",
        "replication",
        "schedule",
        "sftp_server",
        "ssh_keys",
        "standby",
    ]


@pytest.mark.parametrize("role", NAMES)
def test_specified_defaults_are_the_defaults(role: str) -> None:
    specified = {
        name: option["default"] for name, option in _options(role).items() if "default" in option
    }
    assert specified == _defaults(role)


@pytest.mark.parametrize("role", NAMES)
def test_an_option_has_a_default_or_is_required(role: str) -> None:
    for name, option in _options(role).items():
        assert ("default" in option) != bool(option.get("required")), name


@pytest.mark.parametrize("role", NAMES)
def test_names_begin_with_the_role(role: str) -> None:
    assert all(name.startswith(f"{role}_") for name in _options(role))


@pytest.mark.parametrize("role", NAMES)
def test_every_option_is_described(role: str) -> None:
    assert all(option["description"] for option in _options(role).values())


@pytest.mark.parametrize("role", NAMES)
def test_secrets_are_not_logged_and_have_no_default(role: str) -> None:
    for name, option in _options(role).items():
        if name.endswith(("password", "passphrase")):
            assert option.get("no_log") is True, name
            assert "default" not in option, name


@pytest.mark.parametrize("role", NAMES)
def test_task_files_name_their_tasks_as_sentences(role: str) -> None:
    def walk(tasks: list[dict[str, object]]) -> None:
        for task in tasks:
            name = str(task["name"])
            assert name[0].isupper() and " " in name and not name.endswith("."), name
            for part in ("block", "rescue", "always"):
                walk(task.get(part, []))

    for path in (ROLES / role / "tasks").glob("*.yml"):
        walk(yaml.safe_load(path.read_text(encoding="utf-8")))
