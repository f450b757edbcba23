# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An option as it was set somewhere, before its text is read."""

from __future__ import annotations

import typing as t

from .names import Name


class Setting(t.NamedTuple):
    """One option in one place.

    ``values`` holds one text, or several where the option may be repeated. An option is also set by
    being taken back: ``negated`` (``--no-config``) has no value at all, and ``reset``
    (``--reset-repo1-path``) goes back to the default whatever a file says.
    """

    name: Name
    values: tuple[str, ...]
    source: str  # 'argument', 'environment' or 'file'
    where: str  # for messages: 'on the command line', 'in /etc/pgbackrest.conf, line 7'
    negated: bool = False
    reset: bool = False


Settings = dict[tuple[str, t.Optional[int]], Setting]


def identity(name: Name) -> tuple[str, int | None]:
    """The key of an option in a dictionary of settings."""
    return (name.option.name, name.key)
