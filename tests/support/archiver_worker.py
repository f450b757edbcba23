# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of the archiver with a server in the same process, which counts its round trips."""

from __future__ import annotations

import queue
import typing as t
from pathlib import Path

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import worker
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)

from .sftp_server import Defects, Line, SftpServer


class Bench:
    """One session, and what the worker told of the files that it was given."""

    def __init__(
        self,
        repo: Path,
        data: Path,
        defects: Defects | None = None,
        *arguments: str,
    ) -> None:
        line = Line(SftpServer(defects))
        self.storage = SftpStorage(Channel(line, "sftp-srv", line.close), "sftp-srv", str(repo))
        self.told: list[t.Any] = []
        words = ["--no-config", "--stanza=demo", f"--repo1-path={repo}", f"--pg1-path={data}"]
        options = load("archive-push", [*words, *arguments], {})
        work = worker.Work(options, options.repos[0], t.cast("t.Any", None))
        voice = t.cast("t.Any", _Voice(self.told))
        self._worker = worker._Worker(voice, queue.SimpleQueue(), work, self.storage)

    def trips(self, *names: str) -> int:
        """Round trips until all of these files are durable, or refused."""
        before = self.storage.round_trips
        self._worker._batch(list(names))
        while self._worker._sent:
            self._worker._finish(self._worker._sent.popleft())
        return self.storage.round_trips - before


class _Voice:
    def __init__(self, told: list[t.Any]) -> None:
        self.send = told.append
