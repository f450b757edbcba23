# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to know about one option and one command: the columns of the tables."""

from __future__ import annotations

import enum
import typing as t


def words(text: str) -> frozenset[str]:
    """The words of a text, for sets of command names."""
    return frozenset(text.split())


class Kind(enum.Enum):
    """How the text of an option is read."""

    BOOLEAN = "boolean"  # y or n
    STRING = "string"
    CHOICE = "choice"  # one of a few words
    PATH = "path"  # absolute
    INTEGER = "integer"
    SIZE = "size"  # bytes, with a unit
    TIME = "time"  # seconds, with a unit
    LIST = "list"  # may be given repeatedly
    HASH = "hash"  # key=value, may be given repeatedly


class Section(enum.Enum):
    """The parts of a configuration file in which an option may stand."""

    COMMAND_LINE = "command line"  # in none
    STANZA = "stanza"
    GLOBAL = "global"  # and in those of a stanza


class Support(enum.Enum):
    """What the engine does with an option of pgBackRest."""

    HONOURED = "honoured"
    NO_EFFECT = "no effect"  # accepted with a warning: it steers what this engine does not have
    OTHERWISE = "done otherwise"  # accepted: what it is there for, the engine does in its own way
    NOT_YET = "not supported yet"  # refused, unless it says what the engine does anyway


class Condition(t.NamedTuple):
    """An option counts only where another one has one of these values (no values: any)."""

    option: str
    values: tuple[str, ...] = ()


class Option(t.NamedTuple):
    """One option. Texts are as a user writes them; ``None`` means there is none.

    The option ``repo-path`` of the group ``repo`` is written ``repo1-path``, ``repo2-path`` ...
    """

    name: str
    kind: Kind
    help: str
    default: str | None = None
    commands: frozenset[str] = frozenset()  # empty: all
    section: Section = Section.GLOBAL
    group: str | None = None  # 'repo' or 'pg'
    choices: tuple[str, ...] = ()
    foreign_choices: tuple[str, ...] = ()  # pgBackRest knows them, the engine does not yet
    low: str | None = None  # the range, both ends included
    high: str | None = None
    condition: Condition | None = None
    unmet: str | None = None  # the value where the condition is not met; None: no value
    required: frozenset[str] = frozenset()  # the commands that cannot do without
    per_command: t.Mapping[str, str] = {}  # defaults of single commands
    per_command_choices: t.Mapping[str, tuple[str, ...]] = {}
    secret: bool = False
    support: Support = Support.HONOURED
    field: str = ""  # attribute of the typed options; empty: the name with _ for -
    aliases: tuple[str, ...] = ()  # older names, '?' stands for the index
    internal: bool = False  # not shown in the help

    def takes(self, command: str) -> bool:
        """Whether the option may be given to that command."""
        return not self.commands or command in self.commands

    def default_for(self, command: str) -> str | None:
        """The default's text for that command."""
        return self.per_command.get(command, self.default)

    def choices_for(self, command: str) -> tuple[str, ...]:
        """The words allowed for that command."""
        return self.per_command_choices.get(command, self.choices)

    def indexed(self, key: int | None) -> str:
        """The name as written in a file: ``repo-path`` with key 2 is ``repo2-path``."""
        if self.group is None or key is None:
            return self.name
        return f"{self.group}{key}{self.name[len(self.group) :]}"

    @property
    def multiple(self) -> bool:
        """Whether several values may be given."""
        return self.kind in (Kind.LIST, Kind.HASH)


class Command(t.NamedTuple):
    """One command of the host command."""

    name: str
    help: str
    parameters: str | None = None  # how the help writes them; None: takes none
    log_file: bool = False  # writes a log file of its own
    quiet: bool = False  # begin and end are logged at debug, since the output is the result
    root: bool = False  # may be run as root
    internal: bool = False
