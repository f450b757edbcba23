# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The light end of archive-push and archive-get: ask the archiver, and import next to nothing.

PostgreSQL starts one of them for every segment, so that this file and what it imports are all that
is loaded when the archiver has shipped the segment already, or fetched it: no option table, no
logging, and of the standard library only what is written in C. No configuration file is read
either; the archiver has read it, and what it was told must be what we were told: a command line
with any further option goes the long way.

A question is one line with tabs in it: ``push``, the configuration file, the stanza and the path;
or ``get``, the configuration file, the stanza, the data directory if it is known, and the name of
the file. While the archiver works it sends a dot a second. The answer is a line: ``ok``; ``found``
and where the file lies, which is ours until we hang up; ``error``, the exit code and the text;
``exit``, the exit code and what to say, if anything; or ``alone`` and why the command must do the
work itself.
"""

from __future__ import annotations

import os
import sys

from ..resident import DIRECTORY, Alone, Line, socket_path, unescape
from .told import told

# As typing has it, which would be half of what is loaded.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTICE = "alone"

# The options that steer nothing but what is shown, and those that choose an archiver.
_MAY_DIFFER = ("log-level-console", "log-level-file", "log-level-stderr")
_OURS = ("config", "stanza", "archiver-path")
_OURS_TO_GET = (*_OURS, "pg1-path")


def push(words: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Have the archiver push what the command line names; gives the exit code.

    None when the command must do the work itself. That is said on standard error once, until an
    archiver was there again.
    """
    told = _given(words, environ, "archive-push", _OURS)
    if told is None or len(told[1]) != 1:
        return None
    given, (path,) = told
    path = _absolute(path)
    return _ask("archive-push", given, ("push", given["config"], given["stanza"], path), path)


def get(words: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Have the archiver fetch what the command line names, as ``push`` does it."""
    told = _given(words, environ, "archive-get", _OURS_TO_GET)
    if told is None or len(told[1]) != 2:
        return None
    given, (name, destination) = told
    data = given.get("pg1-path", "")
    # PostgreSQL runs restore_command in its data directory, which may be another one.
    if not os.path.isabs(destination):
        here = os.getcwd()
        if data and os.path.realpath(data) != os.path.realpath(here):
            return None
        data = here
    elif not data and os.path.exists("PG_VERSION"):
        data = os.getcwd()
    if not os.path.exists(socket_path(given["archiver-path"], given["stanza"])):
        # Few have one while they recover: there is nothing to say about that.
        return None
    question = ("get", given["config"], given["stanza"], data, name)
    return _ask("archive-get", given, question, _absolute(destination))


def _absolute(path: str) -> str:
    # The working directory is asked for only then: it may be gone.
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)


def _given(
    words: Sequence[str], environ: Mapping[str, str], command: str, ours: Sequence[str]
) -> tuple[dict[str, str], list[str]] | None:
    """The options and the command's parameters; None: not for an archiver."""
    found = told(words, environ, (*ours, *_MAY_DIFFER))
    if found is None:
        return None
    given, plain = {"config": "", "stanza": "", "archiver-path": DIRECTORY, **found[0]}, found[1]
    stanza = given["stanza"]
    if not plain or plain[0] != command or not stanza or "/" in stanza:
        return None
    return given, plain[1:]


def _ask(command: str, given: Mapping[str, str], question: Sequence[str], path: str) -> int | None:
    directory, stanza = given["archiver-path"], given["stanza"]
    try:
        code = ask(directory, stanza, question, path)
    except Alone as cause:
        _say_once(directory, stanza, command, str(cause))
        return None
    try:
        os.unlink(notice_path(directory, stanza, command))
    except OSError:
        pass
    return code


def ask(directory: str, stanza: str, question: Sequence[str], path: str) -> int:
    """The archiver's answer: the exit code, its text on standard error, what it found at ``path``.

    Raises Alone when there is no archiver, or one that does not serve this.
    """
    line = Line(directory, stanza)
    try:
        line.send("\t".join(question))
        kind, _blank, text = line.receive().partition(" ")
        if kind == "ok":
            return 0
        if kind == "found":
            _take(unescape(text), path)
            return 0
    finally:
        line.close()
    if kind in ("error", "exit"):
        code, _blank, text = text.partition(" ")
        text = unescape(text)
        if kind == "error":
            text = f"ERROR: [{int(code):03d}]: {text}"
        if text:
            _say(text)
        return int(code)
    raise Alone(unescape(text) or f"it answered '{kind}'")


def _take(found: str, path: str) -> None:
    """Move what the archiver has fetched to its place, where it appears whole."""
    try:
        os.rename(found, path)
        return
    except OSError:
        pass
    # Another file system, most likely.
    temporary = path + ".pgbackrest.tmp"
    try:
        with open(found, "rb") as source, open(temporary, "wb") as target:
            while data := source.read(1 << 20):
                target.write(data)
        os.rename(temporary, path)
    except OSError as cause:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise Alone(f"'{found}' cannot be taken ({cause.strerror or cause})") from None


def notice_path(directory: str, stanza: str, command: str) -> str:
    """The file that stands for: it was said that this user's command does the work itself."""
    # Not in the socket's directory, which is not there when no archiver is.
    place = directory.replace("/", "-")
    return f"/tmp/pgsftp-{os.geteuid()}{place}-{stanza}.{command}.{NOTICE}"


def _say_once(directory: str, stanza: str, command: str, why: str) -> None:
    # Owned by us and made by us, or it is as if it was not there; a link is not followed.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    path = notice_path(directory, stanza, command)
    try:
        os.close(os.open(path, flags, 0o600))
    except FileExistsError:
        if _is_ours(path):
            return
    except OSError:
        pass
    _say(
        f"WARN: no archiver for stanza {stanza}: {why}; {command} does the work itself, and says"
        " so once"
    )


def _say(text: str) -> None:
    """Write to standard error; the exit code does not depend on whether that can be done."""
    try:
        sys.stderr.write(text + "\n")
    except (OSError, AttributeError):  # the disk of the server's log is full, or it has none
        pass


def _is_ours(path: str) -> bool:
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except OSError:
        return False
