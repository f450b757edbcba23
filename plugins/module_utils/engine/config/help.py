# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the command ``help``, made from the tables."""

from __future__ import annotations

import typing as t

from ..errors import CommandInvalidError, OptionInvalidError
from ..version import VERSION
from . import names
from .commands import COMMANDS
from .schema import Kind, Option, Section, Support
from .table import OPTIONS

NAME = "pgsftp"


def text(words: t.Sequence[str] = (), *, commands: t.Container[str] = COMMANDS) -> str:
    """Help in general, for a command, or for an option of a command.

    ``commands`` are those that the engine has. Raises CommandInvalidError or OptionInvalidError for
    one that does not exist.
    """
    if not words:
        return _general(commands)
    command = words[0]
    if command not in COMMANDS:
        raise CommandInvalidError(
            f"invalid command '{command}'", hint="the command help lists all commands."
        )
    if len(words) == 1:
        return _command(command)
    return _option(command, words[1])


def _general(commands: t.Container[str]) -> str:
    rows = [
        (row.name, row.help)
        for row in COMMANDS.values()
        if row.name in commands and not row.internal
    ]
    return (
        f"{NAME} {VERSION} - General help\n\n"
        f"Usage:\n    {NAME} [options] [command]\n\n"
        f"Commands:\n{_table(rows)}\n"
        f'Use "{NAME} help [command]" for more information.\n'
    )


def _command(command: str) -> str:
    row = COMMANDS[command]
    usage = f"{NAME} [options] {command}" + (f" {row.parameters}" if row.parameters else "")
    shown = [option for option in OPTIONS.values() if option.takes(command) and not option.internal]
    rows = [(_name(option), _line(option, command)) for option in shown]
    return (
        f"{NAME} {VERSION} - '{command}' command help\n\n"
        f"{row.help}\n\n"
        f"Usage:\n    {usage}\n\n"
        f"Options:\n{_table(rows)}\n"
        f'Use "{NAME} help {command} [option]" for more information.\n'
    )


def _option(command: str, word: str) -> str:
    found = names.find(word.lstrip("-"))
    option = found.option if found is not None else OPTIONS.get(word.lstrip("-"))
    if option is None:
        raise OptionInvalidError(f"invalid option '{word}'", hint=names.suggest(word))
    if not option.takes(command):
        raise OptionInvalidError(f"option '{option.name}' not valid for command '{command}'")
    facts = [("type", option.kind.value)]
    if option.choices_for(command):
        facts.append(("allowed", ", ".join(option.choices_for(command))))
    if option.low is not None:
        facts.append(("range", f"{option.low} to {option.high}"))
    default = option.default_for(command)
    if default is not None:
        facts.append(("default", default))
    if option.condition is not None:
        values = " or ".join(option.condition.values)
        facts.append(("only with", option.condition.option + (f" = {values}" if values else "")))
    if option.section is Section.COMMAND_LINE:
        facts.append(("where", "command line or environment"))
    elif option.secret:
        facts.append(("where", "configuration file or environment, never the command line"))
    else:
        places = "any section" if option.section is Section.GLOBAL else "a stanza's section"
        facts.append(("where", f"command line, environment, {places}"))
    return (
        f"{NAME} {VERSION} - '{command}' command - '{option.name}' option help\n\n"
        f"{_line(option, command, with_default=False)}\n\n{_table(facts)}"
    )


def _name(option: Option) -> str:
    if option.kind is Kind.BOOLEAN:
        return f"--[no-]{option.name}"
    return f"--{option.name}"


def _line(option: Option, command: str, *, with_default: bool = True) -> str:
    if option.support is Support.NOT_YET:
        return f"Refused: {option.help}"
    if option.support is Support.OTHERWISE:
        return f"Accepted: {option.help}"
    line = option.help
    if option.support is Support.NO_EFFECT:
        line = f"{line} Accepted, without effect.".strip()
    default = option.default_for(command)
    return f"{line} [default={default}]" if with_default and default is not None else line


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _dummy in rows)
    return "".join(f"    {name:{width}}  {line}\n" for name, line in rows)
