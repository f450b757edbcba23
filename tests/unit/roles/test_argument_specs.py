# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's argument specification and its defaults say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())


# What Ansible makes of a default of each type.
TYPES = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict}


def _entries(role: str) -> dict[str, dict[str, object]]:
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["argument_specs"]


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
        if name.endswith(("password", "passphrase", "_pass")):
            assert option.get("no_log") is True, name
            assert not option.get("default"), name


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


@pytest.mark.parametrize("role", NAMES)
def test_every_entry_point_takes_the_same_variables(role: str) -> None:
    main = _options(role)
    for name, entry in _entries(role).items():
        assert entry["short_description"], name
        assert entry["options"] == main, name


@pytest.mark.parametrize("role", NAMES)
def test_what_others_include_is_specified(role: str) -> None:
    """A task file that another role or a playbook names is an entry point with a specification."""
    top = ROLES.parent
    entries = set(_entries(role))
    for path in [*top.glob("roles/*/tasks/*.yml"), *top.glob("playbooks/**/*.yml")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        for line, after in zip(lines, lines[1:]):
            if line.strip() == f"name: pgsftp.backup.{role}" and "tasks_from:" in after:
                assert after.split(":")[1].strip() in entries, path


@pytest.mark.parametrize("role", NAMES)
def test_defaults_have_the_specified_type(role: str) -> None:
    for name, option in _options(role).items():
        value = option.get("default", "")
        templated = isinstance(value, str) and "{{" in value
        if "default" in option and not templated:
            assert value.__class__ is TYPES[str(option["type"])], name
            if option["type"] == "list":
                element = TYPES[str(option["elements"])]
                assert all(item.__class__ is element for item in value), name
            if "choices" in option:
                assert value in option["choices"], name


@pytest.mark.parametrize("role", NAMES)
def test_tasks_use_no_variable_that_is_not_specified(role: str) -> None:
    """A variable with the role's prefix is an option, or is set by the role itself."""
    known = set(_options(role))
    texts = [path.read_text(encoding="utf-8") for path in (ROLES / role).rglob("*.yml")]
    texts += [path.read_text(encoding="utf-8") for path in (ROLES / role).rglob("*.j2")]
    text = "\n".join(texts)
    used = set(re.findall(rf"(?<![\w.#/@-]){role}_[a-z][a-z0-9_]*", text))
    made = set(re.findall(rf"(?:register: |^ +)({role}_[a-z0-9_]+):?", text, re.MULTILINE))
    tags = set(re.findall(r"tags: \[([a-z_, ]+)\]", text))
    tags = {tag.strip() for line in tags for tag in line.split(",")}
    # The engine's name as a Python package on the hosts, and a type of SELinux.
    names = {"pgsftp_engine", "postgresql_db_t"}
    assert used - known - made - tags - names == set()


def test_the_pages_of_the_roles_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROLES.parent / "scripts/role_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
