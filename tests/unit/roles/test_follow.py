# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a standby says to its primary, in the configuration and in a data directory."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.pgsftp.backup.tests.support.plan import play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import CLUSTER, FACTS

PORT = {**FACTS, "postgresql_cluster": {**CLUSTER, "port": 5433}}
KNOWN = {"pgsftp_repository_passphrase": "x"}
CONNINFO = "host=pg1 port=5433 user=replic_user application_name=host"


def _options(place: Path, **variables: t.Any) -> list[str]:
    """The recovery options of the configuration."""
    rules = [{"module": "getent", "result": {}}]
    plan = play(place, ["pgsftp"], PORT, {**KNOWN, **variables}, rules)
    lines = plan.files["/etc/pgbackrest.conf"].splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith("recovery-option=")]


def test_a_primary_follows_nobody(tmp_path: Path) -> None:
    assert _options(tmp_path) == []


def test_a_standby_follows_with_the_port_of_the_cluster(tmp_path: Path) -> None:
    options = _options(tmp_path, pgsftp_primary_host="pg1")
    assert options == [f"primary_conninfo={CONNINFO}", "primary_slot_name=host"]


def test_without_slots_none_is_named(tmp_path: Path) -> None:
    options = _options(tmp_path, pgsftp_primary_host="pg1", replication_slots=False)
    assert options == [f"primary_conninfo={CONNINFO}"]


def test_parameters_are_added_as_libpq_quotes_them(tmp_path: Path) -> None:
    parameters = {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/a b/it's",
        "sslcert": r"a\b",
        "options": "",
        "port": 6432,
    }
    options = _options(tmp_path, pgsftp_primary_host="pg1", pgsftp_primary_conninfo=parameters)
    text = (
        "host=pg1 port=6432 user=replic_user application_name=host"
        r" options='' sslcert='a\\b' sslmode=verify-full sslrootcert='/etc/a b/it\'s'"
    )
    # As it stands between quotes in the server's configuration.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    assert options[0] == f"primary_conninfo={escaped}"


def test_recovery_options_are_added_and_have_the_last_word(tmp_path: Path) -> None:
    more = {"recovery_min_apply_delay": "1h", "primary_slot_name": "mine"}
    options = _options(tmp_path, pgsftp_primary_host="pg1", pgsftp_recovery_options=more)
    assert options == [
        f"primary_conninfo={CONNINFO}",
        "primary_slot_name=mine",
        "recovery_min_apply_delay=1h",
    ]


def test_a_data_directory_gets_the_same(tmp_path: Path) -> None:
    variables = {
        "pgsftp_primary_host": "pg1",
        "pgsftp_primary_conninfo": {"sslrootcert": "a b"},
    }
    plan = play(tmp_path, ["pgsftp/follow"], PORT, {**KNOWN, **variables})
    assert [args["line"] for args in plan.of("lineinfile")] == [
        "restore_command = '/usr/local/bin/pgsftp --config=/etc/pgbackrest.conf --pg1-path=/data"
        """ --stanza=demo archive-get %f "%p"'""",
        f"primary_conninfo = '{CONNINFO} sslrootcert=''a b'''",
        "primary_slot_name = 'host'",
    ]
    (signal,) = plan.of("file")
    assert signal["path"] == "/data/standby.signal"


def test_the_locks_lie_where_the_variable_says(tmp_path: Path) -> None:
    variables = {**KNOWN, "pgsftp_lock_directory": "/run/pgbackrest"}
    rules = [{"module": "getent", "result": {}}]
    plan = play(tmp_path, ["pgsftp"], PORT, variables, rules)
    assert "lock-path=/run/pgbackrest" in plan.files["/etc/pgbackrest.conf"].splitlines()
