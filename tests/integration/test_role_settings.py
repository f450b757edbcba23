# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server says to the questions of the role ``pgsftp``: what waits, and what is wrong."""

from __future__ import annotations

import typing as t
from pathlib import Path

import jinja2
import pytest
import yaml

from ansible_collections.pgsftp.backup.tests.support.postgres import Cluster, ClusterFactory

TASKS = Path(__file__).resolve().parents[2] / "roles/pgsftp/tasks/archiving.yml"


def _task(name: str) -> dict[str, t.Any]:
    block = yaml.safe_load(TASKS.read_text(encoding="utf-8"))[1]["block"]
    (task,) = [task for task in block if task["name"] == name]
    return t.cast("dict[str, t.Any]", task["ansible.builtin.command"])


class Settings:
    """The server, with the role's file beside its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        (cluster.data / "conf.d").mkdir(mode=0o755)
        with open(cluster.data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write("include_dir = 'conf.d'\n")
        self.of_the_role()
        command_line = "-c max_connections=50"
        cluster.run(
            cluster.bin / "pg_ctl", "start", "--wait", "--silent",
            "--pgdata", cluster.data, "--log", cluster.log, "--options", command_line,
        )  # fmt: skip

    def of_the_role(self, **settings: str) -> None:
        """What its file holds."""
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        path = self.cluster.data / "conf.d" / "pgsftp.conf"
        path.write_text("".join(lines), encoding="utf-8")
        path.chmod(0o644)

    def reload(self) -> None:
        """Have the server read all of them, and wait until it has."""
        before = self.cluster.psql("SELECT pg_conf_load_time()")
        self.cluster.reload()
        self.cluster.wait(f"SELECT pg_conf_load_time() > '{before.strip()}'", "t")

    @property
    def waiting(self) -> list[str]:
        """Those for which the role restarts the server."""
        return self.cluster.psql(_task("Ask which settings wait for a restart")["stdin"]).split()

    def check(self) -> str:
        """The role's look at the configuration; AssertionError with PostgreSQL's words."""
        known = {
            "user": "x",
            "bin_directory": self.cluster.bin,
            "data_directory": self.cluster.data,
            "config_file": self.cluster.data / "postgresql.conf",
        }
        words = [
            jinja2.Template(word).render(postgresql_cluster=known)
            for word in _task("Have PostgreSQL check its configuration")["argv"]
        ]
        assert words[:3] == ["runuser", "--user=x", "--"]
        return self.cluster.run(*words[3:])


@pytest.fixture
def settings(new_cluster: ClusterFactory) -> Settings:
    return Settings(new_cluster(start=False))


def test_what_waits_for_a_restart(settings: Settings) -> None:
    settings.check()
    assert settings.waiting == []
    settings.of_the_role(archive_mode="on", work_mem="5MB")
    assert settings.waiting == ["archive_mode"]
    settings.reload()
    assert settings.waiting == ["archive_mode"]
    settings.of_the_role()
    settings.reload()
    assert settings.waiting == []


def test_a_setting_of_somebody_else_may_wait(settings: Settings) -> None:
    settings.cluster.configure(shared_buffers="32MB")
    settings.reload()
    assert settings.cluster.psql("SELECT count(*) FROM pg_settings WHERE pending_restart") > "0"
    assert settings.waiting == []


def test_one_that_the_command_line_overrides_waits_for_nothing(settings: Settings) -> None:
    settings.of_the_role(max_connections="77")
    settings.reload()
    assert settings.waiting == []


def test_one_that_is_overridden_by_alter_system_waits_for_nothing(settings: Settings) -> None:
    settings.of_the_role(max_wal_senders="7")
    settings.cluster.psql("ALTER SYSTEM SET max_wal_senders = 4")
    settings.reload()
    assert settings.waiting == []


def test_a_wrong_value_waits_for_nothing_and_is_found(settings: Settings) -> None:
    settings.of_the_role(work_mem="banana")
    assert settings.waiting == []
    with pytest.raises(AssertionError, match='invalid value for parameter "work_mem": "banana"'):
        settings.check()
    settings.of_the_role(no_such_setting="1")
    with pytest.raises(AssertionError, match='unrecognized configuration parameter "no_such'):
        settings.check()
