# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""start and stop: allow the commands of a stanza, or keep them from running.

Stop files and locks are pgBackRest's own (repository reference, section 19).
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import log
from ..config.options import Options
from ..repository import lock


@dataclass(frozen=True)
class StopResult:
    """Whether the stop file came or went, and whom ``stop`` with ``force`` told to end."""

    stanza: str | None
    """None: all stanzas."""
    changed: bool
    terminated: tuple[int, ...] = ()
    """Process ids."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "stanza": self.stanza,
            "changed": self.changed,
            "terminated": list(self.terminated),
        }


def start(options: Options) -> StopResult:
    """Remove the stop file; that there is none is only a warning."""
    changed = lock.remove_stop(options.lock_path, options.stanza)
    if not changed:
        log.warn("stop file does not exist for %s", _whom(options.stanza))
    return StopResult(options.stanza, changed)


def stop(options: Options) -> StopResult:
    """Make the stop file; with ``force`` also end what is running."""
    changed = lock.create_stop(options.lock_path, options.stanza)
    if not changed:
        log.warn("stop file already exists for %s", _whom(options.stanza))
    terminated: tuple[int, ...] = ()
    if options.force:
        terminated = tuple(lock.terminate_holders(options.lock_path, options.stanza))
        for pid in terminated:
            log.info("sent term signal to process %d", pid)
    return StopResult(options.stanza, changed or bool(terminated), terminated)


def _whom(stanza: str | None) -> str:
    return "all stanzas" if stanza is None else f"stanza {stanza}"
