# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two questions of the SSH handshake whose answers paramiko waits for, and need not.

A server works through what it receives in order, so the next message may follow at once where only
one answer leads on: logging in after asking for the service that does it (RFC 4253, section 10),
and SFTP's greeting after asking for the subsystem (RFC 4254, section 6.5). That is two round trips
less of each connection.
"""

from __future__ import annotations

import threading
import typing as t

from ... import dependency

if t.TYPE_CHECKING:
    import paramiko

_CHANNEL_REQUEST = b"\x62"
_SERVICE = "ssh-userauth"

# Which signatures of an RSA key the server takes it says with the first of its answers.
_ASK_FIRST = "ssh-rsa"


def auth_publickey(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> t.Sequence[str]:
    """``Transport.auth_publickey`` in one round trip; an RSA key takes paramiko's two."""
    if key.get_name() == _ASK_FIRST:
        return transport.auth_publickey(user, key)
    library = dependency.paramiko()
    answered = threading.Event()
    handler = _handler_class(library)(transport)
    transport.auth_handler = handler
    handler.auth_publickey(user, key, answered)
    return t.cast("t.Sequence[str]", handler.wait_for_response(answered))


def _handler_class(library: t.Any) -> t.Any:
    class Handler(library.auth_handler.AuthHandler):  # type: ignore[misc]
        """Goes on as if the service had been granted."""

        def _request_auth(self) -> None:
            super()._request_auth()
            granted = library.Message()
            granted.add_string(_SERVICE)
            granted.rewind()
            super()._parse_service_accept(granted)

        def _parse_service_accept(self, _message: t.Any) -> None:
            """What it would send is sent; a server that refuses the service disconnects."""

    return Handler


def request_subsystem(stream: paramiko.Channel, name: str) -> None:
    """``Channel.invoke_subsystem`` without waiting; a refusal closes the channel, see
    ``is_refused``.
    """
    message = dependency.paramiko().Message()
    message.add_byte(_CHANNEL_REQUEST)
    message.add_int(stream.remote_chanid)
    message.add_string("subsystem")
    message.add_boolean(True)
    message.add_string(name)
    channel: t.Any = stream
    channel._event_pending()
    channel.transport._send_user_message(message)


def is_refused(stream: paramiko.Channel) -> bool:
    """Whether the server has refused what ``request_subsystem`` asked for."""
    return stream.closed and stream.event.is_set() and not stream.event_ready
