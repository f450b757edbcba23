# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are stored block by block, and in blocks of what size (repository reference, 13.1).

Pure. Larger files get larger blocks, and so do older ones, which change less. A file keeps its
block size as long as backups build on each other.
"""

from __future__ import annotations

import typing as t

from ..config.options import RepoOptions
from .contents import BLOCK_SIZE_MOST, Block

KIB = 1024
MIB = 1024 * KIB
DAY = 24 * 60 * 60

CHECKSUM_MIN = 6

# Smallest file size of a row, and its block size; bytes.
_SIZES = (
    (914 * MIB, 88 * KIB),
    (740 * MIB, 80 * KIB),
    (585 * MIB, 72 * KIB),
    (448 * MIB, 64 * KIB),
    (329 * MIB, 56 * KIB),
    (228 * MIB, 48 * KIB),
    (146 * MIB, 40 * KIB),
    (96 * MIB, 32 * KIB),
    (43 * MIB, 24 * KIB),
    (11 * MIB, 16 * KIB),
    (16 * KIB, 8 * KIB),
)

# Smallest age of a row in seconds, and its multiplier; 0 stores the file whole.
_AGES = ((28 * DAY, 0), (14 * DAY, 4), (7 * DAY, 2))

# Smallest block size of a row, and the bytes of each checksum in the map.
_CHECKSUMS = (
    (4 * MIB, 12),
    (2 * MIB, 11),
    (1 * MIB, 10),
    (512 * KIB, 9),
    (128 * KIB, 8),
    (32 * KIB, 7),
    (0, CHECKSUM_MIN),
)

# How much content a super block has at least, in a full backup and in those that build on it.
SUPER_FULL = MIB
SUPER = 256 * KIB


Table = tuple[tuple[int, int], ...]


class Rules(t.NamedTuple):
    """The tables by which files are divided; rows by descending first column.

    The options of a repository replace whole tables. Whoever reads a backup needs none of them: the
    manifest says what was done.
    """

    sizes: Table = _SIZES
    ages: Table = _AGES
    checksums: Table = _CHECKSUMS
    super_size: int = SUPER
    super_size_full: int = SUPER_FULL

    @classmethod
    def of(cls, repo: RepoOptions) -> Rules:
        """Those of a repository."""
        return cls(
            repo.block_size_map or _SIZES,
            tuple((days * DAY, factor) for days, factor in repo.block_age_map)
            if repo.block_age_map
            else _AGES,
            # Without a row for small blocks the least checksum of the format does.
            (*repo.block_checksum_size_map, (0, CHECKSUM_MIN))
            if repo.block_checksum_size_map
            else _CHECKSUMS,
            repo.block_size_super,
            repo.block_size_super_full,
        )


DEFAULT = Rules()


def block_for(size: int, age: int, prior: Block | None, rules: Rules = DEFAULT) -> Block | None:
    """How to store a file of ``size`` bytes that changed ``age`` seconds before the backup.

    ``prior`` is how the backup before stores it: its blocks remain, unless not even one of them
    would be filled. None stores the file whole.
    """
    multiplier = next((factor for least, factor in rules.ages if age >= least), 1)
    block_size = multiplier * next((block for least, block in rules.sizes if size >= least), 0)
    block_size = min(block_size, BLOCK_SIZE_MOST)
    if not block_size:
        return None
    if continues(size, prior) and prior is not None:
        return prior._replace(map_size=0)
    width = next(width for least, width in rules.checksums if block_size >= least)
    return Block(block_size, width)


def continues(size: int, prior: Block | None) -> bool:
    """Whether a file of ``size`` bytes is compared with the block map of the backup before."""
    return prior is not None and prior.map_size > 0 and size >= prior.size


def super_size(block_size: int, *, full: bool, rules: Rules = DEFAULT) -> int:
    """How much content fills a super block: whole blocks."""
    least = rules.super_size_full if full else rules.super_size
    return -(-least // block_size) * block_size
