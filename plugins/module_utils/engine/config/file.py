# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file: which files are read, and their lines.

Sections, ``key=value``, comments on lines of their own; no quoting (repository reference,
section 20). Every line keeps its place, so that an error can name it.
"""

from __future__ import annotations

import os
import typing as t

from ..errors import FileMissingError, FileOpenError, FormatError, PathMissingError
from .settings import Setting, Settings
from .table import OPTIONS

# Where pgBackRest looked before it had a directory of its own; still read when the other is
# missing.
OLD_FILE = "/etc/pgbackrest.conf"

# In that directory.
_NAME = "pgbackrest.conf"
_INCLUDED = "conf.d"


class Line(t.NamedTuple):
    """One ``key=value``."""

    section: str
    key: str
    value: str
    path: str
    number: int

    @property
    def where(self) -> str:
        """The place, for a message."""
        return f"in {self.path}, line {self.number}"


class Loaded(t.NamedTuple):
    """What was read."""

    path: str | None  # the main file; None when there is none
    lines: tuple[Line, ...]


def load(given: Settings) -> Loaded:
    """Read the files that the options on the command line or in the environment choose.

    Raises FileMissingError or PathMissingError for one that was named and is not there,
    FileOpenError for one that cannot be read and FormatError for one that cannot be understood.
    """
    config = given.get(("config", None))
    include = given.get(("config-include-path", None))
    base = given.get(("config-path", None))
    path = _main(config, base)
    lines: list[Line] = []
    if path is not None:
        lines += parse(_read(path), path)
    if include is not None and include.values:
        directory = include.values[0]
        if not os.path.isdir(directory):
            raise PathMissingError(
                f"unable to list missing path '{directory}'", hint="is config-include-path right?"
            )
        lines += _directory(directory)
    elif config is None:
        lines += _directory(os.path.join(_base(base), _INCLUDED))
    return Loaded(path, tuple(lines))


def parse(text: str, path: str) -> t.Iterator[Line]:
    """The lines of one file that hold a value."""
    section = None
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        where = f"in {path}, line {number}"
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            if not section:
                raise FormatError(
                    f"section without a name {where}",
                    hint="write [global], or the name of a stanza.",
                )
            continue
        # The line itself is never quoted: it may hold a secret.
        key, equal, value = line.partition("=")
        if not equal:
            raise FormatError(
                f"missing '=' in key/value {where}",
                hint="a line is a [section], KEY=VALUE or a # comment.",
            )
        if not key.strip():
            raise FormatError(
                f"option without a name {where}",
                hint="a line is a [section], KEY=VALUE or a # comment.",
            )
        if section is None:
            raise FormatError(
                f"option outside of a section {where}",
                hint="put a line such as [global] or [demo] above it.",
            )
        yield Line(section, key.strip(), value.strip(), path, number)


def default() -> str | None:
    """The file that is read where none is named; None where there is none."""
    return _main(None, None)


def places(config: str | None, base: str | None, include: str | None) -> list[str]:
    """The files that ``load`` reads where the options have these values (None: not set), and those
    that it would prefer if they were there. An empty ``config`` stands for ``--no-config``.
    """
    directory = base or OPTIONS["config-path"].default or ""
    files = [os.path.join(directory, _NAME), *([OLD_FILE] if base is None else [])]
    if config is not None:
        files = [config] if config else []
    more = include or os.path.join(directory, _INCLUDED)
    try:
        return files + [os.path.join(more, name) for name in _names(more)]
    except OSError:
        return files


def _main(config: Setting | None, base: Setting | None) -> str | None:
    if config is not None and not config.reset:
        if config.negated:
            return None
        return config.values[0]
    default = os.path.join(_base(base), _NAME)
    if os.path.lexists(default):
        return default
    return OLD_FILE if base is None and os.path.lexists(OLD_FILE) else None


def _base(base: Setting | None) -> str:
    if base is not None and base.values:
        return base.values[0]
    return OPTIONS["config-path"].default or ""


def _names(path: str) -> list[str]:
    return sorted(name for name in os.listdir(path) if name.endswith(".conf"))


def _directory(path: str) -> list[Line]:
    try:
        found = _names(path)
    except FileNotFoundError:
        return []
    except OSError as cause:
        raise FileOpenError(
            f"unable to list '{path}': {cause.strerror}",
            hint="the directory should belong to the group of the cluster's owner, with mode 0750.",
        ) from cause
    lines: list[Line] = []
    for name in found:
        full = os.path.join(path, name)
        lines += parse(_read(full), full)
    return lines


def _read(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError as cause:
        raise FileMissingError(
            f"unable to open missing file '{path}' for read",
            hint="is the option config right? the role pgsftp writes the file.",
        ) from cause
    except OSError as cause:
        hint = "is the option config right?"
        if isinstance(cause, PermissionError):
            hint = "the file should belong to the group of the cluster's owner, with mode 0640."
        raise FileOpenError(
            f"unable to open file '{path}' for read: {cause.strerror}", hint=hint
        ) from cause
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as cause:
        number = data.count(b"\n", 0, cause.start) + 1
        raise FormatError(
            f"text is not UTF-8 in {path}, line {number}", hint="save the file as UTF-8."
        ) from cause
