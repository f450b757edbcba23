# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making restored files durable beside the fetching of further ones.

A flush waits for the disk, and neither the line nor a processor has anything to do meanwhile. All
files of a range are written before any of it is flushed: the file system then commits many files at
once.

A file gets the time of the backup when it is durable and not before: by its size and time a later
restore takes it for restored, which the content may not survive when it never got to the disk.
"""

from __future__ import annotations

import collections
import os
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor

from .trouble import written_wrong

# Lots that may wait to be flushed: each holds its files open.
LOTS = 2


class Written(t.NamedTuple):
    """An open file that has all its bytes; ``mtime``, in epoch seconds, is still to be set, if
    there is one.
    """

    descriptor: int
    mtime: int | None


class Flusher:
    """One thread, which flushes and closes lots of files in the order in which they come."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._waiting: collections.deque[Future[None]] = collections.deque()

    def add(self, files: t.Sequence[Written], name: str) -> Future[None]:
        """Take over written files; ``name`` is the first one's.

        Waits while there are many. What this gives is done when they are durable, and raises
        FileWriteError when they cannot be made so.
        """
        while len(self._waiting) >= LOTS:
            self._waiting.popleft().result()
        flushed = self._thread.submit(_flush, files, name)
        self._waiting.append(flushed)
        return flushed


def make_durable(files: t.Sequence[Written]) -> None:
    """Wait for the disk, and give the files their times."""
    for file in files:
        os.fsync(file.descriptor)
    for descriptor, mtime in files:
        # A crash may undo it, and then the file is fetched once more. What is right already is left
        # alone: a flush of a file that nobody touched costs nothing.
        if mtime is not None and os.fstat(descriptor).st_mtime_ns != mtime * 1_000_000_000:
            os.utime(descriptor, (mtime, mtime))


def _flush(files: t.Sequence[Written], name: str) -> None:
    try:
        make_durable(files)
    except OSError as cause:
        raise written_wrong(name, cause) from cause
    finally:
        for file in files:
            os.close(file.descriptor)
