# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the settings of PostgreSQL reach its server, and which ones never do."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, Step, play, play_book
from ansible_collections.pgsftp.backup.tests.support.postgres import VERSIONS
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import CLUSTER, FACTS, exists, said

FILE = "/etc/postgresql/15/main/conf.d/pgsftp.conf"

# The questions, by a word that only one of them has.
CHECK = "--config-file="
UNREAD = "pg_conf_load_time"
WAITING = "pending_restart"

Rule = dict[str, t.Any]


def _play(place: Path, *rules: Rule, changed: bool = False, fails: bool = False) -> Plan:
    known = [exists("conf.d")]
    if not changed:
        known.append({"module": "copy", "contains": FILE, "result": {"changed": False}})
    variables = {"pgsftp_repository_passphrase": "x"}
    return play(place, ["pgsftp/archiving"], FACTS, variables, [*rules, *known], fails)


def _server(plan: Plan) -> list[str]:
    """What is done to the server, in the order."""
    return [
        step.args["state"]
        for step in plan
        if step.module == "systemd_service" and step.args.get("name") == CLUSTER["service"]
    ]


def _asked(plan: Plan, word: str) -> list[Step]:
    return [step for step in plan if step.module == "command" and word in str(step.args)]


def test_a_setting_that_waits_for_a_restart_gets_one(tmp_path: Path) -> None:
    plan = _play(tmp_path, said(UNREAD, "t"), said(WAITING, "archive_mode"))
    assert _server(plan) == ["reloaded", "restarted"]


def test_where_nothing_waits_nothing_is_done(tmp_path: Path) -> None:
    plan = _play(tmp_path, said(UNREAD, "f"), said(WAITING))
    assert _server(plan) == []


def test_what_was_written_is_read_at_least(tmp_path: Path) -> None:
    plan = _play(tmp_path, said(UNREAD, "t"), said(WAITING))
    assert _server(plan) == ["reloaded"]


def test_only_what_is_set_in_our_file_and_not_on_the_command_line_counts(tmp_path: Path) -> None:
    (question,) = _asked(_play(tmp_path), WAITING)
    text = question.args["stdin"]
    assert text.count("sourcefile LIKE '%/pgsftp.conf'") == 2
    assert "source NOT IN ('command line', " in text
    # The text of an error is translated, and the same for what is wrong and what waits.
    assert "could not be applied" not in str(list(_play(tmp_path)))


def test_the_configuration_is_checked_as_the_owner_before_the_server_sees_it(
    tmp_path: Path,
) -> None:
    plan = _play(tmp_path, said(UNREAD, "t"), said(WAITING, "archive_mode"))
    (check,) = _asked(plan, CHECK)
    assert check.args["argv"] == [
        *["runuser", "--user=postgres", "--", "env", "LC_ALL=C"],
        "/usr/lib/postgresql/15/bin/postgres",
        *["-D", "/data", "--config-file=/etc/postgresql/15/main/postgresql.conf"],
        *["-C", "data_directory"],
    ]
    first = next(step for step in plan if step.args.get("state") in ("reloaded", "restarted"))
    assert plan.index(check) < plan.index(first)


def test_a_wrong_value_is_taken_back_and_the_server_left_alone(tmp_path: Path) -> None:
    wrong = 'LOG:  invalid value for parameter "work_mem": "banana"'
    saved = {"module": "copy", "contains": FILE, "result": {"backup_file": f"{FILE}.1~"}}
    plan = _play(tmp_path, said(CHECK, rc=1, stderr=wrong), saved, changed=True, fails=True)
    assert "banana" in plan.output
    assert _server(plan) == []
    back = [args for args in plan.of("copy") if args.get("remote_src")]
    assert [(args["src"], args["dest"]) for args in back] == [(f"{FILE}.1~", FILE)]


def test_a_wrong_value_in_the_first_file_leaves_none(tmp_path: Path) -> None:
    plan = _play(tmp_path, said(CHECK, rc=1, stderr="banana"), changed=True, fails=True)
    assert _server(plan) == []
    assert [args["path"] for args in plan.of("file") if args["state"] == "absent"] == [FILE]


def test_a_file_that_was_wrong_before_stays_for_whoever_wrote_it(tmp_path: Path) -> None:
    plan = _play(tmp_path, said(CHECK, rc=1, stderr="banana"), fails=True)
    assert "banana" in plan.output
    assert _server(plan) == []
    assert not [args for args in plan.of("file") if args["state"] == "absent"]


def test_a_server_that_does_not_come_back_gets_the_settings_of_before(tmp_path: Path) -> None:
    saved = {"module": "copy", "contains": FILE, "result": {"backup_file": f"{FILE}.1~"}}
    broken = {
        "module": "systemd_service",
        "contains": '"restarted"',
        "result": {"failed": True, "msg": "it exited"},
    }
    rules = [said(UNREAD, "t"), said(WAITING, "shared_preload_libraries"), saved, broken]
    plan = _play(tmp_path, *rules, changed=True, fails=True)
    assert "it exited" in plan.output
    assert _server(plan) == ["reloaded", "restarted", "started"]
    steps = [step for step in plan if step.args.get("dest") == FILE and step.args.get("remote_src")]
    started = [step for step in plan if step.args.get("state") == "started"]
    assert plan.index(steps[0]) < plan.index(started[-1])


def test_no_copy_of_the_settings_stays(tmp_path: Path) -> None:
    saved = {"module": "copy", "contains": FILE, "result": {"backup_file": f"{FILE}.1~"}}
    plan = _play(tmp_path, said(UNREAD, "t"), saved, changed=True)
    gone = [args["path"] for args in plan.of("file") if args["state"] == "absent"]
    assert gone == [f"{FILE}.1~"]


# As they are meant.
VALUES = {
    "archive_command": r"""sed 's/\t/x/' "%p" | grep 'a\.b'""",
    "log_line_prefix": "it\\",
    "cluster_name": r"\'\\''",
    "search_path": "\"$user\", ''",
    "log_filename": "two\nlines",
}


def _read(place: Path, text: str) -> dict[str, str]:
    """The values as PostgreSQL reads them."""
    file = place / "postgresql.conf"
    file.write_text(text, encoding="utf-8")
    program = f"/usr/lib/postgresql/{VERSIONS[-1]}/bin/postgres"
    found = {}
    for name in VALUES:
        words = [program, "-C", name, "-D", str(place), f"--config-file={file}"]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found[name] = done.stdout.removesuffix("\n")
    return found


@pytest.mark.skipif(not VERSIONS, reason="reads with a PostgreSQL")
def test_postgresql_reads_the_values_that_were_given(tmp_path: Path) -> None:
    variables = {"pgsftp_repository_passphrase": "x", "pgsftp_postgresql_settings": VALUES}
    plan = play(tmp_path, ["pgsftp/archiving"], FACTS, variables, [exists("conf.d")])
    assert _read(tmp_path, plan.files[FILE]) == VALUES
    # The owner of the directory may make it a link to a place where he could do harm with the file.
    (written,) = [args for args in plan.of("copy") if args["dest"] == FILE]
    assert (written["owner"], written["mode"]) == ("root", "0640")


@pytest.mark.skipif(not VERSIONS, reason="reads with a PostgreSQL")
def test_postgresql_reads_them_when_the_backups_are_taken_off(tmp_path: Path) -> None:
    variables = {
        "uninstall_confirm_stanza": "demo",
        "postgresql_version": "15",
        "pgsftp_postgresql_settings": VALUES,
    }
    plan = play_book(tmp_path, "uninstall.yml", FACTS, variables, [exists("conf.d")])
    read = _read(tmp_path, plan.files[FILE])
    assert read.pop("archive_command") == ""
    assert read == {name: VALUES[name] for name in read}
