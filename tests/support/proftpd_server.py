# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ProFTPD's mod_sftp on a high port of the loopback, where Debian's packages are installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import typing as t
from pathlib import Path

from .sshd import Sshd

PROGRAM = Path("/usr/sbin/proftpd")
MODULES = Path("/usr/lib/proftpd")

MISSING = os.geteuid() != 0 or not (PROGRAM.exists() and (MODULES / "mod_sftp.so").exists())
"""Also for who is not root: it serves each user with that user's rights."""

_CONFIG = """\
ModulePath {modules}
LoadModule mod_sftp.c
ServerName test
ServerType standalone
DefaultAddress 127.0.0.1
Port {port}
User nobody
Group nogroup
UseIPv6 off
WtmpLog off
RequireValidShell off
PidFile {directory}/proftpd.pid
ScoreboardFile {directory}/proftpd.score
SFTPEngine on
SFTPLog {directory}/proftpd.log
SFTPHostKey {directory}/proftpd_ecdsa
SFTPHostKey {directory}/proftpd_rsa
SFTPAuthMethods publickey
SFTPAuthorizedUserKeys file:{directory}/proftpd_keys
AllowOverwrite on
Umask 0027 0027
"""


@contextlib.contextmanager
def running(sshd: Sshd) -> t.Iterator[int]:
    """With the host keys of that server, and the key that it lets in; gives the port."""
    directory = sshd.directory
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for kind in ("ecdsa", "rsa"):
        shutil.copy(directory / f"ssh_host_{kind}_key", directory / f"proftpd_{kind}")
    with (directory / "proftpd_keys").open("w") as keys:
        command = ["ssh-keygen", "-e", "-f", f"{sshd.private_key}.pub"]
        subprocess.run(command, stdout=keys, check=True)
    config = directory / "proftpd.conf"
    config.write_text(_CONFIG.format(modules=MODULES, port=port, directory=directory))
    with subprocess.Popen([str(PROGRAM), "--nodaemon", "--quiet", "-c", str(config)]) as process:
        try:
            _await(process, port)
            yield port
        finally:
            process.terminate()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("ProFTPD does not start") from None
            time.sleep(0.02)
