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
import time
import typing as t

from ... import dependency

if t.TYPE_CHECKING:
    import paramiko

_CHANNEL_OPEN, _CHANNEL_DATA, _CHANNEL_REQUEST = b"\x5a", b"\x5e", b"\x62"
_SERVICE = "ssh-userauth"
_SERVICE_ACCEPT = 6

# Which signatures of an RSA key the server takes it says with the first of its answers.
_ASK_FIRST = "ssh-rsa"


def auth_publickey(
    transport: paramiko.Transport,
    user: str,
    key: paramiko.PKey,
    then: t.Callable[[], None] = lambda: None,
) -> t.Sequence[str]:
    """``Transport.auth_publickey`` in one round trip; an RSA key takes paramiko's two.

    ``then`` is called when the key is on its way, to send what follows on it being accepted. The
    server takes a while to open a session: time to load what this process will need.
    """
    if key.get_name() == _ASK_FIRST:
        return transport.auth_publickey(user, key)
    library = dependency.paramiko()
    answered = threading.Event()
    handler = _handler_class(library)(transport)
    transport.auth_handler = handler
    handler.auth_publickey(user, key, answered)
    then()
    dependency.load_needed()
    return t.cast("t.Sequence[str]", handler.wait_for_response(answered))


def _handler_class(library: t.Any) -> t.Any:
    class Handler(library.auth_handler.AuthHandler):  # type: ignore[misc]
        """Goes on as if the service had been granted."""

        def _request_auth(self) -> None:
            super()._request_auth()
            granted = library.Message()
            granted.add_string(_SERVICE)
            granted.rewind()
            self._parse_service_accept(granted)

        @property
        def _client_handler_table(self) -> dict[int, t.Any]:
            # A method of the same name would do, but before 3.2 the table has the functions of the
            # class above, and the key was sent twice.
            return {**super()._client_handler_table, _SERVICE_ACCEPT: _granted}

    return Handler


def _granted(*_handler_and_message: t.Any) -> None:
    """What would be sent now is sent; a server that refuses the service disconnects."""


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


# Servers that want to be asked one thing after the other.
_in_turn: set[str] = set()


class Ahead:
    """A channel of OpenSSH, asked for together with the login, and what is said on it first.

    What follows on an authentication that succeeds is for the service behind it (RFC 4252, section
    5.1). The first channel of OpenSSH has number 0, and it takes data as soon as the subsystem is
    there, although it has announced no window until then. Others may not, so that only OpenSSH is
    asked like this; and where a connection is lost over it, not once more.
    """

    NUMBER = 0

    def __init__(
        self, transport: paramiko.Transport, server: str, name: str, greeting: bytes
    ) -> None:
        self._transport: t.Any = transport
        self._server = server
        self._name = name
        self._greeting = greeting
        self._stream: t.Any = None
        self._opened = threading.Event()
        self.asked = 0.0

    @staticmethod
    def suits(transport: paramiko.Transport, server: str) -> bool:
        """Whether the server, by that name, is one that can be asked like this."""
        software = transport.remote_version or ""
        return server not in _in_turn and software.startswith("SSH-2.0-OpenSSH_")

    @property
    def is_asked(self) -> bool:
        """Whether anything was sent."""
        return self._stream is not None

    def ask(self) -> None:
        """Send all of it."""
        library, transport = dependency.paramiko(), self._transport
        self.asked = time.monotonic()
        with transport.lock:
            number = transport._next_channel()
            stream = library.Channel(number)
            transport._channels.put(number, stream)
            transport.channel_events[number] = self._opened
            transport.channels_seen[number] = True
            stream._set_transport(transport)
            stream._set_window(transport.default_window_size, transport.default_max_packet_size)
        self._stream = stream
        message = library.Message()
        message.add_byte(_CHANNEL_OPEN)
        message.add_string("session")
        message.add_int(number)
        message.add_int(transport.default_window_size)
        message.add_int(transport.default_max_packet_size)
        transport._send_user_message(message)
        stream.remote_chanid = self.NUMBER
        request_subsystem(stream, self._name)
        message = library.Message()
        message.add_byte(_CHANNEL_DATA)
        message.add_int(self.NUMBER)
        message.add_string(self._greeting)
        transport._send_user_message(message)

    def stream(self, timeout: float) -> paramiko.Channel | None:
        """The channel, as soon as the server has opened it; None when it has another number."""
        if not self._opened.wait(timeout):
            raise dependency.paramiko().SSHException("timeout opening a channel")
        # One that was opened may be closed already, where the subsystem is refused: see is_refused.
        if not self._stream.active:
            raise self._transport.saved_exception or dependency.paramiko().SSHException(
                "unable to open a channel"
            )
        if self._stream.remote_chanid != self.NUMBER:
            return None
        return t.cast("paramiko.Channel", self._stream)

    def answered(self) -> None:
        """The greeting was, and so it has used up some of the window that is there now."""
        with self._stream.lock:
            self._stream.out_window_size -= len(self._greeting)

    def failed(self) -> None:
        """Something has gone wrong, perhaps for being asked like this."""
        _in_turn.add(self._server)


def is_refused(stream: paramiko.Channel) -> bool:
    """Whether the server has refused what ``request_subsystem`` asked for."""
    return stream.closed and stream.event.is_set() and not stream.event_ready
