# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose sessions the workers of a backup use.

A login takes longer than sending a small backup does. Where the resident archiver lends sessions a
small one is sent through these; the data of a larger one would keep the archiver from its WAL.
"""

from __future__ import annotations

import enum

from ...storage.open import Opener

# Bytes to copy, before compression, that may go through the archiver.
LENT_SIZE = 32 * 1024 * 1024


class Whose(enum.Enum):
    """Of the command itself, or of the archiver as long as that has some."""

    OWN = "own"
    LENT = "lent"


def whose(size: int) -> Whose:
    """The sessions for so many bytes to copy (pure)."""
    return Whose.LENT if size <= LENT_SIZE else Whose.OWN


def opener_for(opener: Opener, choice: Whose) -> Opener:
    """What opens them."""
    return opener if choice is Whose.LENT else opener.owning()
