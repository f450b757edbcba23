# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy that delays: delay_proxy.py HOST PORT MILLISECONDS [LISTEN_ADDRESS]

Milliseconds are those of one direction. The first line of its output is the port it listens on. It
carries any number of connections, keeps their bandwidth, and ends with its standard input.
"""

from __future__ import annotations

import collections
import contextlib
import select
import socket
import subprocess
import sys
import time

PIECE = 256 * 1024

# Bytes on their way in one direction; a sender beyond that waits, as on a line that is full.
CAPACITY = 64 * 1024 * 1024


class _End:
    """One socket of a connection, and what is on its way to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.due: collections.deque[tuple[float, bytes]] = collections.deque()
        self.size = 0
        self.blocked = False
        self.other: _End = self


def serve(host: str, port: int, delay: float, address: str) -> None:
    """Carry bytes until standard input ends."""
    listener = socket.create_server((address, 0), backlog=128)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(sys.stdin, select.EPOLLIN)
    ends: dict[int, _End] = {}

    def drop(end: _End) -> None:
        for one in (end, end.other):
            if ends.pop(one.sock.fileno(), None) is not None:
                poll.unregister(one.sock)
                one.sock.close()

    def watch(end: _End) -> None:
        events = select.EPOLLIN if end.other.size < CAPACITY else 0
        with contextlib.suppress(KeyError, ValueError, OSError):
            poll.modify(end.sock, events | (select.EPOLLOUT if end.blocked else 0))

    def flush(end: _End, now: float) -> None:
        while end.due and end.due[0][0] <= now:
            when, data = end.due.popleft()
            if not data:
                with contextlib.suppress(OSError):
                    end.sock.shutdown(socket.SHUT_WR)
                continue
            try:
                sent = end.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                drop(end)
                return
            end.size -= sent
            if sent < len(data):
                end.due.appendleft((when, data[sent:]))
                end.blocked = True
                break
        watch(end)
        watch(end.other)

    while True:
        heads = [end.due[0][0] for end in ends.values() if end.due and not end.blocked]
        now = time.monotonic()
        wait = max(0.0, min(heads) - now) if heads else None
        for number, event in poll.poll(wait):
            if number == sys.stdin.fileno():
                return
            if number == listener.fileno():
                client, _peer = listener.accept()
                try:
                    server = socket.create_connection((host, port))
                except OSError:
                    client.close()
                    continue
                pair = (_End(client), _End(server))
                pair[0].other, pair[1].other = pair[1], pair[0]
                for end in pair:
                    end.sock.setblocking(False)
                    end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    ends[end.sock.fileno()] = end
                    poll.register(end.sock, select.EPOLLIN)
                continue
            end = ends.get(number)
            if end is None:
                continue
            if event & select.EPOLLOUT:
                end.blocked = False
            if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                try:
                    data = end.sock.recv(PIECE)
                except BlockingIOError:
                    continue
                except OSError:
                    drop(end)
                    continue
                end.other.due.append((time.monotonic() + delay, data))
                end.other.size += len(data)
                if not data:
                    # Its end is on its way; there is no more to read.
                    with contextlib.suppress(OSError):
                        poll.modify(end.sock, 0)
                    if end.due and not end.due[-1][1]:
                        drop(end)
        now = time.monotonic()
        for end in list(ends.values()):
            if end.sock.fileno() >= 0 and not end.blocked:
                flush(end, now)


@contextlib.contextmanager
def delayed(host, port, milliseconds, address="127.0.0.1"):
    """A proxy in a process of its own; gives its port."""
    command = [sys.executable, __file__, host, str(port), str(milliseconds), address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    serve(
        sys.argv[1],
        int(sys.argv[2]),
        float(sys.argv[3]) / 1000,
        sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1",
    )
