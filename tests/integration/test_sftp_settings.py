# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SFTP storage on OpenSSH servers with every setting that administrators change."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.tests.support import sshd
from ansible_collections.pgsftp.backup.tests.support.openssh import put

paramiko = pytest.importorskip("paramiko")
pytestmark = pytest.mark.skipif(sshd.SSHD is None, reason="needs sshd (package openssh-server)")

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@pytest.mark.skipif(not os.path.exists(SFTP_SERVER), reason="no external sftp-server")
def test_the_external_server(special, connect):
    storage = connect(special(subsystem=SFTP_SERVER))
    put(storage, ["a/x", "a/y"], b"1")
    assert storage.read("a/y") == b"1"


@pytest.mark.skipif(not os.path.exists(SFTP_SERVER), reason="no external sftp-server")
@pytest.mark.parametrize("refused", ["fsync", "posix-rename", "statvfs", "limits", "lstat"])
def test_requests_that_the_administrator_switched_off(special, connect, refused):
    storage = connect(special(subsystem=f"{SFTP_SERVER} -P {refused}"))
    storage.write("a/x", b"1")
    storage.write("a/x", b"2" * 100_000)
    assert storage.read("a/x") == b"2" * 100_000
    assert (storage.free_size() is None) == (refused == "statvfs")


@pytest.mark.parametrize("umask", ["077", "022"])
def test_a_umask_of_the_server(special, connect, tmp_path, umask):
    storage = connect(special(subsystem=f"internal-sftp -u {umask}"))
    storage.write("a/x", b"1")
    assert storage.read("a/x") == b"1"
    assert os.stat(tmp_path / "repo/a/x").st_mode & 0o777 == 0o640 & ~int(umask, 8)


def test_a_chroot(special, connect, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("sshd as a user has no chroot")
    jail = tmp_path_factory.mktemp("jail")
    for directory in (jail, *jail.parents):
        if os.stat(directory).st_mode & 0o022 and directory != pathlib.Path("/tmp"):
            pytest.skip(f"{directory} is not fit for a chroot")
    jail = pathlib.Path("/run/sshd-test-jail")
    jail.mkdir(mode=0o755, exist_ok=True)
    (jail / "backup_space").mkdir(exist_ok=True)
    try:
        running = special(f"ChrootDirectory {jail}", "ForceCommand internal-sftp")
        storage = connect(running, path="/backup_space")
        storage.write("archive/x", b"1")
        assert (jail / "backup_space/archive/x").read_bytes() == b"1"
        storage.remove_tree("archive")
    finally:
        subprocess.run(["rm", "-rf", str(jail)], check=True)


def test_no_subsystem(special, connect):
    with pytest.raises(errors.ProtocolError, match="has no SFTP subsystem"):
        connect(special(subsystem=None))


def test_login_noise(special, connect, tmp_path):
    script = tmp_path / "noisy"
    script.write_text("#!/bin/sh\necho\necho Welcome to sftp-srv\nexec cat\n")
    script.chmod(0o755)
    running = special(subsystem=str(script))
    said = "'Welcome to sftp-srv' where the SFTP"
    with pytest.raises(errors.ProtocolError, match=said) as raised:
        connect(running)
    assert "\n" not in raised.value.message


def test_a_subsystem_that_does_not_start(special, connect):
    with pytest.raises(errors.ProtocolError, match="ended the session before the SFTP protocol"):
        connect(special(subsystem="/bin/false"))


@pytest.mark.parametrize(
    "offered, chosen",
    [
        (None, "aes128-gcm@openssh.com"),
        ("aes128-ctr,aes256-gcm@openssh.com", "aes256-gcm@openssh.com"),
        ("chacha20-poly1305@openssh.com,aes256-ctr", "aes256-ctr"),
    ],
)
def test_gcm_is_taken_where_both_sides_have_it(special, connect, offered, chosen):
    if chosen not in paramiko.Transport._preferred_ciphers:
        pytest.skip(f"this paramiko has no {chosen}")
    running = special("LogLevel DEBUG2", *([f"Ciphers {offered}"] if offered else []))
    storage = connect(running)
    assert storage.channel.cipher == chosen
    # The server's view of both directions.
    assert running.log.count(f"cipher: {chosen} MAC:") >= 2
    storage.write("x", b"")


def test_rekeying_all_the_time(special, connect):
    storage = connect(special("RekeyLimit 1M"))
    data = os.urandom(20_000_000)
    storage.write("x", data)
    assert storage.read("x") == data


def test_a_server_that_checks_whether_we_are_alive(special, connect):
    storage = connect(special("ClientAliveInterval 1", "ClientAliveCountMax 1"))
    storage.write("x", b"1")
    time.sleep(4)
    assert storage.read("x") == b"1"


def test_a_single_session_per_connection_is_enough(special, connect):
    storage = connect(special("MaxSessions 1"))
    put(storage, ["a", "b"], b"1")
    assert len(storage.list("")) == 2


def test_few_files_at_once(special, connect):
    """A server whose processes may open few files."""
    running = special()
    subprocess.run(["prlimit", f"--pid={running.process.pid}", "--nofile=40"], check=True)
    storage = connect(running)
    names = [f"d/{number}" for number in range(200)]
    put(storage, names, b"x")
    readers = [storage.reader(name) for name in names]
    assert b"".join(reader.read_all() for reader in readers) == b"x" * 200
    # In directories that are there, and before the server has said how many.
    again = connect(running)
    readers = [again.reader(name) for name in names]
    assert b"".join(reader.read_all() for reader in readers) == b"x" * 200
    again = connect(running)
    put(again, names, b"y")
    assert again.read(names[0]) == b"y"
