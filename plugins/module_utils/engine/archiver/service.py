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
import logging
import os
import selectors
import signal
import socket
import time
import typing as t
from multiprocessing.connection import Connection

from .. import log, resident
from ..config.options import Options
from ..errors import EngineError
from ..postgres import ready, wal
from ..repository import lock
from ..storage.sftp import borrow
from . import delegate, delegated, forked, place, status
from .crew import Crew
from .desk import Asker, Desk
from .fetchers import Fetchers
from .forked import Hands
from .getting import Getting
from .pushing import Pushing
from .settings import Settings
from .watch import Watch

# Seconds between two looks at what PostgreSQL has ready.
LOOK = 0.5

# How long what is on its way may take when the service is told to end, in seconds.
PARTING = 10.0

# How many words a question has, by its first.
WORDS = {"push": 4, "get": 5}


class Service:
    """The archiver of one stanza; ``run`` is all there is to do with it."""

    def __init__(self, settings: Settings, main: delegated.Main) -> None:
        self._settings = settings
        self._main = main
        self._options = settings.options
        self._broken: EngineError | None = None
        self._started = time.time()
        self._selector = selectors.DefaultSelector()
        self._crews: list[Crew] = []
        self._watch = Watch(settings, self._crews, self._started, lambda: self._fetchers.status)
        self._ready = ready.Ready(frozenset(), None)
        self._look = 0.0
        self._stop: float | None = None
        self._log: logging.Handler | None = None
        self._reload = False
        self._lock = place.only_one(settings)
        self._waker, self._wake = socket.socketpair()
        self._listener = place.listen(settings)
        self._fetchers = Fetchers(settings.get_options, self._be_child)
        self._desk = Desk(self._listener, self._selector, self._begin)
        self._pushing = Pushing(self._desk, lambda: self._crews, lambda: self._options)
        self._getting = Getting(
            self._desk, lambda: self._fetchers, lambda: self._settings.get_options
        )

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self._attach_log()
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
            if self._log is not None:
                log.detach(self._log)

    def _attach_log(self) -> None:
        """Write the log file that is configured now."""
        if self._log is not None:
            log.detach(self._log)
        self._log = self._settings.attach_log()

    @property
    def _path(self) -> str:
        return resident.socket_path(self._settings.directory, self._settings.stanza)

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
        for hands in self._hands:
            hands.watch(now)
        forked.reap()
        if self._stop is None:
            if now >= self._look:
                self._look_around(now)
            for crew in self._crews if self._stanza_stopped() is None else ():
                crew.feed(now)
            self._fetchers.feed(now)
        self._listen_to(self._hands)
        for key, _events in self._selector.select(self._patience(now)):
            self._hear(key)
        self._desk.attend(time.monotonic())

    @property
    def _hands(self) -> list[Hands]:
        """All that have processes to listen to."""
        return [*self._crews, self._fetchers]

    def _patience(self, now: float) -> float:
        wakes = [wake for hands in self._hands if (wake := hands.wakes(now)) is not None]
        return max(0.0, min([self._look, now + LOOK, *wakes]) - now)

    def _look_around(self, now: float) -> None:
        self._look = now + LOOK
        if self._is_outdated():
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

    def _is_outdated(self) -> bool:
        """Whether the configuration is to be read: also again, for what is put right does not show
        in every case (who may read a file).
        """
        return self._reload or self._broken is not None or self._settings.changed()

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
        self._attach_log()
        log.info("configuration loaded anew")
        self._broken = None
        self._options = self._settings.options
        self._enlist()

    def _enlist(self) -> None:
        for crew in self._crews:
            self._dismiss(crew)
        self._crews = [Crew(self._options, repo, self._be_child) for repo in self._options.repos]
        self._watch = Watch(
            self._settings, self._crews, self._started, lambda: self._fetchers.status
        )
        self._pushing.renew()
        # Somebody may wait although none is at work just now: the last one was lost.
        self._dismiss(self._fetchers)
        self._fetchers = Fetchers(self._settings.get_options, self._be_child)
        self._getting.renew(time.monotonic())

    def _dismiss(self, hands: Hands) -> None:
        hands.close()
        self._listen_to([other for other in self._hands if other is not hands])

    def _be_child(self) -> None:
        """In a worker: let go of everything that is the service's, apart from the lock."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in [row for hands in self._hands for row in hands.descriptors()]:
            os.close(descriptor)
        for other in (self._listener, self._waker, self._wake, *self._desk.askers):
            other.close()
        self._selector.close()

    def _listen_to(self, everybody: t.Sequence[Hands]) -> None:
        """Have exactly the processes' connections in the selector."""
        wanted = {connection: hands for hands in everybody for connection in hands.connections}
        known = {key.fileobj: key for key in self._selector.get_map().values()}
        for fileobj, key in known.items():
            if isinstance(fileobj, Connection) and fileobj not in wanted:
                # It may be closed, and its number may be somebody else's by now.
                with contextlib.suppress(KeyError, ValueError, OSError):
                    self._selector.unregister(key.fd)
        for connection, hands in wanted.items():
            with contextlib.suppress(KeyError):
                if self._selector.get_key(connection).fileobj is connection:
                    continue
                self._selector.unregister(connection)
            self._selector.register(connection, selectors.EVENT_READ, hands)

    def _hear(self, key: selectors.SelectorKey) -> None:
        source: t.Any = key.fileobj
        if source is self._waker:
            with contextlib.suppress(BlockingIOError):
                self._waker.recv(4096)
            self._look = 0.0
        elif source is self._listener:
            # He may get the number of a process that was ended in this turn.
            self._listen_to(self._hands)
            self._desk.accept()
        elif isinstance(source, socket.socket):
            asker = self._desk.askers.get(source)
            if asker is not None:
                self._desk.read(asker)
        else:
            for hands in self._hands:
                hands.receive(source, time.monotonic())

    # Those who ask.

    def _begin(self, asker: Asker, words: list[str]) -> None:
        if words == ["status"]:
            self._desk.answer(asker, json.dumps(status.as_dict(self._watch.state())))
            return
        if words[0] == borrow.QUESTION and len(words) == 2:
            self._lend(asker, words[1])
            return
        if words[0] == delegate.QUESTION:
            self._delegate(asker, delegated.Task.of(words[1:]))
            return
        if len(words) != WORDS.get(words[0]):
            self._desk.alone(asker, "the question is not understood")
            return
        refusal = self._not_ours(words[1], words[2])
        if refusal is None:
            if self._is_outdated():
                self._load()
            refusal = None if self._broken is None else self._broken.message
        if refusal is not None:
            self._desk.alone(asker, refusal)
        elif words[0] == "push":
            self._begin_push(asker, words[3])
        else:
            self._begin_get(asker, words[3], words[4])

    def _lend(self, asker: Asker, wanted: str) -> None:
        """Pass somebody on to a worker that has the session he wants."""
        for crew in self._crews if self._stop is None else ():
            if crew.repo.sftp is not None and borrow.identity(crew.repo.sftp) == wanted:
                if crew.lend(asker.connection):
                    self._desk.hang_up(asker)  # the worker has it now
                    return
                break
        self._desk.alone(asker, "no session to that server")

    def _delegate(self, asker: Asker, task: delegated.Task | None) -> None:
        """Have a process of its own run a command for somebody."""
        if (
            task is None
            or self._stop is not None
            or delegate.options(task.words, task.environ) is None
            or not self._settings.is_configured_by(task.config)
        ):
            self._desk.alone(asker, "that is not run here")
            return
        connection = asker.connection
        self._desk.release(asker)
        log.debug("runs for another process: %s", " ".join(task.words))

        def work() -> None:
            # It writes nothing to a repository, and may wait for hours: no successor waits for it.
            os.close(self._lock)
            self._be_child()
            delegated.live(connection, task, self._main)

        with contextlib.suppress(EngineError):
            forked.let_go(work)
        connection.close()  # the process has it now; without one he does it himself

    def _not_ours(self, config: str, stanza: str) -> str | None:
        """Why it is not for this archiver, if it is not."""
        if stanza != self._settings.stanza:
            return f"it serves stanza {self._settings.stanza}"
        if not self._settings.is_configured_by(config):
            return f"it was started with another configuration file than '{config}'"
        if self._stop is not None:
            return "it is about to end"
        return None

    def _begin_push(self, asker: Asker, path: str) -> None:
        directory = ready.wal_directory(self._options.pg.path)
        if os.path.realpath(os.path.dirname(path)) != os.path.realpath(directory):
            self._desk.alone(asker, f"it serves '{directory}', and the file is '{path}'")
            return
        stopped = self._stanza_stopped()
        if stopped is not None:
            self._desk.fail(asker, stopped)
            return
        self._look = 0.0
        self._pushing.begin(asker, path, time.monotonic())

    def _begin_get(self, asker: Asker, data: str, name: str) -> None:
        ours = self._settings.get_options.pg.path
        if data and os.path.realpath(data) != os.path.realpath(ours):
            self._desk.alone(asker, f"it serves '{ours}', and the server is that of '{data}'")
            return
        if not wal.is_wal(name):
            self._desk.alone(asker, f"'{name}' is no file of the archive")
            return
        self._getting.begin(asker, name, time.monotonic())

    def _close(self) -> None:
        place.tell_systemd("STOPPING=1")
        self._watch.close()
        # First the name, so that nobody comes any more.
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self._listener.close()
        self._desk.attend(time.monotonic())
        for asker in list(self._desk.askers.values()):
            self._desk.alone(asker, "it was told to end")
        for hands in self._hands:
            hands.close()
        signal.set_wakeup_fd(-1)
        self._waker.close()
        self._wake.close()
        self._selector.close()
        os.close(self._lock)


def run(options: Options, main: delegated.Main) -> None:
    """Serve until told to end; ``main`` runs the command lines of others."""
    Service(Settings.of(options), main).run()
