# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throw-away PostgreSQL clusters for tests.

A conftest imports the pytest fixtures that it wants::

    from ansible_collections.pgsftp.backup.tests.support.postgres import new_cluster, postgres

``postgres`` is a running cluster with data checksums, shared by the tests of a module;
``new_cluster(**settings)`` makes further ones. Servers refuse to run as root, so under root all of
it runs as the user ``postgres``, in a directory of that user, on a private socket and no TCP port.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

OWNER = "postgres"


def _versions() -> list[str]:
    found = [path.split("/")[-3] for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    return sorted(found, key=float)


VERSIONS = _versions()

# Installed elsewhere: version=directory of programs, separated by colons.
FURTHER = dict(row.split("=", 1) for row in os.environ.get("PGSFTP_POSTGRES", "").split(":") if row)

# pg_hba trusts the private socket; durability is of no use to a test.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "log_min_messages": "warning",
    "autovacuum": "off",
    "shared_buffers": "16MB",
}


class Cluster:
    """One cluster in a directory of its own."""

    def __init__(self, root: Path, version: str) -> None:
        self.root = root
        self.version = version
        self.bin = Path(FURTHER.get(version, f"/usr/lib/postgresql/{version}/bin"))
        self.data = root / "data"
        self.socket = root / "s"
        self.port = 5432
        self.log = root / "server.log"

    @property
    def arguments(self) -> list[str]:
        """The options by which the engine finds the cluster as pg1."""
        return [f"--{name}={value}" for name, value in self.options(1).items()]

    def options(self, key: int = 1) -> dict[str, str]:
        """The same as a mapping, for any key."""
        return {
            f"pg{key}-path": str(self.data),
            f"pg{key}-socket-path": str(self.socket),
            f"pg{key}-port": str(self.port),
            f"pg{key}-user": OWNER,
        }

    def run(self, *command: object, **options: t.Any) -> str:
        """Run a command as the owner of the cluster; gives its standard output."""
        words = [str(word) for word in command]
        owner = {} if os.geteuid() != 0 else {"user": OWNER, "group": OWNER, "extra_groups": []}
        done = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            cwd=self.root,
            env={**os.environ, "HOME": str(self.root), "PGUSER": OWNER},
            **{**owner, **options},
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def init(self, *arguments: str) -> None:
        """initdb with data checksums, and the settings for tests."""
        self.socket.mkdir(exist_ok=True)
        self._own(self.socket)
        self.run(
            self.bin / "initdb",
            "--pgdata", self.data,
            "--username", OWNER,
            "--auth", "trust",
            "--data-checksums",
            "--no-sync",
            "--encoding", "UTF8",
            "--locale", "C",
            *arguments,
        )  # fmt: skip
        self.configure(unix_socket_directories=str(self.socket), port=str(self.port), **SETTINGS)

    def configure(self, **settings: str) -> None:
        """Add settings to postgresql.conf; they count after ``start`` or ``reload``."""
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            for name, value in settings.items():
                quoted = value.replace("'", "''")
                conf.write(f"{name} = '{quoted}'\n")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        try:
            self.run(
                self.bin / "pg_ctl", "start", "--wait", "--silent",
                "--pgdata", self.data, "--log", self.log,
            )  # fmt: skip
        except AssertionError as cause:
            log = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
            raise AssertionError(f"{cause}\n{log}") from None

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, if it runs."""
        if (self.data / "postmaster.pid").exists():
            self.run(
                self.bin / "pg_ctl", "stop", "--wait", "--silent",
                "--pgdata", self.data, "--mode", mode,
            )  # fmt: skip

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Make the server read its configuration again."""
        self.run(self.bin / "pg_ctl", "reload", "--silent", "--pgdata", self.data)

    def promote(self) -> None:
        """Make a primary of a standby."""
        self.run(self.bin / "pg_ctl", "promote", "--wait", "--silent", "--pgdata", self.data)

    def turn_timeline(self) -> None:
        """Make a standby of a primary, and a primary of that again, on a new timeline."""
        self.stop()
        signal_file = self.data / "standby.signal"
        signal_file.touch()
        self._own(signal_file)
        self.start()
        self.promote()

    def psql(self, sql: str, database: str = "postgres") -> str:
        """The output of statements: one line a row, columns separated by '|'.

        Each statement is a transaction of its own.
        """
        return self.run(
            self.bin / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
            "--set", "ON_ERROR_STOP=1", "--host", self.socket, "--port", self.port,
            "--username", OWNER, "--dbname", database, input=sql,
        ).rstrip("\n")  # fmt: skip

    def wait(self, sql: str, expected: str, seconds: float = 30.0) -> None:
        """Repeat a query until it gives what is expected."""
        deadline = time.monotonic() + seconds
        while True:
            got = self.psql(sql)
            if got == expected:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{sql}: still {got!r} instead of {expected!r}")
            time.sleep(0.1)

    def wait_archived(self, segment: str, seconds: float = 30.0) -> None:
        """Wait until a segment is archived, or a later one of its timeline or of a later one."""
        # A history has its timeline's name, too, and is archived before every segment of it.
        self.wait(
            f"select last_archived_wal collate \"C\" >= '{segment}' from pg_stat_archiver",
            "t", seconds,
        )  # fmt: skip

    def new_standby(self, name: str = "standby") -> Cluster:
        """A running standby of this cluster, made by pg_basebackup."""
        standby = Cluster(self.root / name, self.version)
        standby.root.mkdir()
        self._own(standby.root)
        standby.socket.mkdir()
        self._own(standby.socket)
        spaces = self.psql(
            "select pg_tablespace_location(oid), oid from pg_tablespace where oid >= 16384"
        )
        mapped = [line.split("|") for line in spaces.splitlines()]
        self.run(
            self.bin / "pg_basebackup", "--pgdata", standby.data, "--write-recovery-conf",
            "--checkpoint", "fast", "--no-sync", "--host", self.socket, "--port", self.port,
            "--username", OWNER,
            *(f"--tablespace-mapping={path}={standby.root}/ts{oid}" for path, oid in mapped),
        )  # fmt: skip
        standby.configure(unix_socket_directories=str(standby.socket))
        standby.start()
        return standby

    def directory(self, name: str) -> Path:
        """A new directory that the server may write, for a tablespace or the like."""
        path = self.root / name
        path.mkdir()
        self._own(path)
        return path

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(OWNER)
            os.chown(path, owner.pw_uid, owner.pw_gid)


class ClusterFactory:
    """Makes clusters and removes them again."""

    def __init__(self) -> None:
        self._clusters: list[Cluster] = []

    def __call__(
        self, *initdb: str, version: str | None = None, start: bool = True, **settings: str
    ) -> Cluster:
        """A new cluster; ``initdb`` are arguments such as ``--wal-segsize=1``."""
        if not VERSIONS:
            pytest.skip("no PostgreSQL server is installed")
        # Short, since it holds a socket; and not below pytest's directory, which is root's.
        root = Path(tempfile.mkdtemp(prefix="pgsftp-"))
        cluster = Cluster(root, version or VERSIONS[-1])
        cluster._own(root)
        self._clusters.append(cluster)
        cluster.init(*initdb)
        cluster.configure(**settings)
        if start:
            cluster.start()
        return cluster

    def close(self) -> None:
        """Stop and remove everything."""
        for cluster in reversed(self._clusters):
            for pid in cluster.root.rglob("postmaster.pid"):
                running = Cluster(pid.parent.parent, cluster.version)
                running.data = pid.parent
                running.stop("immediate")
            shutil.rmtree(cluster.root)


@pytest.fixture(scope="module")
def new_cluster() -> t.Iterator[ClusterFactory]:
    """A function that makes clusters, which go away with the module's tests."""
    factory = ClusterFactory()
    yield factory
    factory.close()


@pytest.fixture(scope="module")
def postgres(new_cluster: ClusterFactory) -> Cluster:
    """A running cluster for the tests of a module."""
    return new_cluster()
