# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host command: pgBackRest's syntax, log lines and exit codes.

A command's code is imported when it is run: ``archive-push`` is started for every WAL segment and
pays for nothing else.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
import typing as t
from pathlib import Path

from . import log
from .config import arguments, command_line
from .config.commands import COMMANDS
from .config.load import load
from .config.options import Options
from .config.schema import Command
from .errors import (
    AssertError,
    CommandInvalidError,
    EngineError,
    OptionInvalidError,
    TermError,
)
from .version import VERSION

if t.TYPE_CHECKING:
    from types import FrameType

NAME = "pgsftp"

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

# Every file that we make has a mode of 0640 or less, every directory one of 0750 or less, so this
# comes to the same as pgBackRest's umask of 0; and no file is ever open to the world by mistake.
_UMASK = 0o027


def _archive_get(options: Options) -> object:
    from .command.archive_get import run

    return run(options)


def _archive_push(options: Options) -> object:
    from .command.archive_push import run

    return run(options)


def _backup(options: Options) -> object:
    from .command.backup.run import run

    return run(options)


def _check(options: Options) -> object:
    from .command.check import run

    return run(options)


def _expire(options: Options) -> object:
    from .command.expire import run

    return run(options)


def _info(options: Options) -> object:
    from .command.info import run

    return run(options)


def _remote(options: Options) -> object:
    from .postgres.service import serve

    # Whatever else might be written to standard output must not get between the frames.
    line = os.dup(1)
    os.dup2(2, 1)
    serve(0, line, options)
    return None


def _restore(options: Options) -> object:
    from .command.restore.run import run

    return run(options)


def _stanza_create(options: Options) -> object:
    from .command.stanza import run

    return run(options)


def _verify(options: Options) -> object:
    from .command.verify.run import run

    return run(options)


# The commands that the engine has, apart from help and version.
DISPATCH: t.Mapping[str, t.Callable[[Options], object]] = {
    "archive-get": _archive_get,
    "archive-push": _archive_push,
    "backup": _backup,
    "check": _check,
    "expire": _expire,
    "info": _info,
    "remote": _remote,
    "restore": _restore,
    "stanza-create": _stanza_create,
    "verify": _verify,
}


def main(
    argv: t.Sequence[str] | None = None,
    environ: t.Mapping[str, str] | None = None,
    *,
    output: t.TextIO | None = None,
    errors: t.TextIO | None = None,
) -> int:
    """Run one command; gives the exit code, which is that of the error (reference, section 23)."""
    words = list(sys.argv[1:] if argv is None else argv)
    output = sys.stdout if output is None else output
    errors = sys.stderr if errors is None else errors
    early = _attach(errors, "warn", _BareFormatter())
    try:
        shown = _information(words)
        if shown is not None:
            output.write(shown)
            return 0
        command, rest = _command(words)
        options = load(command.name, rest, os.environ if environ is None else environ)
        _refuse_root(command, options)
    except EngineError as cause:
        _log_error(cause)
        # PostgreSQL starts restore_command in its data directory.
        return _exit_code(words, ".", cause.code)
    finally:
        log.detach(early)
    handlers = _attach_all(command, options, output, errors)
    try:
        directory = options.pgs[0].path if options.pgs else "."
        return _exit_code(words, directory, _run(command, options, output))
    finally:
        for handler in handlers:
            log.detach(handler)


def _information(words: t.Sequence[str]) -> str | None:
    """The text of help and version, which need no configuration; None for other commands."""
    names = [word for word in words if not word.startswith("-")]
    if "--version" in words or names[:1] == ["version"]:
        return f"{NAME} {VERSION}\n"
    if not words or "--help" in words or "-h" in words or names[:1] == ["help"]:
        from .config import help as help_text

        topic = names[1:] if names[:1] == ["help"] else names[:1]
        return help_text.text(topic, commands={*DISPATCH, "help", "version"})
    return None


def _command(words: t.Sequence[str]) -> tuple[Command, list[str]]:
    """The command, and the rest of the words."""
    found = arguments.command_of(arguments.parse(words).words)
    if found is None:
        raise CommandInvalidError("no command found", hint=f"'{NAME} help' lists the commands.")
    if found not in DISPATCH:
        raise CommandInvalidError(
            f"command '{found}' is not supported yet", hint=f"'{NAME} help' lists the commands."
        )
    rest = list(words)
    rest.remove(found)
    return COMMANDS[found], rest


def _refuse_root(command: Command, options: Options) -> None:
    if os.geteuid() != 0 or command.root or options.allow_root:
        return
    raise OptionInvalidError(
        f"the '{command.name}' command must not be run as the root user",
        hint=f"run it as the owner of the cluster: runuser -u postgres -- {NAME} ..."
        " (or set allow-root=y).",
    )


def _run(command: Command, options: Options, output: t.TextIO) -> int:
    if options.neutral_umask:
        os.umask(_UMASK)
    level = logging.DEBUG if command.quiet else logging.INFO
    started = time.monotonic()
    _log(level, "%s command begin %s:%s", command.name, VERSION, command_line.shown(options))
    for warning in options.warnings:
        log.warn("%s", warning)
    # What is ignored stays so: a command under nohup goes on when its terminal is gone.
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, _terminate) for number in heard}
    try:
        result = DISPATCH[command.name](options)
        text = getattr(result, "text", None)
        if isinstance(text, str):
            output.write(text)
            output.flush()
        took = f" ({(time.monotonic() - started) * 1000:.0f}ms)" if options.log_timestamp else ""
        _log(level, "%s command end: completed successfully%s", command.name, took)
        return int(getattr(result, "exit_code", 0))
    except TermError as cause:
        _log(level, "%s command end: %s", command.name, cause.message)
        return cause.code
    except EngineError as cause:
        return _failed(level, command, cause)
    except Exception as cause:
        # A mistake of ours, too, ends with a line in the log.
        log.debug("%s", traceback.format_exc())
        return _failed(level, command, _unexpected(cause))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit_code(words: t.Sequence[str], pg_data: str, code: int) -> int:
    """What to end with; a failure must not look like the end of the WAL to a server in recovery."""
    if code <= 1 or "archive-get" not in words:
        return code
    from .postgres.asking import failure_code

    return failure_code(pg_data, code)


def _failed(level: int, command: Command, cause: EngineError) -> int:
    _log_error(cause)
    _log(level, "%s command end: aborted with exception [%03d]", command.name, cause.code)
    return cause.code


def _unexpected(cause: Exception) -> EngineError:
    place = traceback.extract_tb(cause.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"
    return AssertError(
        f"unexpected {type(cause).__name__} in {where}: {cause}",
        hint="this is a mistake in the program; log-level-file=debug has the details.",
    )


def _terminate(number: int, _frame: FrameType | None) -> None:
    # Once is enough: what is cleaned up now must not be interrupted.
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise TermError(f"terminated on signal [{signal.Signals(number).name}]")


def _log(level: int, message: str, *values: object) -> None:
    (log.debug if level == logging.DEBUG else log.info)(message, *values)


def _log_error(cause: EngineError) -> None:
    log.error("%s", cause, extra={"code": cause.code})


class _BareFormatter(log.LineFormatter):
    """Lines for standard error: no time and no process, ``ERROR: [031]: text``."""

    def __init__(self) -> None:
        super().__init__(timestamp=False)

    def format(self, record: logging.LogRecord) -> str:
        process, _space, text = super().format(record).partition(" ")
        indent = " " * (len(process) + 1 + len(text) - len(text.lstrip()))
        return text.lstrip().replace("\n" + indent, "\n")


class _Below(logging.Filter):
    """Lets through what standard error does not show already."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < self._level


def _attach_all(
    command: Command, options: Options, output: t.TextIO, errors: t.TextIO
) -> list[logging.Handler]:
    stderr_level = options.log_level_stderr
    handlers = []
    if command.name == "remote":
        # Standard output carries the answers, standard error what the other side should read.
        stderr_level = "error" if stderr_level == "off" else stderr_level
    else:
        timestamp = options.log_timestamp
        handlers.append(
            _attach(output, options.log_level_console, log.LineFormatter(timestamp=timestamp))
        )
        handlers[0].addFilter(_Below(log.LEVELS[stderr_level]))
    handlers.append(_attach(errors, stderr_level, _BareFormatter()))
    if command.log_file and options.log_level_file != "off":
        path = Path(options.log_path, f"{options.stanza or 'all'}-{command.name}.log")
        try:
            handlers.append(_attach_log_file(path, options))
        except OSError as cause:
            log.warn(
                "unable to open log file '%s': %s\nNOTE: process will continue without log file.",
                path,
                cause.strerror,
            )
    return handlers


def _attach_log_file(path: Path, options: Options) -> logging.Handler:
    handler = log.attach_file(path, options.log_level_file)
    begin = "-------------------PROCESS START-------------------"
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(f"\n{begin}\n" if stream.tell() else f"{begin}\n")
    return handler


def _attach(stream: t.TextIO, level: str, formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    return log.attach(handler, level)


if __name__ == "__main__":
    raise SystemExit(main())
