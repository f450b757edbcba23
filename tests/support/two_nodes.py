# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes in one process, joined by pipes instead of SSH: one asks, a thread of the other serves.

A conftest imports the fixtures that it wants::

    from ansible_collections.pgsftp.backup.tests.support.two_nodes import far, host
"""

from __future__ import annotations

import os
import struct
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    node,
    releases,
    remote,
    service,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    BackupStart,
    BackupStop,
    Database,
    ReplayStatus,
    Server,
    ServerFacts,
)

FACTS = ServerFacts(
    150004, "15", "/pg", 2**63 + 1, False, "on", "true", 1 << 24, True, 1, "0/1", 300
)  # fmt: skip


class FakeServer(Server):
    """Answers as a server would, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[t.Any] = []
        self.closed = False

    def facts(self) -> ServerFacts:
        return FACTS

    def now(self) -> float:
        return 1795345637.25

    def in_recovery(self) -> bool:
        return False

    def start_backup(self, label: str, fast: bool) -> BackupStart:
        self.calls.append((label, fast))
        return BackupStart("0/2000028", "000000010000000000000002", 1795345637)

    def stop_backup(self) -> BackupStop:
        return BackupStop("0/2000100", "000000010000000000000002", "label\n", "", 1795345638)

    def databases(self) -> list[Database]:
        return [Database("postgres", 5, 4), Database("日本", 2**31 + 1, 4)]

    def tablespaces(self) -> dict[int, str]:
        return {1663: "pg_default", 16384: "ts1"}

    def create_restore_point(self, name: str) -> str:
        self.calls.append(name)
        return "0/3"

    def switch_wal(self) -> str:
        raise errors.DbQueryError("unable to execute query: no", hint="try again.")

    def current_wal_segment(self) -> str:
        return "000000010000000000000002"

    def archived_wal(self) -> str | None:
        return None if self.closed else "000000010000000000000001"

    def replay_status(self) -> ReplayStatus:
        return ReplayStatus("0/4", None, "0/2", 1)

    def checkpoint(self) -> None:
        self.calls.append("checkpoint")

    def close(self) -> None:
        self.closed = True


class Transport:
    """The serving side in a thread."""

    def __init__(self, serve: t.Callable[[int, int], object]) -> None:
        self.requests, self.input = os.pipe()
        self.output, self.answers = os.pipe()
        self.said = ""
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(serve,))
        self._thread.start()

    def _run(self, serve: t.Callable[[int, int], object]) -> None:
        try:
            serve(self.requests, self.answers)
        except Exception as cause:
            self.failure = cause
        finally:
            os.close(self.answers)

    def errors(self) -> str:
        """What SSH wrote to standard error."""
        return self.said

    def close(self) -> None:
        """End the line, and wait for the thread."""
        if self.input >= 0:
            os.close(self.input)
            self.input = -1
            self._thread.join(10)
            assert not self._thread.is_alive()
            os.close(self.output)
            os.close(self.requests)


class FakeLocks:
    """Grants what is claimed, or raises ``refusal``."""

    def __init__(self) -> None:
        self.claims: list[t.Any] = []
        self.refusal: Exception | None = None

    def grant(self, claim: t.Any) -> FakeLocks:
        """Take a claim of the other host; the lock, to be released."""
        if self.refusal is not None:
            raise self.refusal
        self.claims.append(claim)
        return self

    def release(self) -> None:
        """Give the newest claim back."""
        self.claims.pop()


class Host:
    """Two hosts: the one that asks, and the one with the data directory ``data``."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = tmp_path / "data"
        (self.data / "global").mkdir(parents=True)
        (self.data / "base" / "5").mkdir(parents=True)
        self.server = FakeServer()
        self.monkeypatch = monkeypatch
        self.transports: list[Transport] = []
        self.locks = FakeLocks()
        self.theirs = Options(
            "remote",
            stanza="demo",
            pgs=(
                PgOptions(key=1, path=str(self.data)),
                PgOptions(key=2, path="/elsewhere", host="pg2-srv"),
            ),
        )
        monkeypatch.setattr(node, "connect", lambda *_args, **_options: self.server)
        monkeypatch.setattr(remote, "Process", self.start)

    def start(self, command: list[str]) -> Transport:
        """What stands for a process of SSH with that command."""
        self.command = command
        self.transports.append(
            Transport(
                lambda receive, send: service.serve(receive, send, self.theirs, self.locks.grant)
            )
        )
        return self.transports[-1]

    def open(
        self, stanza: str = "demo", claim: t.Any = None, **changes: t.Any
    ) -> remote.RemoteNode:
        """The other node, as the one that asks has it; nothing is connected yet."""
        pg = PgOptions(**{"key": 2, "path": str(self.data), "host": "pg1-srv", **changes})
        options = Options("backup", stanza=stanza, protocol_timeout=10.0)
        return remote.RemoteNode(pg, options, claim)


def make_control(path: Path) -> None:
    """Write a pg_control of PostgreSQL 15 into a data directory."""
    release = releases.of_name("15")
    data = bytearray(8192)
    struct.pack_into("<QII", data, 0, 7, release.control_version, release.catalog_version)
    struct.pack_into("<II", data, release.page_size, 8192, 131072)
    struct.pack_into("<I", data, release.wal_segment_size, 1 << 24)
    struct.pack_into("<I", data, release.crc, control.crc32c(bytes(data[: release.crc])))
    (path / "global" / "pg_control").write_bytes(data)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Host]:
    """Two hosts, and the lines between them."""
    made = Host(tmp_path, monkeypatch)
    yield made
    for transport in made.transports:
        transport.close()


@pytest.fixture
def far(host: Host) -> t.Iterator[remote.RemoteNode]:
    """The other node."""
    opened = host.open()
    yield opened
    opened.close()
