# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab after the walk-through, and throw-away clusters on its hosts.

A conftest imports the fixture that it wants::

    from ansible_collections.pgsftp.backup.tests.support.lab import deployed_lab
"""

from __future__ import annotations

import fcntl
import shlex
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

# What the walk-through leaves; the text is that of the JSON of info.
_HAS_BACKUP = '"backup":[{'


@pytest.fixture(scope="session")
def deployed_lab(lab: t.Any) -> t.Any:
    """The lab with what site.yml makes of it; a lab that has it already is left as it is."""
    with open(lab.state / "deploy.lock", "w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        info = lab.run(
            "pg1-srv", "pgsftp --stanza=demo info --output=json", user="postgres", check=False
        )
        if info.returncode or _HAS_BACKUP not in info.stdout:
            playbook = "ansible-playbook -i inventories/demo playbooks/site.yml"
            done = subprocess.run(
                ["sh", "-c", f". scripts/env && exec {playbook}"],
                check=False,
                cwd=TOP,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
            assert done.returncode == 0, done.stdout
    return lab


class LabHost:
    """A host of the lab, as the owner of its clusters uses it."""

    HOME = "/var/lib/postgresql"

    def __init__(self, lab: t.Any, name: str) -> None:
        self._lab = lab
        self.name = name
        versions = self.root("ls /usr/lib/postgresql").split()
        self.bin = f"/usr/lib/postgresql/{max(versions, key=float)}/bin"

    def root(self, script: str) -> str:
        """The output of a shell script that root runs."""
        return t.cast(str, self._lab.enter(self.name, script).stdout)

    def on(self, other: str, script: str) -> str:
        """The output of a shell script that root runs on another host of the same lab."""
        return t.cast(str, self._lab.enter(other, script).stdout)

    def sh(self, script: str, input: str | None = None) -> str:
        """The output of a shell script that the owner of the clusters runs."""
        script = f"export HOME={self.HOME} TZ=UTC; cd; {script}"
        return t.cast(str, self._lab.enter(self.name, script, user="postgres", input=input).stdout)

    def write(self, path: str, text: str) -> None:
        """Make a file that nobody else may read."""
        self.sh(f"umask 077; cat > {shlex.quote(path)}", input=text)


class LabCluster:
    """A cluster in a directory of its own on a host; only its socket leads to it."""

    def __init__(self, host: LabHost, root: str) -> None:
        self.host = host
        self.root = root
        self.data = f"{root}/data"
        host.sh(f"mkdir -m 700 -p {root}/s")

    def init(self, *arguments: str) -> None:
        """initdb, with settings that suit tests."""
        self.host.sh(
            f"{self.host.bin}/initdb -D {self.data} -k --no-sync -A trust -E UTF8 --locale C.UTF-8"
            f" {' '.join(arguments)}"
        )

    def start(self, **settings: str) -> None:
        """Start, with these settings; returns when recovery, if there is any, has ended."""
        given = {
            "listen_addresses": "",
            "unix_socket_directories": f"{self.root}/s",
            "fsync": "off",
            **settings,
        }
        lines = "".join(f"{name} = '{value}'\n" for name, value in given.items())
        # A restored cluster of Debian has its configuration elsewhere.
        self.host.sh(f"cd {self.data} && touch pg_ident.conf && cat > postgresql.conf", input=lines)
        self.host.write(f"{self.data}/pg_hba.conf", "local all all trust\n")
        ask = f"psql -XqtA -h {self.root}/s -d postgres -c 'select pg_is_in_recovery()'"
        self.host.sh(
            f"{self.host.bin}/pg_ctl -D {self.data} -l {self.root}/log -s -w -t 300 start &&"
            f' for _ in $(seq 1500); do test "$({ask})" = f && exit; sleep 0.2; done;'
            f" cat {self.root}/log; exit 1"
        )

    def reload(self, **settings: str) -> None:
        """Change settings that take no restart; they count for every process when this returns."""
        for name, value in settings.items():
            self.psql(f"alter system set {name} = '{value}'")
        self.host.sh(f"{self.host.bin}/pg_ctl -D {self.data} -s reload")
        deadline = time.monotonic() + 300
        # Only a new connection tells that the postmaster has passed it on to the others.
        for name, value in settings.items():
            while self.psql(f"show {name}") != value:
                assert time.monotonic() < deadline, f"{name} is not {value!r}"
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop, if it runs."""
        self.host.sh(
            f"test ! -e {self.data}/postmaster.pid ||"
            f" {self.host.bin}/pg_ctl -D {self.data} -s -w -m fast stop"
        )

    def psql(self, sql: str) -> str:
        """The output of statements: one line a row, columns separated by '|'."""
        return self.host.sh(
            f"psql -XqtA -v ON_ERROR_STOP=1 -h {self.root}/s -d postgres -f -", input=sql
        ).rstrip("\n")

    def digest(self) -> str:
        """A hash of all that the databases hold."""
        return contents(self.host, f"{self.root}/s")

    def archive_all(self) -> None:
        """Wait until everything up to now is in the archive."""
        archive_all(self.psql)


def contents(host: LabHost, socket: str) -> str:
    """A hash of all that the databases of a cluster hold, apart from unlogged tables."""
    return host.sh(
        f"pg_dumpall -h {socket} --no-unlogged-table-data --no-tablespaces > dump.$$ &&"
        " grep -v '^.restrict\\|^.unrestrict' dump.$$ | sha256sum; rm dump.$$"
    )


def archive_all(psql: t.Callable[[str], str]) -> None:
    """Switch to a new segment, and wait until the old one is in the archive."""
    # A segment of which nothing is written yet is not ended.
    segment = psql(
        "select pg_walfile_name(pg_switch_wal()) where pg_create_restore_point('end') is not null"
    )
    deadline = time.monotonic() + 300
    while psql(f"select last_archived_wal >= '{segment}' from pg_stat_archiver") != "t":
        assert time.monotonic() < deadline, psql("select * from pg_stat_archiver")
        time.sleep(0.2)
