# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive-push is told: ``ok`` only when every repository has the file."""

from __future__ import annotations

import os
import typing as t

from .. import resident
from ..command import archive_push
from ..config.options import Options
from ..errors import (
    ArchiveTimeoutError,
    EngineError,
    FileMissingError,
    HostConnectError,
)
from ..postgres import ready
from .crew import Crew
from .desk import Asker, Desk
from .queue import identity

# For how many seconds a repository that is not reached may come back before that is the answer.
# PostgreSQL asks three times, a second apart, and then not for a minute: a server that is restarted
# should not cost that minute, and a cluster that is stopped should not wait for long.
HOLD = 5.0


class Pushing:
    """Answers those who push; ``crews`` and ``options`` give what is valid now."""

    def __init__(
        self,
        desk: Desk,
        crews: t.Callable[[], t.Sequence[Crew]],
        options: t.Callable[[], Options],
    ) -> None:
        self._desk = desk
        self._crews = crews
        self._options = options

    def begin(self, asker: Asker, path: str, now: float) -> None:
        """Somebody wants this file to be in the archive."""
        asker.name, asker.path = os.path.basename(path), path
        asker.attend, asker.leave = self.attend, self._leave
        for crew in self._crews():
            crew.queue.ask(asker.name)
        if not (ready.holds_wal(asker.name) and self._is_dropped(asker)):
            self.attend(asker, now)

    def renew(self) -> None:
        """There are other crews now, who have to hear of those that wait."""
        for asker in self._desk.askers.values():
            if asker.attend == self.attend:
                for crew in self._crews():
                    crew.queue.ask(asker.name)

    def _leave(self, asker: Asker) -> None:
        if not self._desk.waits_for(asker.name):
            for crew in self._crews():
                crew.queue.answered(asker.name)

    def attend(self, asker: Asker, now: float) -> None:
        """Answer if there is an answer."""
        try:
            found = identity(asker.path)
        except OSError:
            error = FileMissingError(
                f"unable to open missing file '{asker.path}'",
                hint="archive_command must pass on the path that PostgreSQL gives it as %p.",
            )
            self._desk.fail(asker, error)
            return
        lacking = [crew for crew in self._crews() if not crew.queue.has(asker.name, found)]
        if not lacking:
            self._desk.answer(asker, "ok")
            return
        if any(crew.hung.get(asker.name, 0.0) > asker.since for crew in lacking):
            self._desk.alone(asker, "the process that had the file hung")
            return
        errors = [(crew, self._verdict(crew, asker, now)) for crew in lacking]
        known = [(crew, error) for crew, error in errors if error is not None]
        if len(known) == len(lacking):
            # What is no WAL is small, so that it is worth a try; but WAL waits behind it.
            if ready.holds_wal(asker.name) or not self._is_dropped(asker):
                named = [(crew.name, error) for crew, error in known]
                self._desk.fail(asker, archive_push.combined(named, len(self._crews())))
        elif self._desk.beat(asker, now) and ready.holds_wal(asker.name):
            self._is_dropped(asker)

    def _is_dropped(self, asker: Asker) -> bool:
        """Whether the file is given up, which is then the answer; see archive_push."""
        options = self._options()
        if options.archive_push_queue_max is None:
            return False
        try:
            found = identity(asker.path)
        except OSError:
            return False
        if all(crew.queue.has(asker.name, found) for crew in self._crews()):
            return False
        if not archive_push.is_dropped(asker.path, options, self._lacking):
            return False
        text = archive_push.dropped_text(asker.name, options.archive_push_queue_max)
        self._desk.answer(asker, f"exit 0 {resident.escape(f'WARN: {text}')}")
        return True

    def _lacking(self, ready: t.Collection[str]) -> set[str]:
        """Those of the files that some repository does not have yet.

        The others wait only for PostgreSQL to ask for them, which it does one after the other.
        """
        return {name for crew in self._crews() for name in crew.queue.missing(ready)}

    def _verdict(self, crew: Crew, asker: Asker, now: float) -> EngineError | None:
        """What keeps this repository from having the file; None while that is open."""
        refusal = crew.queue.refusal(asker.name)
        if refusal is not None:
            return refusal
        waited = now - asker.since
        error = crew.error
        failed = error is not None and crew.failed > asker.since and not crew.sessions
        if failed and (waited >= HOLD or not isinstance(error, HostConnectError)):
            return error
        options = self._options()
        if waited > options.archive_timeout and asker.name not in crew.queue.sent:
            return ArchiveTimeoutError(
                f"WAL file '{asker.name}' was not archived within {waited:.0f} seconds",
                hint=f"the archiver goes on; 'pgsftp --stanza={options.stanza} archiver status' "
                "shows how far it is.",
            )
        return None
