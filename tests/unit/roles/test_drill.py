# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drill.yml: what the copy must not do to others, and which process is taken for it."""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, exists, said

COPY = "/var/lib/postgresql/15/pgsftp-drill"
LABEL = "20260101-000000F"
NAMES = ("connections", "worker_processes", "wal_senders", "prepared_xacts", "locks_per_xact")
RULES: list[dict[str, t.Any]] = [
    {"module": "stanza_info", "result": {"info": {"backup": [{"label": LABEL}]}}},
    said("pg_controldata", *(f"max_{name} setting:   8" for name in NAMES)),
    said("pg_is_in_recovery", "f|0/5000028"),
]


def _play(place: Path, *rules: dict[str, t.Any], version: str = "15", **how: t.Any) -> Plan:
    more = {"postgresql_version": version}
    return play_book(place, "drill.yml", FACTS, more, [*rules, *RULES], **how)


def _options(plan: Plan) -> list[str]:
    (start,) = (step for step in plan if step.task == "Start the copy")
    (options,) = (word for word in start.args["argv"] if word.startswith("--options="))
    return [word.strip() for word in options.partition("=")[2].split("-c ") if word]


@pytest.mark.parametrize(
    "option",
    [
        "max_logical_replication_workers=0",
        "cron.launch_active_jobs=off",
        "session_replication_role=replica",
        "archive_mode=off",
        "primary_conninfo=''",
        "archive_cleanup_command=''",
        "recovery_end_command=''",
    ],
)
def test_the_copy_does_nothing_to_others(tmp_path: Path, option: str) -> None:
    assert option in _options(_play(tmp_path))


def test_what_an_old_version_does_not_know_it_is_not_told(tmp_path: Path) -> None:
    assert "primary_conninfo" not in str(_options(_play(tmp_path, version="11")))


def test_all_of_the_copy_lies_in_its_place_whatever_the_configuration_says(tmp_path: Path) -> None:
    (restore,) = _play(tmp_path).of("restore")
    assert restore["tablespace_map_all"] == f"{COPY}/tablespaces"
    nothing = ("tablespace_map", "link_map", "recovery_options", "db_include", "db_exclude")
    assert not any(restore[name] for name in nothing)
    assert restore["link_all"] is False


@pytest.mark.parametrize("answer", [{}, {"info": {"backup": []}}])
def test_before_the_first_backup_a_check_does_not_fail(
    tmp_path: Path, answer: dict[str, t.Any]
) -> None:
    none = {"module": "stanza_info", "result": answer}
    plan = _play(tmp_path, none, arguments=["--check"])
    assert "would restore the newest backup, when there is one" in plan.output


def test_without_a_backup_there_is_no_play(tmp_path: Path) -> None:
    none = {"module": "stanza_info", "result": {"info": {"backup": []}}}
    plan = _play(tmp_path, none, fails=True)
    assert "there is no backup to restore" in plan.output
    assert not plan.of("restore")
    # A proof of it is written all the same.
    (proof,) = (text for path, text in plan.files.items() if path.endswith("Z.json"))
    assert json.loads(proof)["failed"].endswith("there is no backup to restore")


@pytest.mark.parametrize("works", [True, False])
def test_only_a_process_that_works_in_the_copy_is_stopped(tmp_path: Path, works: bool) -> None:
    content = base64.b64encode(b"4711\n/somewhere\n1\n").decode()
    plan = _play(
        tmp_path,
        exists("postmaster.pid"),
        {"module": "slurp", "result": {"content": content}},
        said("-ef", rc=0 if works else 1),
    )
    (asked,) = (words for words in plan.commands if "-ef" in words)
    assert asked == f"test /proc/4711/cwd -ef {COPY}/data"
    assert ("Stop the copy" in [step.task for step in plan]) == works
    assert COPY in [args["path"] for args in plan.of("file") if "path" in args]
