# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with an SSH server in this process. Module-level fixtures, to be imported by name."""

from __future__ import annotations

import paramiko
import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    RepoOptions,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import (
    open as opening,
)

from .ssh_server import Conduct, SshServer
from .sshd import keygen


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Host keys, and two to log in with."""
    directory = tmp_path_factory.mktemp("keys")
    keygen(directory / "user", "ed25519")
    keygen(directory / "rsa", "rsa")
    return {
        "user": str(directory / "user"),
        "rsa user": str(directory / "rsa"),
        "ssh-rsa": paramiko.RSAKey.generate(2048),
        "ecdsa-sha2-nistp256": paramiko.ECDSAKey.generate(),
    }


@pytest.fixture
def server(keys):
    """Start a server: ``server(accept_key=False)``."""
    started = []

    def start(*kinds, **conduct):
        kinds = kinds or ("ssh-rsa", "ecdsa-sha2-nistp256")
        made = SshServer([keys[kind] for kind in kinds], Conduct(**conduct))
        started.append(made)
        return made

    yield start
    for made in started:
        made.stop()


@pytest.fixture
def connect(keys, tmp_path):
    """Open a storage on a server; host keys are not checked unless said otherwise."""
    opened = []

    def connect(port, *, io_timeout=5.0, host="127.0.0.1", replaced=False, **options):
        options.setdefault("key_check_type", "none")
        options.setdefault("private_key_file", keys["user"])
        sftp = SftpOptions(host=host, port=port, user="pgbackrest", **options)
        repo = RepoOptions(type="sftp", path=str(tmp_path / "repo"), sftp=sftp)
        opener = opening.prepare(repo, io_timeout=io_timeout)
        # One session, without what replaces a lost one, unless that is wanted.
        storage = opener.storage() if replaced else opener.open()
        opened.append(storage)
        return storage

    yield connect
    for storage in opened:
        storage.close()
