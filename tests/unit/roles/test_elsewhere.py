# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration, host command and engine lie elsewhere, and are found by all that use them."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

TOP = Path(__file__).resolve().parents[3]
RUNTIME = yaml.safe_load((TOP / "meta/runtime.yml").read_text(encoding="utf-8"))
MODULES = {f"pgsftp.backup.{name}" for name in RUNTIME["action_groups"]["all"]}

CONFIG = "/etc/backup/pgsftp.conf"
COMMAND = "/opt/tools/bin/pgsftp"
DIRECTORY = "/srv/engine"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    variables = {
        "pgsftp_config": CONFIG,
        "pgsftp_command": COMMAND,
        "pgsftp_directory": DIRECTORY,
        "pgsftp_libraries": "venv",
        "pgsftp_primary_host": "other",
        "pgsftp_repository_passphrase": "x",
        "ssh_keys_sftp_passphrase": "x",
        "ssh_keys_node_hosts": ["host", "other"],
        "standby_primary": "host",
    }
    rules = [
        exists("conf.d"),
        {"module": "slurp", "result": {"content": "c3NoLXJzYSBBQUFBCg=="}},
        said("pg_stat_replication", "t|"),
        {"module": "getent", "result": {}},
    ]
    roles = ["ssh_keys", "pgsftp", "standby", "schedule"]
    return play(tmp_path_factory.mktemp("plan"), roles, FACTS, variables, rules)


def test_the_places_of_the_defaults_are_named_nowhere(plan: Plan) -> None:
    for step in plan:
        text = json.dumps(step.args)
        for place in ("/etc/pgbackrest.conf", "/usr/local/bin/pgsftp ", "/opt/pgsftp"):
            assert place not in text, step
        assert '"/usr/local/bin/pgsftp"' not in text, step


def test_the_modules_of_the_standby_read_that_configuration(plan: Plan) -> None:
    (restore,) = plan.of("restore")
    assert restore["config"] == CONFIG


def test_postgresql_calls_that_command(plan: Plan) -> None:
    settings = plan.files["/etc/postgresql/15/main/conf.d/pgsftp.conf"]
    assert f"archive_command = '{COMMAND} --config={CONFIG} --stanza=demo archive-push" in settings


def test_directories_that_are_missing_are_made(plan: Plan) -> None:
    made = {args["path"] for args in plan.of("file") if args["state"] == "directory"}
    assert {"/opt/tools/bin", "/etc/backup"} <= made


def test_the_configuration_says_where_the_command_is(plan: Plan) -> None:
    lines = plan.files[CONFIG].splitlines()
    assert f"cmd={COMMAND}" in lines
    assert f"pg2-host-cmd={COMMAND}" in lines
    assert f"pg2-host-config={CONFIG}" in lines


def test_the_other_node_may_run_that_command(plan: Plan) -> None:
    (let_in,) = [args for args in plan.of("blockinfile") if "authorized_keys" in args["path"]]
    assert (
        f'command="{COMMAND} --config={CONFIG} --stanza=demo remote" ssh-rsa AAAA'
        in let_in["block"]
    )


def test_the_command_finds_engine_and_libraries(plan: Plan) -> None:
    program = plan.files[COMMAND]
    assert program.startswith(f"#!{DIRECTORY}/venv/bin/python3 -ISXutf8\n")
    assert f'"{DIRECTORY}/current"' in program


def _tasks(found: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """All tasks of a file, whatever they are in."""
    for item in found or []:
        yield item
        for part in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always"):
            yield from _tasks(item.get(part))


def test_every_task_says_which_configuration() -> None:
    seen = 0
    for path in [
        *TOP.glob("playbooks/*.yml"),
        *TOP.glob("playbooks/tasks/*.yml"),
        *TOP.glob("roles/*/tasks/*.yml"),
    ]:
        book = yaml.safe_load(path.read_text(encoding="utf-8"))
        for task in _tasks(book) if isinstance(book, list) else ():
            for name in MODULES & task.keys():
                seen += 1
                assert "config" in task[name], f"{path}: {task['name']}"
    assert seen > 10
