# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy in front of a server, with what lines do: be slow, narrow, forgetful, silent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t


class _Link:
    """One connection of a client and its other half."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = (client, server)
        self.active = time.monotonic()
        self.lost = False

    def cut(self) -> None:
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Listens on ``port`` of the loopback until it is stopped.

    ``idle``: seconds of silence after which a connection is cut. ``rate``: bytes per second that
    each connection takes from the client. ``most``: connections at once; one more is hung up on.
    ``quota``: bytes of the client after which a connection is cut.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        idle: float | None = None,
        rate: float | None = None,
        most: int | None = None,
        quota: int | None = None,
    ) -> None:
        self.idle, self.rate, self.most, self.quota = idle, rate, most, quota
        self.connects: list[float] = []
        """When somebody connected."""
        self.refusals: list[float] = []
        """When somebody was hung up on."""
        self.carried: list[tuple[float, int]] = []
        """When bytes were passed on, in either direction, and how many."""
        self.cuts = 0
        self.most_open = 0
        self._target = target
        self._links: list[_Link] = []
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        for work in (self._listen, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Cut everything and listen no more."""
        self._stopped.set()
        self._flows.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in list(self._links):
            link.cut()

    @property
    def refused(self) -> int:
        """How many were hung up on."""
        return len(self.refusals)

    @property
    def open(self) -> int:
        """Connections just now."""
        return len(self._links)

    @property
    def pace(self) -> float:
        """Bytes per second, in both directions together, from the first to the last."""
        moments = [moment for moment, _size in self.carried]
        return sum(size for _moment, size in self.carried) / (max(moments) - min(moments))

    @contextlib.contextmanager
    def hole(self) -> t.Iterator[None]:
        """A black hole: nothing passes and nothing is reset; what goes in is lost for good."""
        self._flows.clear()
        for link in list(self._links):
            link.lost = True
        try:
            yield
        finally:
            self._flows.set()

    def _listen(self) -> None:
        while True:
            try:
                client, _dummy = self._listener.accept()
            except OSError:
                return
            self.connects.append(time.monotonic())
            if self.most is not None and len(self._links) >= self.most:
                self.refusals.append(time.monotonic())
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server)
            self._links.append(link)
            self.most_open = max(self.most_open, len(self._links))
            for source, sink, rate, quota in (
                (client, server, self.rate, self.quota),
                (server, client, None, None),
            ):
                threading.Thread(
                    target=self._pump, args=(link, source, sink, rate, quota), daemon=True
                ).start()

    def _pump(
        self,
        link: _Link,
        source: socket.socket,
        sink: socket.socket,
        rate: float | None,
        quota: int | None,
    ) -> None:
        taken = 0
        try:
            while not self._stopped.is_set():
                data = source.recv(65536)
                taken += len(data)
                if not data or (quota is not None and taken > quota):
                    break
                self._flows.wait()
                if link.lost:
                    continue
                link.active = time.monotonic()
                if rate is not None:
                    time.sleep(len(data) / rate)
                sink.sendall(data)
                self.carried.append((time.monotonic(), len(data)))
        except OSError:
            pass
        link.cut()
        with self._lock:
            if link in self._links:
                self._links.remove(link)
                return
        # The other direction has ended, too.
        for end in link.ends:
            end.close()

    def _watch(self) -> None:
        while self.idle is not None and not self._stopped.wait(0.05):
            for link in list(self._links):
                if time.monotonic() - link.active > self.idle:
                    self.cuts += 1
                    link.active = time.monotonic()
                    link.cut()
