# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles would do on each distribution.

The facts are those that Ansible gathers there; facts/README.md says which ones were recorded.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play

ROLES = (
    *("postgresql", "ssh_keys", "sftp_server", "pgsftp", "replication", "standby", "schedule"),
)
PGDG_YUM = "https://download.postgresql.org/pub/repos/yum"
FACTS = Path(__file__).with_name("facts")


@dataclass(frozen=True)
class Distribution:
    """A distribution, and what differs there."""

    name: str
    """Of the file with its facts."""
    version: str
    """Of PostgreSQL."""
    venv: str = ""
    """The interpreter of the virtual environment; empty where the packages suffice."""
    dropin: bool = True
    """Whether sshd reads a directory of configuration files."""
    module: bool = False
    """Whether the distribution's module hides PGDG's packages."""

    @property
    def major(self) -> str:
        """The first part of its number."""
        return self.name.split("-")[1].split(".")[0]

    @property
    def facts(self) -> dict[str, t.Any]:
        """As Ansible gathers them."""
        text = (FACTS / f"{self.name}.json").read_text(encoding="utf-8")
        return t.cast("dict[str, t.Any]", json.loads(text))


DEBIAN = [
    Distribution("Debian-12", "15"),
    Distribution("Debian-13", "17"),
    Distribution("Ubuntu-22.04", "14"),
    Distribution("Ubuntu-24.04", "16"),
]
REDHAT = [
    Distribution("Rocky-8.10", "17", "python3.11", dropin=False, module=True),
    Distribution("Rocky-9.6", "17", module=True),
    Distribution("Rocky-10.0", "17"),
]


def _play(place: Path, distribution: Distribution, **variables: t.Any) -> Plan:
    given = {
        "ssh_keys_sftp_passphrase": "x",
        "pgsftp_repository_passphrase": "x",
        "replication_password": "x",
        "replication_primary": "host",
        "replication_standbys": ["host"],
        "standby_primary": "host",
    }
    account = ["x", "26", "26", "", "/var/lib/pgsql", "/bin/bash"]
    rules = [
        {
            "module": "getent",
            "result": {"ansible_facts": {"getent_passwd": {"postgres": account}}},
        },
        {
            "module": "command",
            "contains": "apt-cache show --no-all-versions postgresql",
            "result": {"stdout": f"Package: postgresql\nVersion: {distribution.version}+238\n"},
        },
        # The data directory has a configuration, as after initdb.
        {
            "module": "stat",
            "contains": "postgresql.conf",
            "result": {"stat": {"exists": True}},
        },
        {"module": "stat", "contains": "conf.d", "result": {"stat": {"exists": True}}},
        {"module": "stat", "contains": "pg_hba.conf", "result": {"stat": {"exists": True}}},
        {"module": "command", "contains": "pg_stat_replication", "result": {"stdout": "t|"}},
    ]
    return play(place, ROLES, distribution.facts, {**given, **variables}, rules)


@pytest.fixture(scope="module", params=REDHAT, ids=lambda one: one.name)
def redhat(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Distribution, Plan]:
    return request.param, _play(tmp_path_factory.mktemp("plan"), request.param)


@pytest.fixture(scope="module", params=DEBIAN, ids=lambda one: one.name)
def debian(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Distribution, Plan]:
    return request.param, _play(tmp_path_factory.mktemp("plan"), request.param)


def test_redhat_installs_postgresql_from_pgdg(redhat: tuple[Distribution, Plan]) -> None:
    distribution, plan = redhat
    assert plan.of("rpm_key")[0]["key"] == f"{PGDG_YUM}/keys/PGDG-RPM-GPG-KEY-RHEL"
    assert plan.packages[:3] == [
        f"{PGDG_YUM}/reporpms/EL-{distribution.major}-x86_64/pgdg-redhat-repo-latest.noarch.rpm",
        "postgresql17-server",
        "postgresql17-contrib",
    ]
    disable = "dnf --quiet --assumeyes module disable postgresql"
    assert (disable in plan.commands) == distribution.module


def test_redhat_trusts_the_key_that_pgdg_has_for_arm(tmp_path: Path) -> None:
    facts = {**REDHAT[1].facts, "architecture": "aarch64"}
    plan = play(tmp_path, ["postgresql"], facts)
    assert plan.of("rpm_key")[0]["key"] == f"{PGDG_YUM}/keys/PGDG-RPM-GPG-KEY-AARCH64-RHEL"
    assert "/EL-9-aarch64/" in plan.packages[0]


def test_redhat_makes_the_cluster_where_pgdg_has_it(redhat: tuple[Distribution, Plan]) -> None:
    _distribution, plan = redhat
    (init,) = [args for args in plan.of("command") if "initdb" in (args.get("argv") or [])]
    assert init["argv"] == ["/usr/pgsql-17/bin/postgresql-17-setup", "initdb"]
    assert init["creates"] == "/var/lib/pgsql/17/data/PG_VERSION"
    assert {"name": "postgresql-17", "state": "started", "enabled": True} in plan.of(
        "systemd_service"
    )
    lines = {args["path"]: args["line"] for args in plan.of("lineinfile")}
    assert lines["/var/lib/pgsql/17/data/postgresql.conf"] == "port = 5432"
    settings = plan.files["/var/lib/pgsql/17/data/conf.d/pgsftp.conf"]
    assert "archive_mode = 'on'" in settings


def test_redhat_minds_selinux_and_firewalld(redhat: tuple[Distribution, Plan]) -> None:
    _distribution, plan = redhat
    assert "restorecon -Rv /var/lib/pgsql" in plan.commands
    (boolean,) = plan.of("seboolean")
    assert (boolean["name"], boolean["state"], boolean["persistent"]) == (
        "postgresql_can_rsync",
        True,
        True,
    )
    assert {"python3-libselinux", "python3-libsemanage"} <= set(plan.packages)
    opened = [(args.get("port"), args.get("service")) for args in plan.of("firewalld")]
    assert opened == [("5432/tcp", None), (None, "ssh")]
    assert all(args["permanent"] and args["immediate"] for args in plan.of("firewalld"))


def test_redhat_makes_keys_with_what_epel_has(redhat: tuple[Distribution, Plan]) -> None:
    _distribution, plan = redhat
    assert plan.packages.index("epel-release") < plan.packages.index("python3-bcrypt")
    assert {args["path"] for args in plan.of("openssh_keypair")} == {
        "/var/lib/pgsql/.ssh/id_ed25519_sftp"
    }


def test_redhat_has_libraries_that_are_new_enough(redhat: tuple[Distribution, Plan]) -> None:
    distribution, plan = redhat
    if distribution.venv:
        (pip,) = plan.of("pip")
        assert pip["virtualenv"] == "/opt/pgsftp/venv"
        assert pip["virtualenv_command"] == f"{distribution.venv} -m venv"
        assert distribution.venv in plan.packages
        assert plan.files["/usr/local/bin/pgsftp"].startswith(
            "#!/opt/pgsftp/venv/bin/python3 -ISXutf8"
        )
    else:
        assert not plan.of("pip")
        wanted = {"python3-numpy", "python3-paramiko", "python3-psycopg2", "python3-zstandard"}
        assert wanted <= set(plan.packages)
        assert plan.files["/usr/local/bin/pgsftp"].startswith("#!/usr/bin/python3 -ISXutf8")


def test_redhat_confines_the_account_of_the_backups(redhat: tuple[Distribution, Plan]) -> None:
    distribution, plan = redhat
    (user,) = plan.of("user")
    assert user["shell"] == "/sbin/nologin"
    if distribution.dropin:
        assert "Match User pgbackrest" in plan.files["/etc/ssh/sshd_config.d/10-pgsftp.conf"]
    else:
        # The rule of sshd_config ends with the file.
        (block,) = [
            args for args in plan.of("blockinfile") if args["path"] == "/etc/ssh/sshd_config"
        ]
        assert block["insertafter"] == "EOF"
        assert "Match User pgbackrest" in block["block"]
    assert {"name": "sshd", "state": "started", "enabled": True} in plan.of("systemd_service")


def test_redhat_schedules_after_its_own_service(redhat: tuple[Distribution, Plan]) -> None:
    _distribution, plan = redhat
    service = plan.files["/etc/systemd/system/pgsftp-demo@.service"]
    assert "After=network-online.target postgresql-17.service" in service
    assert '"/usr/pgsql-17/bin/psql"' in plan.files["/etc/pgsftp/schedule-demo.json"]


def test_debian_takes_the_distributions_version(debian: tuple[Distribution, Plan]) -> None:
    distribution, plan = debian
    assert f"postgresql-{distribution.version}" in plan.packages
    assert "/etc/apt/sources.list.d/pgsftp-pgdg.sources" not in plan.files
    (create,) = [line for line in plan.commands if line.startswith("pg_createcluster")]
    assert f"--datadir /var/lib/postgresql/{distribution.version}/main" in create
    assert "--data-checksums" in create
    config = f"/etc/postgresql/{distribution.version}/main/conf.d/pgsftp.conf"
    assert "archive_mode = 'on'" in plan.files[config]


def test_debian_has_its_own_names(debian: tuple[Distribution, Plan]) -> None:
    distribution, plan = debian
    assert not plan.of("dnf", "rpm_key", "seboolean", "firewalld", "pip")
    names = [args.get("name") for args in plan.of("systemd_service")]
    assert f"postgresql@{distribution.version}-main" in names and "ssh" in names
    (user,) = plan.of("user")
    assert user["shell"] == "/usr/sbin/nologin"
    wanted = {"python3-numpy", "python3-paramiko", "python3-psycopg2", "python3-zstandard"}
    assert wanted <= set(plan.packages)
    service = plan.files["/etc/systemd/system/pgsftp-demo@.service"]
    assert f"postgresql@{distribution.version}-main.service" in service


def test_debian_takes_another_version_from_pgdg(tmp_path: Path) -> None:
    distribution = DEBIAN[-1]
    rules = [
        {
            "module": "command",
            "contains": "postgresql-18",
            "result": {"rc": 100, "stdout": ""},
        }
    ]
    plan = play(tmp_path, ["postgresql"], distribution.facts, {"postgresql_version": "18"}, rules)
    source = plan.files["/etc/apt/sources.list.d/pgsftp-pgdg.sources"]
    assert "Suites: noble-pgdg" in source
    assert "Signed-By: /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc" in source
    assert "postgresql-18" in plan.packages


def _follows(plan: Plan, home: str, service: str, settings: str) -> None:
    """The account, its rules, and the standby, where this distribution has them."""
    rules = {args["path"]: args["block"] for args in plan.of("blockinfile")}
    assert "host replication replic_user " in rules[f"{settings}/pg_hba.conf"]
    (account,) = plan.of("postgresql_user")
    assert (account["name"], account["role_attr_flags"]) == ("replic_user", "LOGIN,REPLICATION")
    assert account["password"].startswith("SCRAM-SHA-256$")
    assert account["login_unix_socket"] == "/var/run/postgresql"
    assert [args["name"] for args in plan.of("postgresql_slot")] == ["host"]
    assert "python3-psycopg2" in plan.packages
    passwords = [args for args in plan.of("lineinfile") if args["path"] == f"{home}/.pgpass"]
    assert [args["mode"] for args in passwords] == ["0600"]
    (restore,) = plan.of("restore")
    assert (restore["type"], restore["user"]) == ("standby", "postgres")
    started = [step.task for step in plan if step.args.get("name") == service]
    assert started[-1].endswith("Start the standby, now and at boot")


def test_redhat_replicates(redhat: tuple[Distribution, Plan]) -> None:
    data = "/var/lib/pgsql/17/data"
    _follows(redhat[1], "/var/lib/pgsql", "postgresql-17", data)


def test_debian_replicates(debian: tuple[Distribution, Plan]) -> None:
    distribution, plan = debian
    part = f"{distribution.version}/main"
    service = f"postgresql@{distribution.version}-main"
    _follows(plan, "/var/lib/postgresql", service, f"/etc/postgresql/{part}")


def test_redhat_lets_the_server_use_a_data_directory_of_its_own(tmp_path: Path) -> None:
    variables = {"postgresql_data_directory": "/data/pg.17"}
    plan = play(tmp_path, ["postgresql"], REDHAT[1].facts, variables)
    (context,) = plan.of("sefcontext")
    assert context["target"] == "/data/pg\\.17(/.*)?"
    assert (context["setype"], context["state"]) == ("postgresql_db_t", "present")
    assert "restorecon -Rv /data/pg.17" in plan.commands
    modules = [step.module for step in plan]
    assert modules.index("sefcontext") < plan.index(
        next(step for step in plan if "initdb" in step.command)
    )


# Modules that work with libraries of the distribution's own Python, which on release 8 is 3.6.
BOUND = {"dnf": "dnf", "firewalld": "firewalld", "seboolean": "seboolean"}


def test_what_no_ansible_runs_on_release_8_is_said(redhat: tuple[Distribution, Plan]) -> None:
    """No ansible-core that this collection takes has modules for Python 3.6."""
    distribution, plan = redhat
    needed = {BOUND[step.module] for step in plan if step.module in BOUND}
    assert needed == set(BOUND)
    if distribution.major == "8":
        readme = (FACTS.parents[3] / "README.md").read_text(encoding="utf-8")
        (line,) = [line for line in readme.split("\n\n") if "release 8" in line.lower()]
        assert all(f"`{name}`" in line for name in needed)
