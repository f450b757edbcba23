# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server can do, as found by trying: the values."""

from __future__ import annotations

import typing as t

from ..errors import EngineError

# Scratch directories lie in the repository itself, where no stanza is.
SCRATCH_PREFIX = ".pgsftp-check-"

# How much is sent and fetched for the throughput.
SAMPLE = 4 * 1024 * 1024

# Without these there is no repository.
NEEDED = (
    "make directory",
    "create",
    "write",
    "rename",
    "list",
    "read",
    "range read",
    "remove",
)


class Trial(t.NamedTuple):
    """One primitive that was tried; ``works`` is None when that could not even be tried."""

    name: str
    works: bool | None
    detail: str = ""
    error: EngineError | None = None
    """A refusal as a verb would raise it; its message begins with the name."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"name": self.name, "works": self.works, "detail": self.detail}


class Survey(t.NamedTuple):
    """What one session found out about its server."""

    software: str
    """What the server calls itself; empty when it is not known."""
    cipher: str
    extensions: tuple[str, ...]
    trials: tuple[Trial, ...]
    round_trip: float | None
    """Seconds, the shortest that was seen."""
    upload: float | None
    """Bytes in a second, of a sample in one session; the wait for its last answer counts."""
    download: float | None
    free: int | None
    """Bytes; None where the server does not say."""
    handles: int | None
    """Files that may be open at once; None where the server does not say."""
    request: int
    """Bytes in one request."""

    def trial(self, name: str) -> Trial:
        """The trial of that name."""
        return next(trial for trial in self.trials if trial.name == name)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        found = self._asdict()
        found["extensions"] = list(self.extensions)
        found["trials"] = [trial.as_dict() for trial in self.trials]
        return found
