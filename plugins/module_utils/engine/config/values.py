# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of one value, read and checked: booleans, sizes, times, paths and the rest.

The units are pgBackRest's: sizes count in powers of 1024 whatever the letters say, times are
seconds when bare (repository reference, section 20). Texts of secrets appear in no message.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import OptionInvalidError, OptionInvalidValueError
from .schema import Kind, Option

_SIZE = re.compile(r"([0-9]+)(?:b|([kmgtp])(?:i?b)?)?", re.IGNORECASE)
_TIME = re.compile(r"([0-9]+)(ms|s|m|h|d|w)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Value = t.Union[bool, int, float, str]


def size(text: str) -> int | None:
    """Bytes of ``20MiB``, ``64kb``, ``512``; None when the text is no size."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    power = "kmgtp".index(match[2].lower()) + 1 if match[2] else 0
    return int(match[1]) << (10 * power)


def seconds(text: str) -> float | None:
    """Seconds of ``500ms``, ``30``, ``31m``; None when the text is no time."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    return float(int(match[1]) * _SECONDS[match[2] or "s"])


def parse(option: Option, text: str, command: str, *, name: str, where: str) -> Value:
    """Read one value of an option that is not a list or a hash.

    ``name`` is the option as the user wrote it, ``where`` says in words where that was. Raises
    OptionInvalidValueError.
    """
    shown = "the value" if option.secret else f"'{text}'"

    def refuse(reason: str, hint: str | None = None) -> OptionInvalidValueError:
        return OptionInvalidValueError(f"{shown} {reason} for '{name}' option {where}", hint=hint)

    if not text:
        raise OptionInvalidValueError(
            f"option '{name}' has no value {where}", hint="give it a value, or leave it out."
        )
    if option.kind is Kind.BOOLEAN:
        if text not in ("y", "n"):
            raise refuse("is not valid", "a boolean is 'y' or 'n'.")
        return text == "y"
    if option.kind is Kind.CHOICE:
        allowed = option.choices_for(command)
        if text in option.foreign_choices:
            raise refuse("is not supported yet", _allowed(allowed))
        if text not in allowed:
            raise refuse("is not allowed", _allowed(allowed))
        return text
    if option.kind is Kind.PATH:
        return _path(text, refuse)
    if option.kind in (Kind.INTEGER, Kind.SIZE, Kind.TIME):
        value = _number(option.kind, text)
        if value is None:
            raise refuse("is not valid", _UNITS[option.kind])
        check_range(value, option, text, name=name, where=where)
        if option.choices and value not in [_number(option.kind, word) for word in option.choices]:
            raise refuse("is not allowed", _allowed(option.choices))
        return value
    return text


def pair(option: Option, text: str, *, name: str, where: str) -> tuple[str, str]:
    """Split ``key=value``; raises OptionInvalidError when there is no key or no ``=``."""
    key, equal, value = text.partition("=")
    if not equal or not key:
        raise OptionInvalidError(
            f"key/value '{text}' is not valid for '{name}' option {where}",
            hint="write it as key=value.",
        )
    return key, value


def check_range(value: float, option: Option, text: str, *, name: str, where: str) -> None:
    """Raise OptionInvalidValueError when a number is outside the option's range."""
    low = None if option.low is None else _number(option.kind, option.low)
    high = None if option.high is None else _number(option.kind, option.high)
    if (low is not None and value < low) or (high is not None and value > high):
        raise OptionInvalidValueError(
            f"'{text}' is out of range for '{name}' option {where}",
            hint=f"the range is {option.low} to {option.high}.",
        )


_UNITS = {
    Kind.INTEGER: "an integer is expected.",
    Kind.SIZE: "a size is a number with a unit, such as 512KiB, 20MiB or 1GiB.",
    Kind.TIME: "a time is a number with a unit, such as 500ms, 30s, 5m, 1h or 2d.",
}


def _number(kind: Kind, text: str) -> float | int | None:
    if kind is Kind.SIZE:
        return size(text)
    if kind is Kind.TIME:
        return seconds(text)
    return int(text) if _INTEGER.fullmatch(text) else None


def _path(text: str, refuse: t.Callable[..., OptionInvalidValueError]) -> str:
    if not text.startswith("/"):
        raise refuse("must begin with /")
    if "//" in text:
        raise refuse("cannot contain //")
    return text.rstrip("/") or "/"


def _allowed(words: t.Sequence[str]) -> str:
    return "allowed values are " + ", ".join(f"'{word}'" for word in words)
