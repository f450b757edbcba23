# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From command line, environment and files to the options of one command.

The first that sets an option wins: command line, environment, then the sections
``[stanza:command]``, ``[stanza]``, ``[global:command]``, ``[global]`` of the files, then the
default; lists are never merged (repository reference, section 20).

Where pgBackRest warns of an unknown or misplaced option in a file and goes on without it, this is
an error: an option that somebody wrote and that has no effect is worse than a command that says so.
"""

from __future__ import annotations

import typing as t

from ..errors import (
    OptionInvalidError,
    OptionInvalidValueError,
    ParamInvalidError,
)
from . import arguments as command_line
from . import build, file, names
from .commands import COMMANDS
from .options import Options
from .schema import Section
from .settings import Setting, Settings, identity

PREFIX = "PGBACKREST_"


def load(
    command: str,
    arguments: t.Sequence[str],
    environ: t.Mapping[str, str],
    *,
    overrides: t.Mapping[str, command_line.Override] | None = None,
) -> Options:
    """The options of ``command``.

    ``arguments`` are the words of the command line without the command itself, ``overrides`` are
    options by name in the rank of a command line. Raises one of the errors for options (31, 32,
    37), for files (29, 41, 55) or ParamInvalidError; each names the place of what it refuses.
    """
    line = command_line.parse(arguments)
    if line.words and COMMANDS[command].parameters is None:
        raise ParamInvalidError(
            f"command {command} does not allow parameters",
            hint=f"'{line.words[0]}' is neither an option nor expected here.",
        )
    given = dict(line.settings)
    given.update(command_line.from_mapping(overrides or {}))
    for setting in given.values():
        if not setting.name.option.takes(command):
            raise OptionInvalidError(f"option '{setting.name}' not valid for command '{command}'")
    for setting in _environment(environ, command):
        given.setdefault(identity(setting.name), setting)
    for name in ("config", "config-path", "config-include-path"):
        _refuse_bad_path(given.get((name, None)), command)
    stanza = _stanza(given)
    loaded = file.load(given)
    for setting in _from_file(loaded.lines, command, stanza):
        given.setdefault(identity(setting.name), setting)
    return build.options(command, line.words, given, config_file=loaded.path)


def _stanza(given: Settings) -> str | None:
    setting = given.get(("stanza", None))
    if setting is None or not setting.values:
        return None
    name = setting.values[0]
    # The name becomes part of paths, here and in the repository.
    if name.startswith((".", "-")) or "/" in name or not name.isprintable() or name == "global":
        raise OptionInvalidValueError(
            f"'{name}' is not valid for 'stanza' option {setting.where}",
            hint="a stanza is named with letters, digits, '_' and '-'.",
        )
    return name


def _environment(environ: t.Mapping[str, str], command: str) -> t.Iterator[Setting]:
    """The settings of the environment that the command takes."""
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        where = f"in the environment variable {variable}"
        text = variable[len(PREFIX) :].lower().replace("_", "-")
        name = names.find(text)
        if name is None:
            raise OptionInvalidError(f"invalid option '{text}' {where}", hint=names.suggest(text))
        if not name.option.takes(command):
            # What is wrong with an option of other commands must not stop archiving.
            continue
        if not value:
            raise OptionInvalidValueError(
                f"option '{name}' has no value {where}",
                hint="give it a value, or remove the variable.",
            )
        values = tuple(value.split(":")) if name.option.multiple else (value,)
        yield Setting(name, values, "environment", where)


def _from_file(
    lines: t.Sequence[file.Line], command: str, stanza: str | None
) -> t.Iterator[Setting]:
    """The settings of the sections that concern this stanza, best section first."""
    wanted = ["global:" + command, "global"]
    if stanza is not None:
        wanted = [f"{stanza}:{command}", stanza, *wanted]
    found: dict[str, dict[tuple[str, int | None], list[tuple[str, file.Line]]]] = {}
    settings: dict[tuple[str, str, int | None], Setting] = {}
    for line in lines:
        owner, colon, of_command = line.section.partition(":")
        if owner not in ("global", stanza):
            continue
        if colon and of_command not in COMMANDS:
            raise OptionInvalidError(
                f"section [{line.section}] names no command, {line.where}",
                hint="a section is [global], [STANZA], [global:COMMAND] or [STANZA:COMMAND].",
            )
        setting = _line(line, owner, of_command)
        same = found.setdefault(line.section, {}).setdefault(identity(setting.name), [])
        if same and not setting.name.option.multiple:
            raise OptionInvalidError(
                f"option '{setting.name}' is set more than once in section [{line.section}],"
                f" {line.where}",
                hint=f"it is set before {same[0][1].where}.",
            )
        same.append((line.value, line))
        place = (line.section, *identity(setting.name))
        values = tuple(value for value, _line_ in same)
        settings[place] = settings.get(place, setting)._replace(values=values)
    for section in wanted:
        for place, setting in settings.items():
            if place[0] == section and setting.name.option.takes(command):
                yield setting


def _line(line: file.Line, owner: str, of_command: str) -> Setting:
    name = names.find(line.key)
    if name is None:
        raise OptionInvalidError(
            f"invalid option '{line.key}' {line.where}", hint=names.suggest(line.key)
        )
    option = name.option
    if option.section is Section.COMMAND_LINE:
        raise OptionInvalidError(
            f"option '{name}' is only allowed on the command line, not {line.where}",
            hint="remove the line, and give the option with the command.",
        )
    if option.section is Section.STANZA and owner == "global":
        raise OptionInvalidError(
            f"option '{name}' is not allowed in section [{line.section}], {line.where}",
            hint="it belongs to a stanza's section.",
        )
    if of_command and not option.takes(of_command):
        raise OptionInvalidError(
            f"option '{name}' is not valid for command '{of_command}' and not allowed in section"
            f" [{line.section}], {line.where}",
            hint=f"move it to the section [{owner}], or to that of a command that takes it.",
        )
    if not line.value:
        raise OptionInvalidValueError(
            f"option '{name}' has no value {line.where}",
            hint="give it a value, or remove the line.",
        )
    return Setting(name, (line.value,), "file", line.where)


def _refuse_bad_path(setting: Setting | None, command: str) -> None:
    if setting is not None and setting.values:
        build.value(setting, command)
