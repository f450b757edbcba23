# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""standby.yml on a host that may not be replaced: it is left as it is, configuration and all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play_book
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, said

READS = {"command", "setup", "stat"}
VARIABLES = {
    "standby_host": "pg1",
    "pgsftp_repository_passphrase": "x",
    "replication_password": "x",
    "postgresql_version": "15",
    "standby_timeout": "1",
}
ASKED = said("pg_stat_replication", "f|")


def _play(place: Path, *rules: dict[str, object], fails: bool = True, **more: str) -> Plan:
    groups = {"postgresql": ["pg1", "pg2"], "primary": ["pg1"], "standby": ["pg2"]}
    return play_book(place, "standby.yml", FACTS, {**VARIABLES, **more}, list(rules), fails, groups)


@pytest.mark.parametrize(
    "named", [{}, {"standby_primary_host": "pg2"}, {"standby_primary_host": ""}]
)
def test_a_primary_without_the_second_word_is_left_as_it_is(
    tmp_path: Path, named: dict[str, str]
) -> None:
    """Two run as primaries, or the wrong host was named."""
    plan = _play(tmp_path, said("pg_is_in_recovery", "primary"), ASKED, **named)
    assert [step for step in plan if step.module not in READS] == []
    told = " ".join(plan.output.split())
    assert "pg1 runs as a primary. To make it a standby of pg2, which loses what only it" in told


def test_a_standby_is_prepared_before_it_is_built(tmp_path: Path) -> None:
    rules = [
        said("pg_is_in_recovery", "primary", host="pg2"),
        said("pg_is_in_recovery", "standby", host="pg1"),
        said("<=", "t|"),
        said("pg_stat_replication", "t|"),
        said("", module="getent"),
    ]
    plan = _play(tmp_path, *rules, fails=False)
    assert "/etc/pgbackrest.conf" in plan.files


def test_a_standby_that_streamed_is_not_rebuilt_for_a_restart(tmp_path: Path) -> None:
    """A setting waited for one; it has not connected again when the role comes to it."""
    rules = [
        said("pg_is_in_recovery", "primary", host="pg2"),
        said("pg_is_in_recovery", "standby", host="pg1"),
        said("<=", "t|"),
        {**said("pg_stat_replication", "t|"), "times": 1},
        said("pg_stat_replication", "f|"),
        said("", module="getent"),
    ]
    plan = _play(tmp_path, *rules, fails=False)
    assert "/etc/pgbackrest.conf" in plan.files
    assert not plan.of("restore")
    assert "stopped" not in [args["state"] for args in plan.of("systemd_service")]
