# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An SSH server in this process, around ``SftpServer``: what may go wrong before SFTP begins."""

from __future__ import annotations

import dataclasses
import heapq
import logging
import select
import socket
import threading
import time
import typing as t

import paramiko

from .sftp_server import Defects, SftpServer


@dataclasses.dataclass
class Conduct:
    """How the server behaves; by default it lets everybody in."""

    defects: Defects = dataclasses.field(default_factory=Defects)
    hang_up: bool = False  # before a word
    greeting: bytes | None = None  # instead of SSH
    accept_key: bool = True
    methods: str = "publickey"
    more: bool = False  # a second factor is asked for
    password: str | None = None
    questions: tuple[tuple[str, bool], ...] = (("Password: ", False),)
    rounds: int = 1  # of questions
    drop_at_auth: bool = False
    accept_session: bool = True
    subsystem: bool = True
    cut_greetings: int = 0  # connections that end, each as SFTP is about to begin
    latency: float = 0.0  # seconds before each answer
    last_word: bool = False  # says that it grants a service when that is used, and not before
    software: str | None = None  # what it calls itself
    first_channel: int = 0  # the number that it gives the first one
    in_turn: bool = False  # ends the connection of who does not wait to be let in


class SshServer:
    """Listens on ``port`` of the loopback until it is stopped."""

    def __init__(self, host_keys: t.Sequence[paramiko.PKey], conduct: Conduct | None = None):
        self.conduct = conduct or Conduct()
        self.sessions: list[SftpServer] = []
        self.connections = 0
        self.answers: list[list[str]] = []
        self.ahead: list[bool] = []
        """Of each login, whether more was said before it was granted."""
        self.host_keys = host_keys
        self._transports: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        logging.getLogger("paramiko").addHandler(logging.NullHandler())
        logging.getLogger("paramiko").propagate = False
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        """Close everything."""
        # Closing alone does not wake a thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        for transport in self._transports:
            transport.sock.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _dummy = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.conduct.hang_up:
                client.close()
            elif self.conduct.greeting is not None:
                client.sendall(self.conduct.greeting)
                time.sleep(0.1)
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        self._transports.append(transport)
        for key in self.host_keys:
            transport.add_server_key(key)
        if self.conduct.last_word:
            _hold_back(transport)
        if self.conduct.software is not None:
            transport.local_version = self.conduct.software
        transport._channel_counter = self.conduct.first_channel
        try:
            transport.start_server(server=_Interface(self, transport))
        except (paramiko.SSHException, EOFError, OSError):
            transport.close()


_SERVICE_ACCEPT, _USERAUTH_REQUEST, _CHANNEL_DATA, _CHANNEL_SUCCESS = 6, 50, 94, 99


def _hold_back(transport: paramiko.Transport) -> None:
    """Send that a service is granted, and a subsystem, when the client has begun to use it."""
    held: list[paramiko.Message] = []
    send, read = transport._send_message, transport.packetizer.read_message

    def send_later(message: paramiko.Message) -> None:
        if message.asbytes()[0] in (_SERVICE_ACCEPT, _CHANNEL_SUCCESS):
            held.append(message)
        else:
            send(message)

    def read_and_send() -> tuple[int, paramiko.Message]:
        kind, message = read()
        if kind in (_USERAUTH_REQUEST, _CHANNEL_DATA):
            while held:
                send(held.pop(0))
        return kind, message

    transport._send_message = send_later
    transport.packetizer.read_message = read_and_send


class _Interface(paramiko.ServerInterface):
    def __init__(self, server: SshServer, transport: paramiko.Transport) -> None:
        self._server = server
        self._conduct = server.conduct
        self._transport = transport

    def get_allowed_auths(self, username: str) -> str:
        return self._conduct.methods

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        # What is sent together with the key arrives a moment later at most.
        readable, _writable, _errors = select.select([self._transport.sock], [], [], 0.1)
        self._server.ahead.append(bool(readable))
        if readable and self._conduct.in_turn:
            self._transport.sock.close()
        if self._conduct.drop_at_auth:
            self._transport.sock.close()
        if not self._conduct.accept_key or "publickey" not in self._conduct.methods:
            return paramiko.AUTH_FAILED
        if self._conduct.more:
            self._conduct.methods = "password"
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_password(self, username: str, password: str) -> int:
        if "password" in self._conduct.methods and password == self._conduct.password:
            return paramiko.AUTH_SUCCESSFUL
        return paramiko.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> t.Any:
        if "keyboard-interactive" not in self._conduct.methods:
            return paramiko.AUTH_FAILED
        self._rounds = 0
        return self._questions()

    def _questions(self) -> paramiko.InteractiveQuery:
        query = paramiko.InteractiveQuery("Login", "")
        for text, shown in self._conduct.questions:
            query.add_prompt(text, shown)
        return query

    def check_auth_interactive_response(self, responses: list[str]) -> t.Any:
        self._rounds += 1
        self._server.answers.append(list(responses))
        if self._rounds < self._conduct.rounds:
            return self._questions()
        right = self._conduct.password in responses
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self._conduct.accept_session:
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        if not self._conduct.subsystem or name != "sftp":
            return False
        if self._conduct.cut_greetings:
            self._conduct.cut_greetings -= 1
            threading.Thread(target=_cut_greeting, args=(channel, self._transport)).start()
            return True
        session = SftpServer(self._conduct.defects)
        self._server.sessions.append(session)
        threading.Thread(target=_talk, args=(channel, session, self._conduct), daemon=True).start()
        return True


def _cut_greeting(channel: paramiko.Channel, transport: paramiko.Transport) -> None:
    """As when the process of the session is killed: what the client says is not heard."""
    channel.recv(1)
    transport.sock.close()


def _talk(channel: paramiko.Channel, session: SftpServer, conduct: Conduct) -> None:
    due: list[tuple[float, int, bytes]] = []
    ready = threading.Condition()

    def answer() -> None:
        while True:
            with ready:
                while not due:
                    ready.wait()
                when, _dummy, data = heapq.heappop(due)
            time.sleep(max(0.0, when - time.monotonic()))
            try:
                if not data:
                    channel.close()
                    return
                channel.sendall(data)
            except (OSError, EOFError):
                return

    threading.Thread(target=answer, daemon=True).start()
    number = 0

    def put(data: bytes) -> None:
        nonlocal number
        number += 1
        with ready:
            heapq.heappush(due, (time.monotonic() + conduct.latency, number, data))
            ready.notify()

    if conduct.defects.noise:
        put(conduct.defects.noise)
    while True:
        data = channel.recv(1 << 20)
        answers = session.feed(data)
        if answers:
            put(b"".join(answers))
        if not data or session.ended:
            put(b"")
            return
