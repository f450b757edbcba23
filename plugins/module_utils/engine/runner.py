# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a command: its log file, the lines with which it begins and ends, signals, mistakes.

Whoever calls a command goes through here, the host command as well as the modules, so that the log
on the host tells the same of both.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import time
import traceback
import typing as t
from pathlib import Path

from . import log
from .config import command_line
from .config.options import Options
from .config.schema import Command
from .errors import AssertError, EngineError, TermError
from .version import VERSION

if t.TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

# Every file that we make has a mode of 0640 or less, every directory one of 0750 or less, so this
# comes to the same as pgBackRest's umask of 0; and no file is ever open to the world by mistake.
UMASK = 0o027

_BEGIN = "-------------------PROCESS START-------------------"

_Result = t.TypeVar("_Result")


def perform(command: Command, options: Options, work: t.Callable[[Options], _Result]) -> _Result:
    """Do the work of one command and log how it begins and ends.

    Every failure is logged here and raised as an EngineError: a signal as TermError, a mistake of
    ours as AssertError.
    """
    if options.neutral_umask:
        os.umask(UMASK)
    # What is loaded by now stays for good; see start.
    gc.freeze()
    gc.enable()
    with log.dry_run() if options.dry_run else contextlib.nullcontext():
        return _perform(command, options, work)


def _perform(command: Command, options: Options, work: t.Callable[[Options], _Result]) -> _Result:
    level = logging.DEBUG if command.quiet else logging.INFO
    started = time.monotonic()
    _log(level, "%s command begin %s:%s", command.name, VERSION, command_line.shown(options))
    for warning in options.warnings:
        log.warn("%s", warning)
    with _signals():
        try:
            result = work(options)
        except _Signalled as cause:
            error = TermError(f"terminated on signal [{cause}]")
            _log(level, "%s command end: %s", command.name, error.message)
            raise error from None
        except EngineError as cause:
            _failed(level, command, cause)
            raise
        except Exception as cause:
            # A mistake of ours, too, ends with a line in the log.
            log.debug("%s", traceback.format_exc())
            mistake = _unexpected(cause)
            _failed(level, command, mistake)
            raise mistake from cause
        took = f" ({(time.monotonic() - started) * 1000:.0f}ms)" if options.log_timestamp else ""
        _log(level, "%s command end: completed successfully%s", command.name, took)
        return result


def attach_log_file(command: Command, options: Options) -> logging.Handler | None:
    """Log to the command's file below ``log-path`` too; None where there is none to be had.

    A file that cannot be opened is worth a warning, and no reason to take no backup.
    """
    if not command.log_file or options.log_level_file == "off":
        return None
    path = Path(options.log_path, f"{options.stanza or 'all'}-{command.name}.log")
    try:
        handler = log.attach_file(path, options.log_level_file)
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(f"\n{_BEGIN}\n" if stream.tell() else f"{_BEGIN}\n")
    except OSError as cause:
        log.warn(
            "unable to open log file '%s': %s\nNOTE: process will continue without log file.",
            path,
            cause.strerror,
        )
        return None
    return handler


def log_error(cause: EngineError) -> None:
    """The line that says what went wrong, with its code."""
    log.error("%s", cause, extra={"code": cause.code})


class _Signalled(BaseException):
    """A signal came; none of the errors that work may get over, wherever it is just then."""


@contextlib.contextmanager
def _signals() -> t.Iterator[None]:
    """Have signals raise _Signalled."""
    # What is ignored stays so: a command under nohup goes on when its terminal is gone.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, _terminate) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _terminate(number: int, _frame: FrameType | None) -> None:
    # Once is enough: what is cleaned up now must not be interrupted.
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise _Signalled(signal.Signals(number).name)


def _failed(level: int, command: Command, cause: EngineError) -> None:
    log_error(cause)
    _log(level, "%s command end: aborted with exception [%03d]", command.name, cause.code)


def _unexpected(cause: Exception) -> EngineError:
    place = traceback.extract_tb(cause.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"
    return AssertError(
        f"unexpected {type(cause).__name__} in {where}: {cause}",
        hint="this is a mistake in the program; log-level-file=debug has the details.",
    )


def _log(level: int, message: str, *values: object) -> None:
    (log.debug if level == logging.DEBUG else log.info)(message, *values)
