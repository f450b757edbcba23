# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a Debian host with a cluster, to play a role there without the others."""

from __future__ import annotations

import typing as t

CLUSTER: dict[str, t.Any] = {
    "version": "15",
    "user": "postgres",
    "group": "postgres",
    "home": "/var/lib/postgresql",
    "port": 5432,
    "socket_directory": "/run/postgresql",
    "service": "postgresql@15-main",
    "data_directory": "/data",
    "config_file": "/etc/postgresql/15/main/postgresql.conf",
    "hba_file": "/etc/postgresql/15/main/pg_hba.conf",
    "settings_directory": "/etc/postgresql/15/main/conf.d",
    "bin_directory": "/usr/lib/postgresql/15/bin",
    "isready": ["pg_isready"],
    "psql": ["runuser", "--user=postgres", "--", "psql"],
}

FACTS: dict[str, t.Any] = {
    "os_family": "Debian",
    "distribution": "Debian",
    "distribution_major_version": "12",
    "pkg_mgr": "apt",
    "service_mgr": "systemd",
    "python": {"executable": "/usr/bin/python3"},
    "default_ipv4": {"address": "192.0.2.1"},
    "getent_passwd": {"postgres": ["x"]},
    "postgresql_cluster": CLUSTER,
}


def said(
    contains: str, *lines: str, module: str = "command", host: str = "", **result: t.Any
) -> dict[str, t.Any]:
    """A rule: a module with this text in its arguments says these lines, on this host only."""
    answer = {"stdout": "\n".join(lines), "stdout_lines": list(lines), **result}
    where = {"host": host} if host else {}
    return {"module": module, "contains": contains, "result": answer, **where}


def exists(path: str) -> dict[str, t.Any]:
    """A rule: a path that is there."""
    return {"module": "stat", "contains": path, "result": {"stat": {"exists": True}}}
