# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a JSON object that somebody else wrote, each checked for its type and its range."""

from __future__ import annotations

import re
import typing as t

from ..errors import FormatError, JsonFormatError
from ..postgres import wal
from . import label as labels

MOST = 1 << 62
"""No size and no place is as large: two of them still make one that a file can have."""

_NUMBERS = range(-(1 << 63), 1 << 64)
# Whatever the time zone, it is a date: the first second of the year 9999.
_MOMENTS = range(253370764800)
_VERSION = re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{1,2})?")
_ID = re.compile(r"[1-9][0-9]{0,9}")


def history_id(key: str, file: str) -> int:
    """The id of a cluster in the history of an info file; raises FormatError."""
    if not _ID.fullmatch(key):
        raise FormatError(f"invalid history id {key!r} in {file}")
    return int(key)


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
        if not isinstance(value, int) or isinstance(value, bool) or value not in _NUMBERS:
            raise self._type(key, "a number")
        return value

    def optional_integer(self, key: str) -> int | None:
        """A number, or None when it is missing."""
        return self.integer(key) if key in self._values else None

    def natural(self, key: str) -> int:
        """A number that is not negative: an id, a version, a size."""
        value = self.integer(key)
        if value < 0:
            raise self._type(key, "a number of that kind")
        return value

    def optional_natural(self, key: str) -> int | None:
        """The same, or None when it is missing."""
        return self.natural(key) if key in self._values else None

    def moment(self, key: str) -> int:
        """Seconds since 1970; 0 for what has not happened yet."""
        value = self.integer(key)
        if value not in _MOMENTS:
            raise self._type(key, "a time")
        return value

    def text(self, key: str) -> str:
        """A string."""
        value = self._required(key)
        if not isinstance(value, str):
            raise self._type(key, "a string")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string, or None when it is missing or null."""
        return None if self._values.get(key) is None else self.text(key)

    def version(self, key: str) -> str:
        """A version of PostgreSQL, as ``15`` or ``9.6``; it need not be one that is known."""
        value = self.text(key)
        if not _VERSION.fullmatch(value):
            raise self._type(key, "a version")
        return value

    def optional_segment(self, key: str) -> str | None:
        """The name of a WAL segment, or None when it is missing or null."""
        value = self.optional_text(key)
        if value is not None and not wal.is_segment(value):
            raise self._type(key, "a WAL segment")
        return value

    def optional_position(self, key: str) -> str | None:
        """A position in the WAL, or None when it is missing or null."""
        value = self.optional_text(key)
        if value is not None:
            try:
                wal.lsn_parse(value)
            except FormatError:
                raise self._type(key, "a position in the WAL") from None
        return value

    def label(self, key: str) -> str:
        """The name of a backup."""
        return self._label(key, self.text(key))

    def optional_label(self, key: str) -> str | None:
        """The name of a backup, or None when it is missing or null."""
        return None if self._values.get(key) is None else self.label(key)

    def labels(self, key: str) -> tuple[str, ...]:
        """An array of names of backups; empty when it is missing."""
        return tuple(self._label(key, name) for name in self.texts(key))

    def joined_labels(self, key: str) -> tuple[str, ...] | None:
        """The names of backups in a string with commas, or None when it is missing or null."""
        value = self.optional_text(key)
        if value is None:
            return None
        return tuple(self._label(key, name) for name in value.split(","))

    def _label(self, key: str, name: str) -> str:
        if not labels.is_label(name):
            raise self._type(key, "the name of a backup")
        return name

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
