# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block sizes by file size and age."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import RepoOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.block_size import (
    DAY,
    KIB,
    MIB,
    Rules,
    block_for,
    continues,
    super_size,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import Block


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, None),
        (16 * KIB - 1, None),
        (16 * KIB, Block(8 * KIB)),
        (11 * MIB - 1, Block(8 * KIB)),
        (11 * MIB, Block(16 * KIB)),
        (96 * MIB, Block(32 * KIB, 7)),
        (1024 * MIB, Block(88 * KIB, 7)),
    ],
)
def test_by_size(size: int, expected: Block | None) -> None:
    assert block_for(size, 0, None) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (-5, Block(8 * KIB)),
        (7 * DAY - 1, Block(8 * KIB)),
        (7 * DAY, Block(16 * KIB)),
        (14 * DAY, Block(32 * KIB, 7)),
        (28 * DAY, None),
    ],
)
def test_by_age(age: int, expected: Block | None) -> None:
    assert block_for(MIB, age, None) == expected


def test_the_largest_block() -> None:
    assert block_for(1024 * MIB, 20 * DAY, None) == Block(352 * KIB, 8)


def test_no_block_is_larger_than_a_reader_takes() -> None:
    rules = Rules(sizes=((MIB, 100 * MIB),))
    assert block_for(1024 * MIB, 20 * DAY, None, rules) == Block(128 * MIB, 12)


def test_a_chain_keeps_the_size_of_its_blocks() -> None:
    prior = Block(32 * KIB, 7, 300)
    assert block_for(500 * MIB, 0, prior) == Block(32 * KIB, 7, 0)
    assert block_for(32 * KIB, 0, prior) == Block(32 * KIB, 7, 0)
    assert continues(32 * KIB, prior)


def test_a_file_that_does_not_fill_one_block_starts_over() -> None:
    prior = Block(32 * KIB, 7, 300)
    assert block_for(32 * KIB - 1, 0, prior) == Block(8 * KIB)
    assert not continues(32 * KIB - 1, prior)
    assert not continues(MIB, None)
    assert not continues(MIB, Block(8 * KIB))


def test_a_super_block_holds_whole_blocks() -> None:
    assert super_size(8 * KIB, full=True) == MIB
    assert super_size(8 * KIB, full=False) == 256 * KIB
    assert super_size(24 * KIB, full=False) == 264 * KIB
    assert super_size(88 * KIB, full=True) == 12 * 88 * KIB
    assert super_size(352 * KIB, full=False) == 352 * KIB


def test_a_repository_may_have_tables_of_its_own() -> None:
    repo = RepoOptions(
        block_size_map=((64 * MIB, 64 * KIB), (MIB, 16 * KIB)),
        block_age_map=((3, 0), (1, 8)),
        block_checksum_size_map=((16 * KIB, 12),),
        block_size_super=32 * KIB,
        block_size_super_full=4 * MIB,
    )
    rules = Rules.of(repo)
    assert block_for(MIB - 1, 0, None, rules) is None
    assert block_for(MIB, 0, None, rules) == Block(16 * KIB, 12)
    assert block_for(64 * MIB, 2 * DAY, None, rules) == Block(512 * KIB, 12)
    assert block_for(64 * MIB, 3 * DAY, None, rules) is None
    assert super_size(24 * KIB, full=False, rules=rules) == 48 * KIB
    assert super_size(16 * KIB, full=True, rules=rules) == 4 * MIB
    # Blocks for which the table has no row get the least checksum.
    assert block_for(MIB, 0, None, rules._replace(checksums=((MIB, 9), (0, 6)))) == Block(
        16 * KIB, 6
    )


def test_without_options_the_tables_are_the_usual_ones() -> None:
    assert Rules.of(RepoOptions()) == Rules()
