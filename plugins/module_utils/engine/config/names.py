# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the name that a user wrote to the option: indexes, older names, beginnings of names."""

from __future__ import annotations

import re
import typing as t
from functools import lru_cache

from ..errors import OptionInvalidError
from .schema import Kind, Option
from .table import OPTIONS

KEY_MAX = 256

_INDEXED = re.compile(r"(repo|pg|db)([0-9]+)-(.+)")


class Name(t.NamedTuple):
    """An option, and the index where it has one."""

    option: Option
    key: int | None

    def __str__(self) -> str:
        return self.option.indexed(self.key)


@lru_cache(maxsize=1)
def _aliases() -> dict[str, Option]:
    return {alias: option for option in OPTIONS.values() for alias in option.aliases}


def find(text: str) -> Name | None:
    """The option of that name (an older one included); None when there is none."""
    match = _INDEXED.fullmatch(text)
    if match:
        group, key, rest = match[1], int(match[2]), match[3]
        option = OPTIONS.get(f"{group}-{rest}")
        if option is None or option.group != group:
            option = _aliases().get(f"{group}?-{rest}")
        if option is None or match[2].startswith("0") or key > KEY_MAX:
            return None
        return Name(option, key)
    option = _aliases().get(text)
    if option is not None:
        return Name(option, 1 if option.group else None)
    option = OPTIONS.get(text)
    return Name(option, None) if option is not None and option.group is None else None


def find_beginning(text: str) -> Name | None:
    """As ``find``, for a command line, where the beginning of a name suffices if it is unique.

    Raises OptionInvalidError when several options begin so.
    """
    exact = find(text)
    if exact is not None:
        return exact
    key = None
    prefix = text
    match = re.match(r"(repo|pg)([1-9][0-9]*)-", text)
    if match:
        key = int(match[2])
        prefix = match[1] + text[match.end() - 1 :]
    found = [
        option
        for option in OPTIONS.values()
        if option.name.startswith(prefix) and (option.group is not None) == (key is not None)
    ]
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(sorted(option.indexed(key) for option in found))
        raise OptionInvalidError(
            f"option '--{text}' is the beginning of several options", hint=f"one of {names}"
        )
    return Name(found[0], key)


def suggest(text: str) -> str | None:
    """A hint that names the option that was probably meant."""
    import difflib  # only an error needs it

    match = re.match(r"(repo|pg)([0-9]*)-", text)
    key = min(int(match[2] or 1), KEY_MAX) if match else 1
    names = [option.indexed(key) for option in OPTIONS.values()]
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None


def is_switch(option: Option) -> bool:
    """Whether the option stands alone on a command line, as ``--delta`` and ``--no-delta``."""
    return option.kind is Kind.BOOLEAN or option.name == "backup-standby"
