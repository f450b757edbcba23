# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that are done again when the session is lost on which they were done.

The data of a backup is too much to keep until it is acknowledged. It is read and sent again:
a job, a bundle or a file, is small beside a backup.
"""

from __future__ import annotations

import typing as t

from ..errors import TransportLostError
from ..storage.base import Storage
from ..storage.sessions import Effort, Sessions
from ..worker.serve import Deferred, Handler


class Retrying:
    """A job handler around one that works on a single session."""

    def __init__(self, sessions: Sessions, make_handler: t.Callable[[Storage], Handler]) -> None:
        self._sessions = sessions
        self._make_handler = make_handler
        self._storage: Storage | None = None
        self._handler: Handler | None = None

    def __call__(self, job: t.Any) -> Deferred[t.Any]:
        return _Attempt(self, job, Effort(self._sessions))

    def start(self, job: t.Any, effort: Effort) -> tuple[Storage, Deferred[t.Any]]:
        """Do the job on the current session; it may take several."""
        while True:
            storage = self._sessions.current
            if self._handler is None or storage is not self._storage:
                self._storage, self._handler = storage, self._make_handler(storage)
            try:
                return storage, self._handler(job)
            except TransportLostError as cause:
                effort.lost(storage, cause)


class _Attempt:
    """A job whose last answers may be lost; see Deferred."""

    def __init__(self, retrying: Retrying, job: t.Any, effort: Effort) -> None:
        self._retrying = retrying
        self._job = job
        self._effort = effort
        self._storage, self._deferred = retrying.start(job, effort)

    def ready(self) -> bool:
        return self._deferred.ready()

    def result(self) -> t.Any:
        while True:
            try:
                result = self._deferred.result()
            except TransportLostError as cause:
                self._effort.lost(self._storage, cause)
                self._storage, self._deferred = self._retrying.start(self._job, self._effort)
                continue
            self._effort.done()
            return result
