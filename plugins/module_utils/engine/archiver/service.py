# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resident archiver: ``pgsftp archiver``.

One process with one thread listens: to archive-push on a unix socket, to its workers, to signals.
It never waits for anything else, holds no session, and forks a worker when one is wanted. It works
ahead through what PostgreSQL has ready, and says ``ok`` to archive-push when the workers of every
repository have told that the file is durable there under its name.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import time
import typing as t
from multiprocessing.connection import Connection

from .. import log
from ..config.options import Options
from ..errors import (
    ArchiveTimeoutError,
    CommandError,
    EngineError,
    FileMissingError,
)
from ..postgres import ready
from ..repository import lock
from . import client, place, status
from .crew import Crew
from .queue import identity
from .settings import Settings
from .watch import Watch

# Seconds between two looks at what PostgreSQL has ready.
LOOK = 0.5

# How long what is on its way may take when the service is told to end, in seconds.
PARTING = 10.0

_LINE = 65536


class _Asker:
    """An archive-push that waits, or somebody who has not said yet what he wants."""

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.connection = connection
        self.line = b""
        self.name: str | None = None
        self.path = ""
        self.since = now
        self.beat = now


class Service:
    """The archiver of one stanza; ``run`` is all there is to do with it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._options = settings.options
        self._broken: EngineError | None = None
        self._started = time.time()
        self._selector = selectors.DefaultSelector()
        self._askers: dict[socket.socket, _Asker] = {}
        self._crews: list[Crew] = []
        self._watch = Watch(settings, self._crews, self._started)
        self._ready = ready.Ready(frozenset(), None)
        self._look = 0.0
        self._stop: float | None = None
        self._reload = False
        self._lock, self._generation = place.only_one(settings)
        self._waker, self._wake = socket.socketpair()
        self._listener = place.listen(settings)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self._waker.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_end)
        signal.signal(signal.SIGHUP, self._told_to_reload)
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._enlist()
        log.info("archiver of stanza %s listens at '%s'", self._settings.stanza, self._path)
        place.tell_systemd("READY=1")
        try:
            while not self._is_over():
                self._turn()
        finally:
            self._close()
        log.info("archiver of stanza %s ends", self._settings.stanza)

    @property
    def _path(self) -> str:
        return client.socket_path(self._settings.directory, self._settings.stanza)

    def _told_to_end(self, *_: object) -> None:
        if self._stop is None:
            self._stop = time.monotonic()

    def _told_to_reload(self, *_: object) -> None:
        self._reload = True

    def _is_over(self) -> bool:
        """Told to end, and nothing is on its way any more, or it takes too long."""
        if self._stop is None:
            return False
        busy = any(crew.queue.sent for crew in self._crews)
        return not busy or time.monotonic() - self._stop > PARTING

    # One turn.

    def _turn(self) -> None:
        now = time.monotonic()
        if self._stop is None:
            if now >= self._look:
                self._look_around(now)
            for crew in self._crews if self._stanza_stopped() is None else ():
                crew.feed(now)
        self._listen_to(self._crews)
        for key, _events in self._selector.select(self._patience(now)):
            self._hear(key)
        now = time.monotonic()
        for asker in list(self._askers.values()):
            self._attend(asker, now)

    def _patience(self, now: float) -> float:
        wakes = [wake for crew in self._crews if (wake := crew.wakes(now)) is not None]
        return max(0.0, min([self._look, now + LOOK, *wakes]) - now)

    def _look_around(self, now: float) -> None:
        self._look = now + LOOK
        if self._reload or self._settings.changed():
            self._load()
        if self._stanza_stopped() is None:
            self._ready = ready.scan(self._options.pg.path)
            for crew in self._crews:
                crew.queue.follow(self._ready.names, now)
        self._watch.look(now)
        place.tell_systemd("WATCHDOG=1")

    def _stanza_stopped(self) -> EngineError | None:
        try:
            lock.check_stop(self._options.lock_path, self._settings.stanza)
        except EngineError as cause:
            return cause
        return None

    def _load(self) -> None:
        """Read the configuration anew; while it is broken, nobody is served."""
        self._reload = False
        try:
            self._settings = self._settings.reloaded()
        except EngineError as cause:
            if self._broken is None:
                log.error("%s", cause, extra={"code": cause.code})
            self._broken = cause
            return
        log.info("configuration loaded anew")
        self._broken = None
        self._options = self._settings.options
        self._enlist()

    def _enlist(self) -> None:
        for crew in self._crews:
            self._dismiss(crew)
        self._crews = [
            Crew(self._options, repo, self._generation, self._be_child)
            for repo in self._options.repos
        ]
        self._watch = Watch(self._settings, self._crews, self._started)
        for crew in self._crews:
            for asker in self._askers.values():
                if asker.name is not None:
                    crew.queue.ask(asker.name)

    def _dismiss(self, crew: Crew) -> None:
        crew.close()
        self._generation += 1
        self._listen_to([other for other in self._crews if other is not crew])

    def _be_child(self) -> None:
        """In a worker: let go of everything that is the service's, apart from the lock."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in [row for crew in self._crews for row in crew.descriptors()]:
            os.close(descriptor)
        for other in (self._listener, self._waker, self._wake, *self._askers):
            other.close()
        self._selector.close()

    def _listen_to(self, crews: t.Sequence[Crew]) -> None:
        """Have exactly the workers' connections in the selector."""
        wanted = {connection: crew for crew in crews for connection in crew.connections}
        known = {key.fileobj: key for key in self._selector.get_map().values()}
        for fileobj, key in known.items():
            if isinstance(fileobj, Connection) and fileobj not in wanted:
                # It may be closed, and its number may be somebody else's by now.
                with contextlib.suppress(KeyError, ValueError, OSError):
                    self._selector.unregister(key.fd)
        for connection, crew in wanted.items():
            with contextlib.suppress(KeyError):
                if self._selector.get_key(connection).fileobj is connection:
                    continue
                self._selector.unregister(connection)
            self._selector.register(connection, selectors.EVENT_READ, crew)

    def _hear(self, key: selectors.SelectorKey) -> None:
        source: t.Any = key.fileobj
        if source is self._waker:
            with contextlib.suppress(BlockingIOError):
                self._waker.recv(4096)
            self._look = 0.0
        elif source is self._listener:
            self._accept()
        elif isinstance(source, socket.socket):
            asker = self._askers.get(source)
            if asker is not None:
                self._read(asker)
        else:
            for crew in self._crews:
                crew.receive(source, time.monotonic())
            if source.closed:
                # Whoever is accepted next may get its number.
                self._selector.unregister(key.fd)

    # Those who ask.

    def _accept(self) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            return
        if client.peer_uid(connection) not in (os.geteuid(), 0):
            log.warn("a connection of another user was refused")
            connection.close()
            return
        connection.setblocking(False)
        self._askers[connection] = _Asker(connection, time.monotonic())
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, asker: _Asker) -> None:
        try:
            data = asker.connection.recv(_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(asker.line) + len(data) > _LINE:
            self._hang_up(asker)
            return
        asker.line += data
        if asker.name is None and asker.line.endswith(b"\n"):
            self._begin(asker, os.fsdecode(asker.line[:-1]).split("\t"))

    def _begin(self, asker: _Asker, words: list[str]) -> None:
        if words == ["status"]:
            self._answer(asker, json.dumps(status.as_dict(self._watch.state())))
            return
        if len(words) != 4 or words[0] != "push":
            self._answer(asker, "alone the question is not understood")
            return
        _push, config, stanza, path = words
        refusal = self._not_ours(config, stanza, path)
        if refusal is not None:
            self._answer(asker, f"alone {client.escape(refusal)}")
            return
        if self._reload or self._settings.changed():
            self._load()
        if self._broken is not None:
            self._answer(asker, f"alone {client.escape(self._broken.message)}")
            return
        stopped = self._stanza_stopped()
        if stopped is not None:
            self._fail(asker, stopped)
            return
        asker.name, asker.path = os.path.basename(path), path
        for crew in self._crews:
            crew.queue.ask(asker.name)
        self._look = 0.0
        self._attend(asker, time.monotonic())

    def _not_ours(self, config: str, stanza: str, path: str) -> str | None:
        """Why it is not for this archiver, if it is not."""
        if stanza != self._settings.stanza:
            return f"it serves stanza {self._settings.stanza}"
        if not self._settings.is_configured_by(config):
            return f"it was started with another configuration file than '{config}'"
        if self._stop is not None:
            return "it is about to end"
        directory = ready.wal_directory(self._options.pg.path)
        if os.path.realpath(os.path.dirname(path)) != os.path.realpath(directory):
            return f"it serves '{directory}', and the file is '{path}'"
        return None

    def _attend(self, asker: _Asker, now: float) -> None:
        """Answer if there is an answer, and show that we are alive if not."""
        if asker.name is None:
            if now - asker.since > client.SILENCE:
                self._hang_up(asker)
            return
        try:
            found = identity(asker.path)
        except OSError:
            self._fail(asker, FileMissingError(f"unable to open missing file '{asker.path}'"))
            return
        lacking = [crew for crew in self._crews if not crew.queue.has(asker.name, found)]
        if not lacking:
            self._answer(asker, "ok")
            return
        errors = [(crew, self._verdict(crew, asker, now)) for crew in lacking]
        known = [(crew, error) for crew, error in errors if error is not None]
        if len(known) == len(lacking):
            self._fail(asker, self._combined(known))
        elif now - asker.beat >= client.BEAT:
            asker.beat = now
            self._say(asker, b".")

    def _verdict(self, crew: Crew, asker: _Asker, now: float) -> EngineError | None:
        """What keeps this repository from having the file; None while that is open."""
        name = asker.name or ""
        refusal = crew.queue.refusal(name)
        if refusal is not None:
            return refusal
        if crew.failed > asker.since and not crew.sessions and crew.error is not None:
            return crew.error
        waited = now - asker.since
        if waited > self._options.archive_timeout and name not in crew.queue.sent:
            return ArchiveTimeoutError(
                f"WAL file '{name}' was not archived within {waited:.0f} seconds",
                hint="the archiver goes on; 'pgsftp archiver status' shows how far it is.",
            )
        return None

    def _combined(self, errors: t.Sequence[tuple[Crew, EngineError]]) -> EngineError:
        if len(self._crews) == 1:
            return errors[0][1]
        lines = "\n".join(f"{crew.name}: {error.message}" for crew, error in errors)
        count = f"{len(errors)} of {len(self._crews)}"
        return CommandError(f"archive-push failed on {count} repositories:\n{lines}")

    def _fail(self, asker: _Asker, error: EngineError) -> None:
        self._answer(asker, f"error {error.code} {client.escape(str(error))}")

    def _answer(self, asker: _Asker, line: str) -> None:
        self._say(asker, os.fsencode(line) + b"\n")
        self._hang_up(asker)

    def _say(self, asker: _Asker, data: bytes) -> None:
        # An answer is far smaller than the socket's buffer.
        with contextlib.suppress(OSError):
            asker.connection.send(data)

    def _hang_up(self, asker: _Asker) -> None:
        if self._askers.pop(asker.connection, None) is None:
            return
        self._selector.unregister(asker.connection)
        asker.connection.close()
        if asker.name is not None and not any(
            other.name == asker.name for other in self._askers.values()
        ):
            for crew in self._crews:
                crew.queue.answered(asker.name)

    def _close(self) -> None:
        place.tell_systemd("STOPPING=1")
        # First the name, so that nobody comes any more.
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self._listener.close()
        for asker in list(self._askers.values()):
            self._attend(asker, time.monotonic())
        for asker in list(self._askers.values()):
            self._answer(asker, "alone it was told to end")
        for crew in self._crews:
            crew.close()
        signal.set_wakeup_fd(-1)
        self._waker.close()
        self._wake.close()
        self._selector.close()
        os.close(self._lock)


def run(options: Options) -> None:
    """Serve until told to end."""
    settings = Settings.of(options)
    handler = settings.attach_log()
    try:
        Service(settings).run()
    finally:
        if handler is not None:
            log.detach(handler)
