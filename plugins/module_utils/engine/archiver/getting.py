# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive-get is told: where the file lies, or with which code a server may go on.

A server that recovers takes "not in the archive" for the end of the WAL, so that it is said only
when every repository was reached and said so; else it is kept waiting for as long as
``archive-timeout``, and then stopped (see ``postgres.asking``).
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import log, resident
from ..config.options import Options
from ..errors import EngineError, FileWriteError
from ..postgres.asking import Asker as Who
from ..postgres.asking import asker as server_of
from ..postgres.asking import failure_code
from .desk import Asker, Desk
from .fetchers import Fetchers
from .prefetch import Failure


class Getting:
    """Answers those who get; ``fetchers`` and ``options`` give what is valid now."""

    def __init__(
        self,
        desk: Desk,
        fetchers: t.Callable[[], Fetchers],
        options: t.Callable[[], Options],
    ) -> None:
        self._desk = desk
        self._fetchers = fetchers
        self._options = options

    def begin(self, asker: Asker, name: str, now: float) -> None:
        """Somebody wants this file from the archive."""
        asker.name = name
        try:
            self._fetchers().ask(name, now)
        except EngineError as error:
            self._desk.alone(asker, error.message)
            return
        asker.attend, asker.leave = self.attend, self._leave
        self.attend(asker, now)

    def renew(self, now: float) -> None:
        """There are other fetchers now, who have to hear of those that wait."""
        for asker in list(self._desk.askers.values()):
            if asker.attend == self.attend:
                try:
                    self._fetchers().ask(asker.name, now)
                except EngineError as error:
                    self._desk.alone(asker, error.message)

    def _leave(self, asker: Asker) -> None:
        if not self._desk.waits_for(asker.name):
            self._fetchers().rules.answered(asker.name)

    def attend(self, asker: Asker, now: float) -> None:
        """Answer if there is an answer."""
        fetchers, rules = self._fetchers(), self._fetchers().rules
        waited = now - asker.since
        if rules.is_ready(asker.name):
            self._hand_over(asker, fetchers.give(asker.name))
        elif rules.is_decided(asker.name):
            self._decide(asker, rules.answer(asker.name), waited)
        elif waited > self._options().archive_timeout + 2 * self._options().io_timeout:
            # Whoever fetches it is bound by io-timeout: this one hangs for another reason.
            self._desk.alone(asker, f"it has not brought the file within {waited:.0f} seconds")
        else:
            rules.wait(asker.name)
            self._desk.beat(asker, now)

    def _hand_over(self, asker: Asker, path: str) -> None:
        """Tell where it is; the file is his until he hangs up."""

        def left(_asker: Asker) -> None:
            with contextlib.suppress(OSError):
                os.unlink(path)
            self._leave(asker)

        asker.attend, asker.leave = _wait, left
        self._desk.say(asker, os.fsencode(f"found {resident.escape(path)}\n"))

    def _decide(self, asker: Asker, failure: Failure | None, waited: float) -> None:
        if failure is None:
            # A standby at the end of the WAL asks every few seconds.
            log.detail("unable to find %s in the archive", asker.name)
            self._desk.answer(asker, "exit 1 ")
            return
        error, options = failure.error, self._options()
        if isinstance(error, FileWriteError):
            # It is the spool: the command has another place for the file.
            self._desk.alone(asker, error.message)
            return
        who = server_of(options.pg.path)
        if failure.may_pass and who is Who.STANDBY:
            self._exit(asker, 1, f"WARN: {error.message}; the standby will ask again")
            return
        if failure.may_pass and who is Who.RECOVERY:
            if waited < options.archive_timeout:
                self._fetchers().rules.again(asker.name)
                return
            error = type(error)(
                f"{error.message}; given up after {options.archive_timeout:g}s, and recovery stops"
                " here",
                hint="start the server again when the repository can be reached: it goes on.",
            )
        code = failure_code(who, error.code)
        self._exit(asker, code, f"ERROR: [{error.code:03d}]: {error}")

    def _exit(self, asker: Asker, code: int, text: str) -> None:
        self._desk.answer(asker, f"exit {code} {resident.escape(text)}")


def _wait(_asker: Asker, _now: float) -> None:
    """There is nothing more to say."""
