# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done on the controller needs nobody to become root there, whatever the inventory says."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).resolve().parents[3]


def _tasks(found: t.Any) -> t.Iterator[dict[str, t.Any]]:
    if isinstance(found, list):
        for entry in found:
            yield from _tasks(entry)
    elif isinstance(found, dict):
        yield found
        for part in ("tasks", "block", "rescue", "always"):
            yield from _tasks(found.get(part))


def _there() -> list[tuple[str, dict[str, t.Any]]]:
    files = [*TOP.glob("roles/*/tasks/*.yml"), *TOP.glob("playbooks/*.yml")]
    files += [*TOP.glob("playbooks/tasks/*.yml"), *TOP.glob("playbooks/awx/*.yml")]
    return [
        (f"{path.relative_to(TOP)}: {task['name']}", task)
        for path in sorted(files)
        for task in _tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
        if "localhost" in (task.get("delegate_to"), task.get("hosts"))
    ]


def test_no_task_there_becomes_anybody() -> None:
    there = _there()
    assert len(there) >= 6
    wrong = [
        name for name, task in there if task.get("vars", {}).get("ansible_become") is not False
    ]
    assert wrong == []


@pytest.mark.parametrize(("variables", "works"), [({}, False), ({"ansible_become": False}, True)])
def test_the_keyword_alone_is_not_enough(
    tmp_path: Path, variables: dict[str, t.Any], works: bool
) -> None:
    """Of Ansible itself: why the variable is there."""
    become = {
        "ansible_become": True,
        "ansible_become_user": "nobody",
        "ansible_become_exe": "/bin/false",
    }
    task = {
        "ansible.builtin.find": {"paths": "/nowhere"},
        "delegate_to": "localhost",
        "become": False,
        "vars": variables,
    }
    inventory = {"all": {"vars": become, "hosts": {"host": {}}}}
    book = [{"hosts": "host", "gather_facts": False, "tasks": [task]}]
    for name, text in (("hosts.yml", inventory), ("play.yml", book)):
        (tmp_path / name).write_text(yaml.safe_dump(text), encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "hosts.yml", "play.yml"],
        env={**os.environ, "ANSIBLE_HOME": str(tmp_path / "ansible")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == works, done.stdout + done.stderr
