# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real OpenSSH server on a high port of the loopback, for as long as a test needs it."""

from __future__ import annotations

import dataclasses
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import time

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin")

_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
PidFile none
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin prohibit-password
LogLevel VERBOSE
"""


@dataclasses.dataclass
class Sshd:
    """Where it listens, who may log in, and what belongs to it."""

    directory: pathlib.Path
    port: int
    process: subprocess.Popen
    host: str = "127.0.0.1"
    user: str = dataclasses.field(default_factory=getpass.getuser)

    @property
    def log(self) -> str:
        """What the server said so far."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def private_key(self) -> str:
        """A key that may log in."""
        return str(self.directory / "id_ed25519")

    def authorize(self, public_key_file: str) -> None:
        """Let another key in."""
        with (self.directory / "authorized_keys").open("a") as stream:
            stream.write(pathlib.Path(public_key_file).read_text())

    def host_key(self, kind: str) -> str:
        """The public host key of a type, as ``type blob``."""
        text = (self.directory / f"ssh_host_{kind}_key.pub").read_text()
        return " ".join(text.split()[:2])

    def known_hosts(self, *kinds: str) -> str:
        """A known_hosts file that has the server's keys of these types."""
        file = self.directory / ("known_hosts_" + "_".join(kinds))
        file.write_text(
            "".join(f"[{self.host}]:{self.port} {self.host_key(kind)}\n" for kind in kinds)
        )
        return str(file)

    def stop(self) -> None:
        """End it; its sessions go on until their clients leave."""
        self.process.terminate()
        self.process.wait()

    def resume(self) -> None:
        """Start it again after ``stop``: same port, same keys."""
        with (self.directory / "log").open("a") as log:
            self.process = subprocess.Popen(
                [str(SSHD), "-f", str(self.directory / "sshd_config"), "-D", "-e"], stderr=log
            )
        self._wait()

    def _wait(self) -> None:
        """Until it listens."""
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"sshd does not start: {self.log}") from None
                time.sleep(0.02)


_slow: dict[str, tuple[bytes, bytes]] = {}


def _host_key(file: pathlib.Path, kind: str) -> None:
    """A new key; but one of RSA takes seconds, and so it is the same for all servers."""
    public = file.with_name(file.name + ".pub")
    if kind in _slow:
        file.touch(mode=0o600)
        file.write_bytes(_slow[kind][0])
        public.write_bytes(_slow[kind][1])
        return
    keygen(file, kind)
    if kind == "rsa":
        _slow[kind] = (file.read_bytes(), public.read_bytes())


def keygen(file: pathlib.Path, kind: str, *arguments: str, passphrase: str = "") -> None:
    """Make a key pair."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-f", str(file), "-N", passphrase, "-C", "", *arguments],
        check=True,
    )


def start(
    directory: pathlib.Path,
    *lines: str,
    subsystem: str | None = "internal-sftp",
    host_keys: tuple[str, ...] = ("ed25519", "ecdsa", "rsa"),
) -> Sshd:
    """Start a server with ``lines`` added to its configuration."""
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # What a test adds comes first: the first value of a keyword counts.
    config = "\n".join(lines) + "\n" + _CONFIG.format(port=port, directory=directory)
    if subsystem is not None:
        config += f"Subsystem sftp {subsystem}\n"
    for kind in host_keys:
        _host_key(directory / f"ssh_host_{kind}_key", kind)
        config += f"HostKey {directory}/ssh_host_{kind}_key\n"
    (directory / "sshd_config").write_text(config)
    keygen(directory / "id_ed25519", "ed25519")
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [str(SSHD), "-f", str(directory / "sshd_config"), "-D", "-e"], stderr=log
        )
    server = Sshd(directory, port, process)
    server.authorize(server.private_key + ".pub")
    server._wait()
    return server
