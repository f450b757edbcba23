# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the README that people are told to type."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def shell_lines() -> list[str]:
    """Every line of every ``sh`` block, without comments."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^ *```sh\n(.*?)^ *```$", text)
    lines = (line.partition(" #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]
