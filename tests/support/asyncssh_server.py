# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""asyncssh's SFTP server in a process of its own: no relative of OpenSSH, and strict in other ways.

    asyncssh_server.py DIRECTORY

The directory is that of a `sshd.Sshd`, with host keys and authorized_keys. The first line of the
output is the port; it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh


async def serve(directory: Path) -> None:
    """Until standard input ends."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(directory / f"ssh_host_{kind}_key") for kind in ("ed25519", "ecdsa")],
        authorized_client_keys=str(directory / "authorized_keys"),
        sftp_factory=True,
        sftp_version=3,
    )
    sys.stdout.write(f"{server.get_port()}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
