# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SFTP storages on real OpenSSH servers: as they come, and with settings of a test's own.

A conftest imports the fixtures that it wants::

    from ansible_collections.pgsftp.backup.tests.support.openssh import connect, server, special
"""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    RepoOptions,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (
    Publish,
    Storage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import prepare

from . import sshd
from .sshd import Sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Sshd]:
    """A server as it comes, with internal-sftp."""
    running = sshd.start(tmp_path_factory.mktemp("sshd"))
    yield running
    running.stop()


@pytest.fixture
def special(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[t.Callable[..., Sshd]]:
    """Start a server with other settings."""
    started = []

    def start(*lines: str, **arguments: t.Any) -> Sshd:
        started.append(sshd.start(tmp_path_factory.mktemp("sshd"), *lines, **arguments))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def connect(tmp_path: Path) -> t.Iterator[t.Callable[..., t.Any]]:
    """Open a storage on a server, as strictly as by default."""
    opened = []

    def connect(
        running: Sshd,
        *,
        path: str | None = None,
        io_timeout: float = 10.0,
        port: int | None = None,
        striping: bool = False,
        **options: t.Any,
    ) -> t.Any:
        options.setdefault("known_hosts", (running.known_hosts("ed25519"),))
        options.setdefault("private_key_file", running.private_key)
        options.update(host=running.host, port=port or running.port, user=running.user)
        sftp = SftpOptions(**options)
        repo = RepoOptions(type="sftp", path=path or str(tmp_path / "repo"), sftp=sftp)
        # One session, without what replaces a lost one.
        opener = prepare(repo, io_timeout=io_timeout)
        opened.append((opener.striping(1) if striping else opener).open())
        return opened[-1]

    yield connect
    for storage in opened:
        storage.close()


def put(storage: Storage, names: t.Iterable[str], data: bytes) -> None:
    """Write files with the same content, and wait for all of them together."""
    completions = []
    for name in names:
        writer = storage.writer(name, publish=Publish.RENAME)
        writer.write(data)
        completions.append(writer.finish())
    storage.wait(completions)


def children(running: Sshd) -> list[int]:
    """The session processes of a server."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(running.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in found.stdout.split()]
