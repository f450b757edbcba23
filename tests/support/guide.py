# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the guides below docs/, and what the guides say that one should see.

A block of commands begins with ```` ```sh WHERE ````, and WHERE is one of

- ``pg1-srv``, ``pg2-srv``, ``sftp-srv``: typed on that host as root; ``pg1-srv postgres`` as that
  user;
- ``control``: typed on the control machine in the checkout, with ``inventories/mine``;
- ``awx``: typed on the control machine, against a stand-in of AWX;
- ``readme``: a line of the README, whose tests run it.

A ```` ```text ```` block right after it is what one should see: its lines appear in the output, in
their order. ``...`` in a line stands for anything.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
HOSTS = ("pg1-srv", "pg2-srv", "sftp-srv")
# What people follow. The other pages below docs/ tell what was measured.
GUIDES = (
    *("awx", "concepts", "operation", "pgbackrest", "quick-start", "restore", "troubleshooting"),
)

_BLOCK = re.compile(r"(?ms)^ *```(?P<head>[^\n]*)\n(?P<body>.*?)^ *```$(?P<after>\n*)")


class Step(t.NamedTuple):
    """A block of commands."""

    guide: str
    line: int
    where: str
    user: str
    script: str
    expected: tuple[str, ...]

    @property
    def name(self) -> str:
        """For reports: guide and line."""
        return f"{self.guide}:{self.line}"


def steps(guide: str) -> list[Step]:
    """The blocks of commands in the order of the page."""
    text = (TOP / "docs" / f"{guide}.md").read_text(encoding="utf-8")
    found: list[Step] = []
    end = -1
    for match in _BLOCK.finditer(text):
        words = match["head"].split()
        line = text.count("\n", 0, match.start()) + 1
        if words[:1] == ["sh"]:
            where = words[1] if len(words) > 1 else ""
            user = words[2] if len(words) > 2 else "root"
            found.append(Step(guide, line, where, user, match["body"], ()))
            end = match.end()
        elif words == ["text"] and found and not text[end : match.start()].strip():
            lines = tuple(row.strip() for row in match["body"].splitlines() if row.strip())
            found[-1] = found[-1]._replace(expected=lines)
    return found


def unseen(expected: t.Iterable[str], output: str) -> str | None:
    """The first expected line that the output does not have after the lines before it."""
    position = 0
    for row in expected:
        pattern = r"[^\n]*".join(re.escape(part) for part in row.split("..."))
        match = re.compile(pattern).search(output, position)
        if match is None:
            return row
        position = match.end()
    return None
