# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The light end of ``info``: have a process of the archiver's run the command, with our streams.

The archiver has loaded everything that the command needs; starting a second interpreter and loading
it once more takes longer than the command. It gets the command line and what our environment has
for it, then the open files where the output goes, and tells the exit code at the end. The command
there reads the configuration itself, as it is now.

Only what reads the same there as here is asked for: the service has a view of its own of the file
system, so that an option which names a file, apart from the configuration that it serves, goes
the long way.
"""

from __future__ import annotations

import os
import sys

from ..resident import DIRECTORY, Alone, Line, socket_path
from .told import PREFIX, told

# As typing has it, which would be half of what is loaded.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUESTION = "run"
READY = "ready"

COMMAND = "info"

_OPTIONS = (
    "config", "stanza", "archiver-path", "output", "repo", "set", "type",
    "log-level-console", "log-level-file", "log-level-stderr",
)  # fmt: skip
_FLAGS = ("log-timestamp", "no-log-timestamp")

# Of the environment beside the options: what dates look like, and where keys are.
_PASSED = ("TZ", "HOME", "SSH_AUTH_SOCK")

# The exit code of TermError, whose file is not loaded here.
TERMINATED = 63

# An archiver that can answer does so at once.
_PATIENCE = 2.0


def info(words: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Have the archiver run the command line; gives the exit code.

    None when the command must be run here.
    """
    given = options(words, environ)
    if given is None:
        return None
    directory = given.get("archiver-path", DIRECTORY)
    stanza = given.get("stanza") or _any_stanza(directory)
    if not stanza or not _is_ours(socket_path(directory, stanza)):
        return None
    variables = [
        f"{name}={value}"
        for name, value in environ.items()
        if name in _PASSED or name.startswith(PREFIX)
    ]
    streams = (sys.stdout, sys.stderr)
    if None in streams:  # closed by whoever started us
        return None
    question = [
        QUESTION, given.get("config", ""), sys.stdout.encoding, str(sys.stdout.errors),
        str(len(variables)), *variables, *words,
    ]  # fmt: skip
    if any("\t" in word or "\n" in word for word in question):
        return None
    try:
        return ask(directory, stanza, question, [stream.fileno() for stream in streams])
    except KeyboardInterrupt:
        # The process there hears of it by our hanging up, and has said what there is to say.
        return TERMINATED
    except (Alone, OSError):
        return None


def ask(directory: str, stanza: str, question: Sequence[str], descriptors: Sequence[int]) -> int:
    """The exit code of the command, whose output went to these descriptors.

    Raises Alone when there is no archiver, or it does not run this, or ended meanwhile.
    """
    line = Line(directory, stanza, _PATIENCE)
    try:
        line.send("\t".join(question))
        answer = line.receive()
        if answer != READY:
            raise Alone(f"it answered '{answer}'")
        line.hand_over(descriptors)
        code = line.receive()
        if not code.isdigit():
            raise Alone(f"it answered '{code}'")
        return int(code)
    finally:
        line.close()


def options(words: Sequence[str], environ: Mapping[str, str]) -> dict[str, str] | None:
    """Those of a command line that an archiver may run; None for any other."""
    found = told(words, environ, _OPTIONS, _FLAGS)
    if found is None or found[1] != [COMMAND] or "/" in found[0].get("stanza", ""):
        return None
    # It has another working directory.
    return found[0] if found[0].get("config", "/").startswith("/") else None


def _any_stanza(directory: str) -> str:
    """One whose archiver may be there."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return ""
    return next((name[: -len(".sock")] for name in names if name.endswith(".sock")), "")


def _is_ours(path: str) -> bool:
    """Whether a command at that socket runs as the user that we are."""
    try:
        return os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False
