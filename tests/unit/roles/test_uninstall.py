# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""uninstall.yml, where the server is: what it keeps, and what an interrupted run left to do."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import CLUSTER, FACTS, exists, said

FILE = "/etc/postgresql/15/main/conf.d/pgsftp.conf"
ASK = "Ask what the server still calls"
SURE = "Refuse to go on while the server archives with what is to be removed"
UNCHANGED = {"module": "copy", "contains": FILE, "result": {"changed": False}}


def _play(place: Path, *rules: dict[str, t.Any], fails: bool = False, **more: t.Any) -> Plan:
    variables = {"uninstall_confirm_stanza": "demo", "postgresql_version": "15", **more}
    there = [*rules, exists(CLUSTER["settings_directory"])]
    return play_book(place, "uninstall.yml", FACTS, variables, there, fails)


def _restarts(plan: Plan) -> int:
    return sum(
        args.get("state") == "restarted" and args["name"] == CLUSTER["service"]
        for args in plan.of("systemd_service")
    )


def _removed(plan: Plan) -> list[str]:
    return [args["path"] for args in plan.of("file") if args["state"] == "absent"]


def test_the_settings_stay_without_archiving(tmp_path: Path) -> None:
    settings = {
        "shared_buffers": "1GB",
        "archive_mode": "on",
        "archive_command": "x",
        "search_path": "'a'",
        "listen_addresses": "localhost",
    }
    plan = _play(tmp_path, pgsftp_postgresql_settings=settings)
    assert plan.files[FILE].splitlines()[1:] == [
        "listen_addresses = 'localhost'",
        "shared_buffers = '1GB'",
        "archive_mode = 'off'",
        "search_path = '''a'''",
    ]
    assert _restarts(plan) == 1
    assert "/opt/pgsftp" in _removed(plan)


def test_a_cluster_that_is_gone_has_no_settings(tmp_path: Path) -> None:
    """As a standby of the Red Hat family whose data directory was lost."""
    gone = {"module": "stat", "contains": "conf.d", "result": {"stat": {"exists": False}}}
    plan = _play(tmp_path, gone, said("pg_isready", rc=2))
    assert FILE not in plan.files
    assert _restarts(plan) == 0
    assert "/opt/pgsftp" in _removed(plan)


def test_where_nothing_is_left_to_do_nothing_restarts(tmp_path: Path) -> None:
    assert _restarts(_play(tmp_path, UNCHANGED)) == 0


def test_what_an_interrupted_run_left_is_done(tmp_path: Path) -> None:
    asked = said("archive_library", "archive_mode", "restore_command")
    plan = _play(tmp_path, UNCHANGED, asked, fails=True)
    assert any("RESET restore_command" in str(step.args) for step in plan)
    assert _restarts(plan) == 1
    # It is asked once more, and nothing is taken away from a server that archives all the same.
    assert [step.task for step in plan if step.task in (ASK, SURE)] == [ASK, SURE]
    assert _removed(plan) == []


def test_a_standby_that_is_stopped_will_not_call_what_is_gone(tmp_path: Path) -> None:
    stopped = said("pg_isready", rc=2)
    plan = _play(tmp_path, stopped, exists("postgresql.auto.conf"))
    (line,) = plan.of("lineinfile")
    assert (line["path"], line["state"]) == (
        "/var/lib/postgresql/15/main/postgresql.auto.conf",
        "absent",
    )
    assert _restarts(plan) == 0


def test_a_server_that_is_starting_is_not_taken_for_a_stopped_one(tmp_path: Path) -> None:
    plan = _play(tmp_path, said("pg_isready", rc=1), fails=True)
    assert not plan.of("copy", "file")


def _found(*paths: str, **args: str) -> dict[str, t.Any]:
    """A rule: what a search for these names finds."""
    files = [{"path": path} for path in paths]
    return {"module": "find", "result": {"files": files, "matched": len(paths)}, **args}


UNITS = "/etc/systemd/system"
OURS = (
    f"{UNITS}/pgsftp-demo@.service",
    f"{UNITS}/pgsftp-demo-failed@.service",
    f"{UNITS}/pgsftp-demo-full.timer",
    "/etc/pgsftp/schedule-demo.json",
    "/etc/pgsftp/failed-demo",
)
STATE = ("/var/lib/pgsftp/demo", "/var/lib/pgsftp-drill/demo")
ARCHIVER = f"{UNITS}/pgsftp-archiver.service"
CONFIG = "/etc/pgbackrest.conf"


@pytest.mark.parametrize(
    ("others", "archiver"),
    [
        ((f"{UNITS}/pgsftp-demo2@.service", f"{UNITS}/pgsftp-demo-x-full.timer"), True),
        (("/etc/pgsftp/schedule-my-demo.json",), True),
        ((), False),
    ],
)
def test_another_stanza_keeps_what_it_needs(
    tmp_path: Path, others: tuple[str, ...], archiver: bool
) -> None:
    plan = _play(
        tmp_path,
        _found(*OURS, *others, contains="schedule-*"),
        _found(*([] if archiver else [ARCHIVER]), contains="ExecStart"),
        _found(contains=CONFIG[5:]),
        _found(ARCHIVER, contains=ARCHIVER[-23:]),
        uninstall_keys=True,
    )
    assert _removed(plan) == [*OURS, *([ARCHIVER] if archiver else []), *STATE]
    stopped = [
        args["name"] for args in plan.of("systemd_service") if args.get("state") == "stopped"
    ]
    assert stopped == ["pgsftp-demo-full.timer", *(["pgsftp-archiver.service"] if archiver else [])]
    assert (others or (ARCHIVER,))[-1] in plan.output


def test_the_last_stanza_takes_all_with_it(tmp_path: Path) -> None:
    rules = [
        _found(*OURS, contains="schedule-*"),
        _found(contains="ExecStart"),
        _found(contains=CONFIG[5:]),
        _found(ARCHIVER, contains=ARCHIVER[-23:]),
    ]
    plan = _play(tmp_path, *rules)
    assert {*OURS, ARCHIVER, "/opt/pgsftp", CONFIG, "/etc/pgsftp"} <= set(_removed(plan))
    archiver, config, call = (args["contains"] for args in plan.of("find") if "contains" in args)
    unit = "ExecStart=/usr/local/bin/pgsftp --config=/etc/pgbackrest.conf --stanza="
    for line in ("demo archiver\n", "demo\n"):
        assert not re.match(archiver, unit + line)
    assert re.match(archiver, f"{unit}demo2 archiver\n")
    sections = ["[global]", "[global:backup]", "[demo]", "[demo:restore]", "[demo2]", " [a]"]
    assert [bool(re.match(config, line)) for line in sections] == [False] * 4 + [True] * 2

    command = "archive_command = '/usr/local/bin/pgsftp --stanza=b archive-push %p'"
    lines = [command, f"  {command}", f"# {command}", f" #{command}", "archive_command = ''"]
    assert [bool(re.match(call, line)) for line in lines] == [True] * 2 + [False] * 3


OTHERS = "/etc/postgresql/15/main2/conf.d/pgsftp.conf"
OWN = (
    "/etc/postgresql/15/main/postgresql.conf",
    "/var/lib/postgresql/15/main/postgresql.auto.conf",
    "/var/lib/postgresql/15/main.aside-20260101-000000/postgresql.auto.conf",
)


@pytest.mark.parametrize("calls", [(), (OTHERS,)])
def test_another_cluster_that_calls_the_command_keeps_it(
    tmp_path: Path, calls: tuple[str, ...]
) -> None:
    """It has a configuration of its own, and no timers."""
    plan = _play(tmp_path, _found(*OWN, *calls, contains='"*.conf"'))
    assert ("/usr/local/bin/pgsftp" in _removed(plan)) == (not calls)
    assert (OTHERS in plan.output) == bool(calls)


def test_it_is_looked_for_where_servers_run(tmp_path: Path) -> None:
    plan = _play(tmp_path, said("/cwd", "/srv/two", "/var/lib/postgresql/15/main"))
    looked = [args for args in plan.of("find") if args.get("recurse")]
    assert [(int(args["depth"]), args["paths"]) for args in looked] == [
        (4, ["/etc/postgresql", "/var/lib/postgresql", "/var/lib/postgresql/15"]),
        (2, ["/srv/two", "/var/lib/postgresql/15/main"]),
    ]


@pytest.mark.parametrize("confirmed", ["", "other"])
def test_without_its_second_word_it_does_nothing(tmp_path: Path, confirmed: str) -> None:
    plan = _play(tmp_path, fails=True, uninstall_confirm_stanza=confirmed)
    assert not plan.of("copy", "file", "command", "systemd_service")


def test_what_lies_elsewhere_goes_and_what_lies_beside_it_stays(tmp_path: Path) -> None:
    """With such a directory that of all other programs went, too."""
    version = "/usr/local/lib/0.1.0-0123456789ab"
    found = {
        "module": "find",
        "contains": "/usr/local/lib",
        "result": {"files": [{"path": version}]},
    }
    elsewhere = {
        "pgsftp_directory": "/usr/local/lib",
        "schedule_state_directory": "/var/lib/monitoring",
    }
    gone = _removed(_play(tmp_path, found, **elsewhere))
    assert [path for path in gone if path.startswith("/usr/local/lib")] == [
        version,
        "/usr/local/lib/current",
        "/usr/local/lib/venv",
    ]
    assert "/var/lib/monitoring/demo" in gone
    assert not {"/usr/local", "/var/lib/monitoring", "/opt/pgsftp"} & set(gone)
