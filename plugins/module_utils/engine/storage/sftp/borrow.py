# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that the resident archiver lends: SFTP without a library, a handshake, or a login.

The archiver of a stanza keeps sessions open. Who asks for one at its socket is given a channel of
an open connection, on which the SFTP protocol has begun, and speaks SFTP through that socket. The
server that is meant is named with everything that says who is on the other side and whom it takes
us for: with other options nothing is lent.
"""

from __future__ import annotations

import glob
import json
import os
import select
import socket
import typing as t

from ... import log
from ...config.options import Options, SftpOptions
from ...resident import Alone, Line
from .channel import Channel
from .protocol import View

QUESTION = "borrow"
LENT = "lent"

# An archiver that has a session answers at once; connecting takes less than waiting for longer.
PATIENCE = 2.0


class Lender(t.NamedTuple):
    """Where the archiver of a stanza listens."""

    directory: str
    stanza: str


def lender(options: Options) -> Lender | None:
    """Whom to ask: the stanza's archiver, or without a stanza that of any; None without one."""
    names = "*" if options.stanza is None else glob.escape(options.stanza)
    found = sorted(glob.glob(os.path.join(glob.escape(options.archiver_path), f"{names}.sock")))
    if not found:
        return None
    return Lender(options.archiver_path, os.path.basename(found[0])[: -len(".sock")])


def identity(options: SftpOptions) -> str:
    """Which server is meant, by whom, and what was done to know it: equal, or not the same."""
    return json.dumps(
        [
            options.host,
            options.port,
            options.user,
            options.private_key_file,
            options.agent,
            options.password_file,
            options.key_check_type,
            options.key_hash_type,
            options.fingerprint,
            options.known_hosts,
        ]
    )


def borrow(lender: Lender, options: SftpOptions, io_timeout: float) -> Channel | None:
    """A channel of the archiver's; None when it has none to lend."""
    try:
        line = Line(lender.directory, lender.stanza, PATIENCE)
        try:
            line.send(f"{QUESTION}\t{identity(options)}")
            answer, _blank, about = line.receive().partition(" ")
            if answer != LENT:
                raise Alone(about)
            told = json.loads(about)
            stream = _Stream(socket.socket(fileno=line.detach()), io_timeout)
        finally:
            line.close()
    except (Alone, ValueError) as cause:
        log.debug("no session of the archiver: %s", cause)
        return None
    log.debug("session of the archiver to %s", options.host)
    channel = Channel(stream, options.host, stream.close, lambda: "closed by the archiver")
    channel.software, channel.cipher = str(told["software"]), str(told["cipher"])
    channel.timeout = io_timeout
    return channel


class _Stream:
    """The socket as a Channel wants it."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._socket = sock
        self._socket.settimeout(timeout)

    def send(self, data: View) -> int:
        """See Stream."""
        return self._socket.send(data)

    def send_ready(self) -> bool:
        """See Stream."""
        return self._is(select.POLLOUT)

    def recv(self, size: int) -> bytes:
        """See Stream; the channel's idea of everything is more than one asks a socket for."""
        return self._socket.recv(min(size, 1 << 20))

    def recv_ready(self) -> bool:
        """See Stream."""
        return self._is(select.POLLIN)

    @property
    def closed(self) -> bool:
        """Whether the archiver has hung up, although something may be left to be read."""
        return self._socket.fileno() < 0 or self._is(select.POLLRDHUP)

    def _is(self, event: int) -> bool:
        """Whether that is so just now, or never will be any more."""
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Give it back."""
        self._socket.close()
