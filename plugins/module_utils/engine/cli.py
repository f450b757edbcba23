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
import sys
import typing as t

from . import log, runner
from .config import arguments
from .config.commands import COMMANDS
from .config.load import load
from .config.options import Options
from .config.schema import Command
from .errors import (
    CommandInvalidError,
    CommandRequiredError,
    EngineError,
    FileWriteError,
    OptionInvalidError,
)
from .version import VERSION

NAME = "pgsftp"


def _annotate(options: Options) -> object:
    from .command.annotate import run

    return run(options)


def _archive_get(options: Options) -> object:
    from .command.archive_get import run

    return run(options)


def _archive_push(options: Options) -> object:
    from .command.archive_push import run

    return run(options)


def _archiver(options: Options) -> object:
    from .archiver.run import run

    return run(options, main)


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


def _manifest(options: Options) -> object:
    from .command.manifest import run

    return run(options)


def _remote(options: Options) -> object:
    from .postgres.service import serve
    from .repository import lock

    # Whatever else might be written to standard output must not get between the frames.
    line = os.dup(1)
    os.dup2(2, 1)
    serve(0, line, options, lambda claim: lock.granted(options, claim))
    return None


def _repo_get(options: Options) -> object:
    from .command.repo_files import get

    return get(options)


def _repo_ls(options: Options) -> object:
    from .command.repo_files import list_path

    return list_path(options)


def _restore(options: Options) -> object:
    from .command.restore.run import run

    return run(options)


def _stanza_create(options: Options) -> object:
    from .command.stanza import run

    return run(options)


def _stanza_delete(options: Options) -> object:
    from .command.stanza_delete import run

    return run(options)


def _stanza_upgrade(options: Options) -> object:
    from .command.stanza_upgrade import run

    return run(options)


def _start(options: Options) -> object:
    from .command.stop import start

    return start(options)


def _stop(options: Options) -> object:
    from .command.stop import stop

    return stop(options)


def _verify(options: Options) -> object:
    from .command.verify.run import run

    return run(options)


# The commands that the engine has, apart from help and version.
DISPATCH: t.Mapping[str, t.Callable[[Options], object]] = {
    "annotate": _annotate,
    "archive-get": _archive_get,
    "archive-push": _archive_push,
    "archiver": _archiver,
    "backup": _backup,
    "check": _check,
    "expire": _expire,
    "info": _info,
    "manifest": _manifest,
    "remote": _remote,
    "repo-get": _repo_get,
    "repo-ls": _repo_ls,
    "restore": _restore,
    "stanza-create": _stanza_create,
    "stanza-delete": _stanza_delete,
    "stanza-upgrade": _stanza_upgrade,
    "start": _start,
    "stop": _stop,
    "verify": _verify,
}


class _Ended(t.NamedTuple):
    """A result that nobody wants to see the rest of."""

    exit_code: int


# How a command ends whose reader has seen enough: as pgBackRest's.
_CUT_SHORT: t.Mapping[str, _Ended] = {"repo-get": _Ended(1), "repo-ls": _Ended(0)}


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
            _write(output, shown)
            return 0
        command, rest = _command(words)
        options = load(command.name, rest, os.environ if environ is None else environ)
        _refuse_root(command, options)
    except EngineError as cause:
        runner.log_error(cause)
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
    if "--version" in words:
        return f"{NAME} {VERSION}\n"
    asked = not words or "--help" in words or "-h" in words
    # Beside these two words anything may stand that is no option of a command.
    names = [word for word in words if not word.startswith("-")]
    if not asked:
        # A word may be the value of the option before it.
        names = [word for word in arguments.parse(words).words if not word.startswith("-")]
    if names[:1] == ["version"]:
        return f"{NAME} {VERSION}\n"
    if asked or names[:1] == ["help"]:
        from .config import help as help_text

        topic = names[1:] if names[:1] == ["help"] else names[:1]
        return help_text.text(topic, commands={*DISPATCH, "help", "version"})
    return None


def _command(words: t.Sequence[str]) -> tuple[Command, list[str]]:
    """The command, and the rest of the words."""
    found = arguments.command_of(arguments.parse(words).words)
    if found is None:
        raise CommandRequiredError("no command found", hint=f"'{NAME} help' lists the commands.")
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
    def work(options: Options) -> object:
        result = DISPATCH[command.name](options)
        try:
            _show(result, output)
        except FileWriteError as error:
            # Whoever reads with `head` has what he wanted.
            if command.name in _CUT_SHORT and isinstance(error.__cause__, BrokenPipeError):
                return _CUT_SHORT[command.name]
            raise
        return result

    try:
        return int(getattr(runner.perform(command, options, work), "exit_code", 0))
    except EngineError as cause:
        return cause.code


def _show(result: object, output: t.TextIO) -> None:
    """Write what the command is for, if that is output at all."""
    text = getattr(result, "text", "")
    chunks = getattr(result, "chunks", ())
    # What is left of log lines is no reason for a command to fail that has done its work.
    if text or chunks:
        _write(output, text, chunks)


def _write(output: t.TextIO, text: str, chunks: t.Iterable[bytes] = ()) -> None:
    """Write it all; a reader that has seen enough may end early, which is FileWriteError."""
    if t.cast("t.TextIO | None", output) is None:
        raise FileWriteError(
            "unable to write to standard output: it is closed",
            hint="whoever starts the command gives it one, if only /dev/null.",
        )
    try:
        output.write(text)
        output.flush()
        for chunk in chunks:
            output.buffer.write(chunk)
        output.flush()
    except OSError as cause:
        if output is sys.stdout:
            # Else the interpreter tries once more when it ends, and complains.
            os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        raise FileWriteError(
            f"unable to write to standard output: {cause.strerror}",
            hint="is the disk full, or has the program that reads the output ended?",
        ) from cause


def _exit_code(words: t.Sequence[str], pg_data: str, code: int) -> int:
    """What to end with; a failure must not look like the end of the WAL to a server in recovery."""
    if code <= 1 or "archive-get" not in words:
        return code
    from .postgres.asking import failure_code, who_asks

    return failure_code(who_asks(pg_data), code)


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
    in_file = runner.attach_log_file(command, options)
    return handlers if in_file is None else [*handlers, in_file]


def _attach(stream: t.TextIO, level: str, formatter: logging.Formatter) -> logging.Handler:
    handler = log.Stream(stream)
    handler.setFormatter(formatter)
    return log.attach(handler, level)


if __name__ == "__main__":
    raise SystemExit(main())
