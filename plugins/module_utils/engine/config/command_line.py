# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options written as a command line: for the log, and for commands that others run later."""

from __future__ import annotations

import typing as t

from . import names
from .options import Given, Options
from .schema import Kind, Option, words

# What a restore is told about its own run is none of the business of the archive-get that
# PostgreSQL runs afterwards.
_OF_THE_RUN = words(
    "cmd exec-id log-level-console log-level-file log-level-stderr log-subprocess log-timestamp"
    " process-max"
)


def shown(options: Options) -> str:
    """Parameters and options for the line with which a command begins; secrets are redacted."""
    text = ""
    if options.parameters:
        text += " [" + ", ".join(_quoted(word) for word in options.parameters) + "]"
    return text + "".join(" " + written(given, _quoted) for given in options.explicit)


def words_for(options: Options, command: str) -> list[str]:
    """The options of this run's command line that another command on this host needs, too.

    What the configuration file says that command will read there itself, unless it was taken back
    here; secrets never appear on a command line. The words are not quoted.
    """
    found = []
    for given in options.explicit:
        name = names.find(given.name)
        if (
            given.source == "argument"
            and name is not None
            and name.option.takes(command)
            and name.option.name not in _OF_THE_RUN
            and (given.reset or not _is_confidential(name.option))
        ):
            found.append(written(given))
    return found


def _is_confidential(option: Option) -> bool:
    # The type of a cipher is of no use without the passphrase.
    return option.secret or option.name == "repo-cipher-type"


def written(given: Given, quoted: t.Callable[[str], str] = str) -> str:
    """The option as a word of a command line."""
    if given.reset:
        return f"--reset-{given.name}"
    name = names.find(given.name)
    if not given.value:
        return f"--no-{given.name}"
    if name is not None and name.option.kind is Kind.BOOLEAN:
        return f"--{given.name}" if given.value == "y" else f"--no-{given.name}"
    return f"--{given.name}={quoted(given.value)}"


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
