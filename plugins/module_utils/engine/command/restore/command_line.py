# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How PostgreSQL is told to call us for archived WAL."""

from __future__ import annotations

import os
import shutil
import sys

from ...config.command_line import words_for
from ...config.options import Options

HOST_COMMAND = "pgsftp"


def restore_command(options: Options) -> str:
    """The value of ``restore_command``: our archive-get with the options of this command line.

    What stands in the configuration file is read from there again; secrets are never on a command
    line, so none can get into it.
    """
    command = options.cmd or _host_command()
    words = set(words_for(options, "archive-get"))
    words.discard("--reset-pg1-path")  # or it would be named and taken back at once
    words.add(f"--pg1-path={options.pg.path}")
    words.add(f"--stanza={options.require_stanza()}")
    line = " ".join(_quote(word) for word in sorted(words))
    return f'{command} {line} archive-get %f "%p"'


def _host_command() -> str:
    """The path of this command, or of the installed one when a module does the work."""
    if os.path.basename(sys.argv[0]) == HOST_COMMAND:
        return os.path.abspath(sys.argv[0])
    return shutil.which(HOST_COMMAND) or HOST_COMMAND


def _quote(word: str) -> str:
    # The server replaces %-signs before a shell sees the line.
    word = word.replace("%", "%%")
    if all(character.isalnum() or character in "-_=./,:@%+" for character in word):
        return word
    return '"' + "".join("\\" + c if c in '"\\$`' else c for c in word) + '"'
