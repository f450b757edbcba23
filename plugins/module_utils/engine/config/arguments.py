# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: command, parameters and options, in pgBackRest's syntax.

``--option=value``, ``--option value``, ``--switch``, ``--switch=y``, ``--no-switch``,
``--reset-option``; the command anywhere among them (repository reference, section 20).
"""

from __future__ import annotations

import typing as t

from ..errors import CommandInvalidError, OptionInvalidError, OptionInvalidValueError
from . import names
from .commands import COMMANDS
from .names import Name
from .settings import Setting, Settings, identity

WHERE = "on the command line"

Override = t.Union[str, bool, int, t.Sequence[str], t.Mapping[str, str]]


class Arguments(t.NamedTuple):
    """A command line taken apart."""

    words: tuple[str, ...]  # what is no option: the command and its parameters
    settings: Settings


def parse(arguments: t.Sequence[str]) -> Arguments:
    """Take a command line apart; no value is read yet.

    Raises OptionInvalidError for an unknown or repeated option or a missing value, and for a
    secret.
    """
    words: list[str] = []
    found: dict[tuple[str, int | None], list[Setting]] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            words += rest
            break
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        if not argument.startswith("--"):
            raise OptionInvalidError(
                f"option '{argument}' must begin with --",
                hint="all options are written in full, as in --stanza=demo.",
            )
        setting = _option(argument[2:], rest)
        found.setdefault(identity(setting.name), []).append(setting)
    return Arguments(tuple(words), {key: _together(same) for key, same in found.items()})


def command_of(words: t.Sequence[str]) -> str | None:
    """The command among the words; None when there is none.

    Raises CommandInvalidError when it is unknown.
    """
    if not words:
        return None
    if words[0] not in COMMANDS:
        raise CommandInvalidError(
            f"invalid command '{words[0]}'", hint="the command help lists all commands."
        )
    return words[0]


def from_mapping(overrides: t.Mapping[str, Override]) -> Settings:
    """Options by name, as a module is given them, in the rank of a command line."""
    settings: Settings = {}
    for text, value in overrides.items():
        name = _known(text, text)
        if isinstance(value, bool):
            values: tuple[str, ...] = ("y" if value else "n",)
        elif isinstance(value, t.Mapping):
            values = tuple(f"{key}={entry}" for key, entry in value.items())
        elif isinstance(value, (list, tuple)):
            values = tuple(str(entry) for entry in value)
        else:
            values = (str(value),)
        if len(values) != 1 and not name.option.multiple:
            raise OptionInvalidError(f"option '{name}' takes one value", hint="give one value.")
        settings[identity(name)] = Setting(name, values, "argument", "in the options given")
    return settings


def _option(text: str, rest: list[str]) -> Setting:
    text, equal, value = text.partition("=")
    name = names.find_beginning(text)
    negated = reset = False
    if name is None and text.startswith("no-"):
        name, negated = names.find_beginning(text[3:]), True
        if name is not None and not names.is_switch(name.option) and name.option.name != "config":
            raise OptionInvalidError(
                f"option '{name}' cannot be negated", hint="set another value instead."
            )
    elif name is None and text.startswith("reset-"):
        name, reset = names.find_beginning(text[6:]), True
    if name is None:
        name = _known(text, f"--{text}")
    if name.option.secret and not reset:
        raise OptionInvalidError(
            f"option '{name}' is not allowed on the command line",
            hint="a command line is visible to others, a configuration file need not be.",
        )
    if negated or reset:
        if equal:
            raise OptionInvalidError(
                f"option '--{text}' does not allow an argument",
                hint="leave out the equals sign and what follows.",
            )
        values = ("n",) if negated and name.option.name != "config" else ()
        return Setting(name, values, "argument", WHERE, negated=negated, reset=reset)
    if not equal:
        if names.is_switch(name.option):
            value = "y"
        elif rest and not rest[0].startswith("--"):
            value = rest.pop(0)
        else:
            raise OptionInvalidError(
                f"option '--{name}' requires an argument", hint=f"write --{name}=VALUE."
            )
    if not value:
        raise OptionInvalidValueError(
            f"option '{name}' has no value {WHERE}", hint="give it a value, or leave it out."
        )
    return Setting(name, (value,), "argument", WHERE)


def _known(text: str, shown: str) -> Name:
    name = names.find(text)
    if name is None:
        raise OptionInvalidError(f"invalid option '{shown}'", hint=names.suggest(text))
    return name


def _together(same: list[Setting]) -> Setting:
    first = same[0]
    if len(same) == 1:
        return first
    taken_back = [setting for setting in same if setting.negated or setting.reset]
    if taken_back or not first.name.option.multiple:
        raise OptionInvalidError(
            f"option '{first.name}' is set more than once {WHERE}", hint="give it once."
        )
    return first._replace(values=tuple(setting.values[0] for setting in same))
