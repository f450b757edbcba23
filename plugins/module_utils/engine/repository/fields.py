# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a JSON object that somebody else wrote, each checked for its type."""

from __future__ import annotations

import typing as t

from ..errors import JsonFormatError


class Fields:
    """Typed access to one object; raises JsonFormatError that names the object and the key."""

    def __init__(self, what: str, values: object) -> None:
        if not isinstance(values, dict):
            raise JsonFormatError(f"{what}: expected an object")
        self._what = what
        self._values: t.Mapping[str, object] = values

    def integer(self, key: str) -> int:
        """A number."""
        value = self._required(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._type(key, "a number")
        return value

    def optional_integer(self, key: str) -> int | None:
        """A number, or None when it is missing."""
        return self.integer(key) if key in self._values else None

    def text(self, key: str) -> str:
        """A string."""
        value = self._required(key)
        if not isinstance(value, str):
            raise self._type(key, "a string")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string, or None when it is missing or null."""
        return None if self._values.get(key) is None else self.text(key)

    def flag(self, key: str) -> bool:
        """A boolean."""
        value = self._required(key)
        if not isinstance(value, bool):
            raise self._type(key, "a boolean")
        return value

    def optional_flag(self, key: str) -> bool | None:
        """A boolean, or None when it is missing."""
        return self.flag(key) if key in self._values else None

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings; empty when it is missing."""
        value = self._values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._type(key, "an array of strings")
        return tuple(value)

    def text_map(self, key: str) -> dict[str, str]:
        """An object of strings; empty when it is missing."""
        value = self._values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise self._type(key, "an object of strings")
        return dict(value)

    def _required(self, key: str) -> object:
        try:
            return self._values[key]
        except KeyError:
            raise JsonFormatError(f"{self._what}: required key '{key}' not found") from None

    def _type(self, key: str, expected: str) -> JsonFormatError:
        return JsonFormatError(f"{self._what}: '{key}' is not {expected}")
