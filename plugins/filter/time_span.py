# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``time_span``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: time_span
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: The seconds of a time span of systemd
description:
  - Reads what C(systemd.time(7\)) calls a time span, which may not be V(infinity).
  - Fails where systemd would not understand it.
options:
  _input:
    description: The time span, such as V(5min) or V(1h 30min). A number alone has seconds.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Wait for as long as a timer may
  ansible.builtin.wait_for:
    timeout: "{{ '1h 30min' | pgsftp.backup.time_span }}"
"""

RETURN = r"""
_value:
  description: The seconds, of which a part counts as one.
  type: int
"""

import math
import re
import typing as t
from fractions import Fraction

from ansible.errors import AnsibleFilterError

# systemd.time(7); a month is 30.44 days there, and a year 365.25. Both letters that look like mu.
_UNITS: tuple[tuple[str, int | Fraction], ...] = (
    ("us usec \u00b5s \u03bcs", Fraction(1, 1000000)),
    ("ms msec", Fraction(1, 1000)),
    ("s sec second seconds", 1),
    ("m min minute minutes", 60),
    ("h hr hour hours", 3600),
    ("d day days", 86400),
    ("w week weeks", 7 * 86400),
    ("M month months", 2629800),
    ("y year years", 31557600),
)
_SECONDS = {"": 1, **{name: seconds for names, seconds in _UNITS for name in names.split()}}

_PART = re.compile(r"\s*\+?([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![0-9.])\s*([^\W\d_]*)\s*")


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., int]]:
        """The filters by name."""
        return {"time_span": time_span}


def time_span(value: str | int) -> int:
    """The seconds, rounded up; AnsibleFilterError for what is no time span."""
    text, place, seconds = str(value), 0, Fraction()
    while place < len(text) or not text:
        part = _PART.match(text, place)
        if part is None or part[2] not in _SECONDS:
            raise AnsibleFilterError(
                f"'{text}' is no time span of systemd. HINT: 30s, 5min and 1h 30min are some,"
                " see systemd.time(7)."
            )
        seconds += Fraction(part[1]) * _SECONDS[part[2]]
        place = part.end()
    return math.ceil(seconds)
