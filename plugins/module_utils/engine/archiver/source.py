# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repository as a fetcher sees it: a session, and the listings that were seen through it.

A thread opens the session, and again when it was lost: a server that does not answer, and keeps
whoever asks for as long as ``io-timeout``, must not delay what another repository has. Nor is it
asked in vain for every single file: it is away until it answers.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import typing as t

from ..command import archive_get
from ..command.cipher import cipher_pass
from ..config.options import Options, RepoOptions
from ..errors import EngineError, FileMissingError, HostConnectError
from ..postgres import control
from ..repository import archive_info
from ..repository.archive import Archive
from ..repository.archive_info import ArchiveInfo
from ..storage.base import Reader, Storage
from ..storage.open import Opener

# For how many seconds an archive.info is believed.
BELIEVED = 30.0

# Seconds after which one that could not be reached is looked for again while others are fine.
PAUSE = 5.0

# Seconds after which one that waits shows that it does not hang: connecting takes several waits.
WAKES = 1.0


class _Started(t.NamedTuple):
    """A file whose bytes are on their way."""

    stored: archive_get.Stored
    reader: Reader


class _Opening:
    """A session that a thread opens; one that hangs does not keep the process from ending."""

    def __init__(self, opener: Opener, generation: int) -> None:
        self._outcome: queue.SimpleQueue[Storage | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                self._outcome.put(opener.open(generation))
            except BaseException as cause:  # it belongs to whoever waits for the session
                self._outcome.put(cause)

        threading.Thread(target=work, daemon=True).start()

    def wait(self, seconds: float | None) -> Storage | None:
        """The session; None when it is not there within that time. Raises why there is none."""
        while True:
            step = WAKES if seconds is None else min(WAKES, seconds)
            try:
                found = self._outcome.get(timeout=step)
                break
            except queue.Empty:
                if seconds is not None:
                    seconds -= step
                    if seconds <= 0:
                        return None
        if isinstance(found, BaseException):
            raise found
        return found


class Source:
    """A repository; ``opener`` connects to it."""

    def __init__(self, options: Options, repo: RepoOptions, opener: Opener) -> None:
        self.repo = repo
        self._options = options
        self._opener = opener
        self._generation = 0
        self._storage: Storage | None = None
        self._opening: _Opening | None = None
        self._away = False
        self._next_try = 0.0
        self._archive: ArchiveInfo | None = None
        self._segments: Archive | None = None
        self._loaded = 0.0
        self._started: dict[str, _Started] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._storage is not None

    @property
    def lack(self) -> HostConnectError:
        """What is wrong while there is none."""
        return HostConnectError(f"no session to repo{self.repo.key} just now")

    def has_started(self, name: str) -> bool:
        """Whether the bytes of that file come from here."""
        return name in self._started

    def open(self, patience: float | None) -> bool:
        """Whether there is a session within ``patience`` seconds (None: however long it takes).

        With patience none is wasted on a repository that is away: then the session is opened beside
        what else is done, and not at once again when that has failed. Raises why there is none.
        """
        if self._storage is not None:
            return True
        if patience is not None and self._away:
            if self._opening is None and time.monotonic() < self._next_try:
                return False
            patience = 0.0
        opening = self._opening or _Opening(self._opener, self._generation)
        self._opening = None
        try:
            self._storage = opening.wait(patience)
        except BaseException:
            self._away, self._next_try = True, time.monotonic() + PAUSE
            raise
        if self._storage is None:
            self._opening = opening
        self._away = self._storage is None
        return not self._away

    def start(self, name: str, cluster: control.ControlData) -> bool:
        """Have the bytes come through the open session; false when the repository does not have
        the file, which it says now.

        Raises HostConnectError when the session is lost; then it is closed.
        """
        if name in self._started:
            return True
        try:
            return self._start(name, cluster)
        except HostConnectError:
            self._lose()
            raise

    def _start(self, name: str, cluster: control.ControlData) -> bool:
        storage, stanza = self._storage, self._options.require_stanza()
        if storage is None:
            raise self.lack
        while True:
            archive, known = self._archive, True
            if archive is None or time.monotonic() - self._loaded > BELIEVED:
                begun = time.monotonic()
                archive = archive_info.load(storage, stanza, cipher_pass(self.repo))
                self._archive, self._loaded, known = archive, begun, False
                self._segments = Archive(storage, stanza)
            stored = archive_get.find(storage, stanza, archive, cluster, name, self._segments)
            if stored is not None:
                self._started[name] = _Started(stored, archive_get.open_stored(storage, stored))
                return True
            if not known:
                return False
            # What it was a while ago: everything is asked anew.
            self._archive = None

    def finish(self, name: str, destination: str, meanwhile: t.Callable[[], None]) -> None:
        """Write what has been started; raises HostConnectError as ``start`` does."""
        stored, reader = self._started.pop(name)

        def chunks() -> t.Iterator[bytes]:
            for data in reader:
                yield data
                meanwhile()

        try:
            with reader:
                archive_get.copy(chunks(), stored, destination)
        except HostConnectError:
            self._lose()
            raise
        except FileMissingError:
            # It was there a moment ago: what else is known of the repository is not to be trusted.
            self.end()
            raise

    def _lose(self) -> None:
        """The session is lost: the next one may be there at once, or never."""
        self.end()
        self._away, self._next_try = True, 0.0

    def end(self) -> None:
        """Give the session up."""
        self._started.clear()
        if self._storage is not None:
            with contextlib.suppress(EngineError):
                self._storage.close()
            self._storage = None
            self._archive = None
            self._generation += 1
