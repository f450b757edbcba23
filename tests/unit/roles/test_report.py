# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.yml: the page is written whoever is down, says who is, and the play fails after that."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support import report
from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, said

YESTERDAY = "<p>all is well</p>\n"
GROUPS = {"postgresql": ["pg1", "pg2"], "primary": ["pg1"], "standby": ["pg2"]}
DATA = report.whole("demo")
ANSWERS = [
    {"module": "slurp", "result": {"failed": True, "msg": "there is none"}},
    {
        "module": "stanza_info",
        "result": {"info": DATA["info"], "wal": DATA["wal"], "text": "status: ok"},
    },
    said("pg_stat_replication", json.dumps(DATA["server"])),
]


def _down(host: str) -> list[dict[str, t.Any]]:
    """The rules of a host that cannot be reached."""
    modules = ("setup", "slurp", "stanza_info", "command")
    return [said("", module=module, host=host, unreachable=True) for module in modules]


def _play(
    place: Path, *rules: dict[str, t.Any], fails: bool = False, **more: t.Any
) -> tuple[Plan, str]:
    """What it does, and what is in the place of the page then."""
    page = place / "report.html"
    page.write_text(YESTERDAY, encoding="utf-8")
    arguments = more.pop("arguments", ())
    groups = more.pop("groups", GROUPS)
    # As somebody says it in the group of the hosts, where localhost is not.
    known = {"pg1": {"report_file": str(page), "report_title": "My <own>"}}
    variables = {"postgresql_version": "15", **more}
    answers = [*rules, *ANSWERS]
    plan = play_book(
        place, "report.yml", FACTS, variables, answers, fails, groups, known, arguments
    )
    return plan, page.read_text(encoding="utf-8")


def test_of_whoever_answers_there_is_a_page(tmp_path: Path) -> None:
    plan, page = _play(tmp_path)
    assert "Stanza demo" in page and "asked on pg1" in page and "My &lt;own&gt;" in page
    assert "pg2-srv" in page and "could not be asked" not in page
    assert "pg2-srv: streaming" in plan.output


def test_a_primary_that_is_down_is_on_the_page(tmp_path: Path) -> None:
    plan, page = _play(tmp_path, *_down("pg1"), fails=True)
    assert "pg1 could not be asked" in page and "Stanza demo" not in page
    assert f"pg1 could not be asked, as {tmp_path}/report.html says" in plan.output


def test_it_is_so_where_nobody_answers(tmp_path: Path) -> None:
    _plan, page = _play(tmp_path, *_down("pg1"), *_down("pg2"), fails=True)
    assert "pg1 could not be asked" in page and "pg2 could not be asked" in page


def test_a_standby_that_is_down_is_on_the_page(tmp_path: Path) -> None:
    _plan, page = _play(tmp_path, *_down("pg2"), fails=True)
    assert "pg2 could not be asked" in page and "Stanza demo" in page


@pytest.mark.parametrize("module", ["setup", "stanza_info"])
def test_a_host_on_which_something_fails_is_on_the_page(tmp_path: Path, module: str) -> None:
    rule = said("", module=module, failed=True, msg="no configuration")
    _plan, page = _play(tmp_path, rule, fails=True)
    assert "pg1 could not be asked" in page and "pg2 could not" not in page


def test_a_connection_that_breaks_in_between_is_no_answer(tmp_path: Path) -> None:
    rule = said("", module="stanza_info", unreachable=True)
    _plan, page = _play(tmp_path, rule, fails=True)
    assert "pg1 could not be asked" in page


@pytest.mark.parametrize("answer", [{"rc": 2, "stderr": "no server"}, {"unreachable": True}])
def test_a_server_that_is_down_is_something_to_report(
    tmp_path: Path, answer: dict[str, t.Any]
) -> None:
    _plan, page = _play(tmp_path, said("pg_stat_replication", **answer))
    assert "Stanza demo" in page and "pg1 could not be asked" not in page
    assert "The server could not be asked." in page


def test_a_group_without_hosts_leaves_no_page_of_yesterday(tmp_path: Path) -> None:
    groups = {**GROUPS, "primary": []}
    named = str(tmp_path / "report.html")
    _plan, page = _play(tmp_path, fails=True, groups=groups, report_file=named)
    assert "primary could not be asked" in page


@pytest.mark.parametrize(("host", "written"), [("pg1", True), ("pg2", False)])
def test_with_a_limit_it_is_about_the_hosts_that_it_leaves(
    tmp_path: Path, host: str, written: bool
) -> None:
    _plan, page = _play(tmp_path, arguments=[f"--limit={host}"])
    assert ("Stanza demo" in page) == written
    assert (page == YESTERDAY) != written


def test_a_limit_to_a_host_that_is_down_has_its_page(tmp_path: Path) -> None:
    _plan, page = _play(tmp_path, *_down("pg1"), fails=True, arguments=["--limit=pg1"])
    assert "pg1 could not be asked" in page


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    plan, page = _play(tmp_path, *_down("pg1"), fails=True, report_file="")
    assert page == YESTERDAY
    assert "pg1 could not be asked." in plan.output


def test_before_the_installation_a_check_does_not_fail(tmp_path: Path) -> None:
    nothing = {"module": "stanza_info", "result": {"changed": False}}
    _play(tmp_path, nothing, arguments=["--check"])
