# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the resident archiver of this host is spoken to: lines, over a unix socket.

Everything that PostgreSQL starts for every segment loads this file, so that it imports next to
nothing.
"""

from __future__ import annotations

import _socket  # ``socket`` is written in Python, and as much again as the rest of this file
import os
import sys

# As typing has it, which would be half of what is loaded.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence

DIRECTORY = "/run/pgsftp"

# An archiver that is silent for so many seconds hangs.
SILENCE = 10.0

# Between two dots, in seconds.
BEAT = 1.0


class Alone(Exception):
    """The archiver does not do it; the text says why."""


class Line:
    """A connection to the archiver of a stanza; every failure is an Alone."""

    def __init__(self, directory: str, stanza: str, silence: float = 0.0) -> None:
        path = socket_path(directory, stanza)
        self._silence = silence or SILENCE
        try:
            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        except OSError as cause:
            raise Alone(f"there is no socket to ask at '{path}' ({cause.strerror})") from None
        self._socket.settimeout(self._silence)
        try:
            self._socket.connect(path)
            peer = peer_uid(self._socket)
        except OSError as cause:
            self._socket.close()
            raise Alone(f"nobody answers at '{path}' ({cause.strerror or cause})") from None
        if peer not in (os.geteuid(), 0) and os.geteuid() != 0:
            self._socket.close()
            raise Alone(f"'{path}' belongs to another user")

    def send(self, text: str) -> None:
        """Send a line."""
        try:
            self._socket.sendall(os.fsencode(text) + b"\n")
        except OSError as cause:
            raise Alone(f"it ended the connection ({cause.strerror or cause})") from None

    def receive(self) -> str:
        """The answer, without the dots; waits as long as those come."""
        data = b""
        while not data.endswith(b"\n"):
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                raise Alone(f"it has been silent for {self._silence:g} seconds") from None
            except OSError as cause:
                # Before Python 3.10 a time-out was an error of its own.
                raise Alone(f"it does not answer ({cause.strerror or cause})") from None
            if not chunk:
                raise Alone("it ended without an answer")
            data = (data + chunk).lstrip(b".")
        return os.fsdecode(data[:-1])

    def hand_over(self, descriptors: Sequence[int]) -> None:
        """Give open files away; what is said then may take as long as it takes."""
        rights = b"".join(number.to_bytes(4, sys.byteorder) for number in descriptors)
        try:
            self._socket.settimeout(None)
            self._socket.sendmsg([b"!"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        except OSError as cause:
            raise Alone(f"it ended the connection ({cause.strerror or cause})") from None

    def detach(self) -> int:
        """The connection's file descriptor, which is the caller's from now on."""
        return self._socket.detach()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def answers(directory: str, stanza: str) -> bool:
    """Whether the archiver of a stanza is there."""
    try:
        Line(directory, stanza).close()
    except Alone:
        return False
    return True


def socket_path(directory: str, stanza: str) -> str:
    """Where the archiver of a stanza listens."""
    return os.path.join(directory, f"{stanza}.sock")


def peer_uid(sock: _socket.socket) -> int:
    """The user at the other end of a unix socket (struct ucred: pid, uid, gid)."""
    data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(data[4:8], sys.byteorder)


def escape(text: str) -> str:
    """A text as part of a line."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def unescape(text: str) -> str:
    """The text again."""
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
