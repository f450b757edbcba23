# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines in pgBackRest's format, on top of the standard library's logging.

The library only emits; whoever runs it (the host command, a module) attaches handlers. A line that
a worker caused is logged by the parent with the worker's number::

    log.detail("backup file %s", name, extra={"process_id": 2})
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import typing as t
from datetime import datetime
from pathlib import Path

DETAIL = 15
TRACE = 5

LEVELS: t.Mapping[str, int] = {
    "off": logging.CRITICAL + 10,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "detail": DETAIL,
    "debug": logging.DEBUG,
    "trace": TRACE,
}

_LABEL = {
    logging.ERROR: "ERROR",
    logging.WARNING: "WARN",
    logging.INFO: "INFO",
    DETAIL: "DETAIL",
    logging.DEBUG: "DEBUG",
    TRACE: "TRACE",
}

_logger = logging.getLogger("pgsftp")
_logger.addHandler(logging.NullHandler())
_logger.setLevel(TRACE)
_logger.propagate = False

error = _logger.error
warn = _logger.warning
info = _logger.info
debug = _logger.debug


def detail(message: str, *args: object, extra: t.Mapping[str, object] | None = None) -> None:
    """Log at pgBackRest's level between info and debug."""
    _logger.log(DETAIL, message, *args, extra=extra)


@contextlib.contextmanager
def dry_run() -> t.Iterator[None]:
    """Say of every line meanwhile that nothing is done, as pgBackRest does."""

    def mark(record: logging.LogRecord) -> bool:
        record.__dict__["dry_run"] = True
        return True

    _logger.addFilter(mark)
    try:
        yield
    finally:
        _logger.removeFilter(mark)


class LineFormatter(logging.Formatter):
    """``2026-11-22 11:07:20.123 P00   INFO: text``, continuation lines indented below the text."""

    def __init__(self, *, timestamp: bool = True) -> None:
        super().__init__()
        self._timestamp = timestamp

    def format(self, record: logging.LogRecord) -> str:
        """Render one record; lines after the first are indented as pgBackRest does."""
        process = int(record.__dict__.get("process_id", 0))
        label = _LABEL.get(record.levelno, "INFO")
        code = record.__dict__.get("code")
        head = f"P{process:02d} {label:>6}: "
        if code:
            head += f"[{int(code):03d}]: "
        text = record.getMessage()
        if record.__dict__.get("dry_run"):
            text = f"[DRY-RUN] {text}"
        if self._timestamp:
            when = datetime.fromtimestamp(record.created)
            head = f"{when:%Y-%m-%d %H:%M:%S}.{int(record.msecs):03d} {head}"
        indent = " " * len(head.split(": ", 1)[0] + ": ")
        return head + text.replace("\n", "\n" + indent)


def attach(handler: logging.Handler, level: str) -> logging.Handler:
    """Send everything from ``level`` (pgBackRest's name for it) on to ``handler``."""
    handler.setLevel(LEVELS[level])
    _logger.addHandler(handler)
    _adjust()
    return handler


def _adjust() -> None:
    """A line that no handler of ours wants is not even made: one for each file adds up."""
    levels = [row.level for row in _logger.handlers if not isinstance(row, logging.NullHandler)]
    # Level 0 would stand for that of the root logger.
    _logger.setLevel(max(TRACE, min(levels, default=TRACE)))


class _Lenient(logging.Handler):
    """Its stream may be on a full disk, or a pipe that nobody reads any more."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Show a mistake of ours, but nothing for a line that cannot be written: the traceback
        would stand among what others read.
        """
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class Stream(_Lenient, logging.StreamHandler):  # type: ignore[type-arg]
    """Lines for a stream that is open."""


def attach_stream(stream: t.TextIO, level: str, *, timestamp: bool = True) -> logging.Handler:
    """Log to a stream such as the terminal."""
    handler = Stream(stream)
    handler.setFormatter(LineFormatter(timestamp=timestamp))
    return attach(handler, level)


class _File(_Lenient, logging.FileHandler):
    """A log file that is made anew, with its mode, when somebody has moved it away.

    As logging.handlers.WatchedFileHandler, which takes longer to load than a short command has.
    """

    def _open(self) -> t.Any:
        stream = super()._open()
        os.fchmod(stream.fileno(), 0o640)
        return stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; one that cannot be written must not end what it tells of."""
        with contextlib.suppress(OSError):
            stream = self.stream
            if stream is not None and not self._is_there(stream):
                self.stream = self._open()
                stream.close()
            super().emit(record)

    def _is_there(self, stream: t.TextIO) -> bool:
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(stream.fileno()))
        except FileNotFoundError:
            return False


def attach_file(path: Path, level: str) -> logging.Handler:
    """Append to a log file, created with mode 0640; raises OSError when that is impossible."""
    # A name of a file may be any bytes, and is written as it is.
    handler = _File(path, encoding="utf-8", errors="surrogateescape")
    handler.setFormatter(LineFormatter())
    return attach(handler, level)


def detach(handler: logging.Handler) -> None:
    """Undo ``attach``."""
    _logger.removeHandler(handler)
    # A file on a full disk is written once more when it is closed.
    with contextlib.suppress(OSError):
        handler.close()
    _adjust()


def detach_all() -> None:
    """Undo every ``attach``, in a process that was forked from one with handlers of its own."""
    for handler in list(_logger.handlers):
        # Not closed: the file is the parent's, and so may its lock be.
        _logger.removeHandler(handler)
    _logger.addHandler(logging.NullHandler())
    _adjust()
