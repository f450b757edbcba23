# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archiver was told, and whether that still is what its files say.

The archiver does the work of archive-push and archive-get: it has the options that they would have,
from the same sections of the same files.
"""

from __future__ import annotations

import logging
import os
import typing as t
from pathlib import Path

from .. import log
from ..config import file, names
from ..config.command_line import written
from ..config.load import load
from ..config.options import Options

_COMMANDS = ("archive-push", "archive-get")

# Of this run alone.
_OWN = ("exec-id", "output")

Signature = tuple[tuple[str, int, int, int], ...]


class Settings(t.NamedTuple):
    """The options of the archiver, and those of archive-push that it works with."""

    own: Options
    options: Options
    get_options: Options
    """Those of archive-get."""
    signature: Signature

    @classmethod
    def of(cls, own: Options) -> Settings:
        """Load the options of those commands as they are for this command line and environment."""
        signature = cls.of_files(own)
        push, get = (load(name, _words(own, name), os.environ) for name in _COMMANDS)
        return cls(own, push, get, signature)

    def reloaded(self) -> Settings:
        """The same from the files as they are now; raises what is wrong with them."""
        signature = self.of_files(self.own)
        own = load("archiver", _words(self.own, "archiver"), os.environ)
        return Settings.of(own)._replace(signature=signature)

    def changed(self) -> bool:
        """Whether the files are not those that were read."""
        return self.of_files(self.own) != self.signature

    @staticmethod
    def of_files(own: Options) -> Signature:
        """What changes when a configuration file does."""
        return _signature(own)

    @property
    def stanza(self) -> str:
        """The stanza."""
        return self.own.require_stanza()

    @property
    def directory(self) -> str:
        """Where the socket and the lock are."""
        return self.own.archiver_path

    @property
    def metrics_path(self) -> str | None:
        """Where the metrics go, if anywhere."""
        return self.own.archiver_metrics_path

    def is_configured_by(self, config: str) -> bool:
        """Whether a command with that ``--config`` (empty: none) reads what we have read."""
        given = {row.name: row.value for row in self.own.explicit if not row.reset}
        # What is read without a ``--config`` lies elsewhere with a ``--config-path``.
        same = config == given.get("config", "") and (config or "config-path" not in given)
        return bool(same) or (config or file.default()) == self.own.config_file

    def attach_log(self) -> logging.Handler | None:
        """Write a log file, as other commands do that run for long."""
        own = self.own
        if own.log_level_file == "off":
            return None
        path = Path(own.log_path, f"{self.stanza}-archiver.log")
        try:
            return log.attach_file(path, own.log_level_file)
        except OSError as cause:
            log.warn("unable to open log file '%s': %s", path, cause.strerror)
            return None


def _words(own: Options, command: str) -> list[str]:
    """The part of the command line that the command takes, too."""
    words = []
    for given in own.explicit:
        name = names.find(given.name)
        if given.source != "argument" or name is None or name.option.name in _OWN:
            continue
        if name.option.takes(command):
            words.append(written(given))
    return words


def _signature(own: Options) -> Signature:
    given = {row.name: row.value for row in own.explicit if not row.reset}
    named = (given.get(name) for name in ("config", "config-path", "config-include-path"))
    found = []
    for path in file.places(*named):
        try:
            status = os.stat(path)
        except OSError:
            found.append((path, 0, 0, 0))
            continue
        found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
