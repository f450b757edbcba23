# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of the tests against stock pgBackRest is whole, and its fast slice is a fair one."""

from __future__ import annotations

import itertools

from ansible_collections.pgsftp.backup.tests.support import matrix


def test_the_matrix_has_every_combination_once():
    assert len(matrix.MATRIX) == len(set(matrix.MATRIX)) == 2 * 5 * 3 * 2


def test_the_fast_slice_has_any_two_values_together():
    columns = (matrix.FIRST, matrix.COMPRESS, matrix.LAYOUTS, matrix.CIPHERS)
    for (i, some), (j, others) in itertools.combinations(enumerate(columns), 2):
        missing = set(itertools.product(some, others)) - {(row[i], row[j]) for row in matrix.FAST}
        assert not missing
    assert len(matrix.FAST) == len(matrix.COMPRESS) * len(matrix.LAYOUTS)


def test_so_have_the_layouts_that_every_peer_knows():
    columns = (matrix.FIRST, matrix.COMPRESS, ("files", "bundles"), matrix.CIPHERS)
    rows = [row for row in matrix.FAST if row.layout != "block"]
    for (i, some), (j, others) in itertools.combinations(enumerate(columns), 2):
        assert {(row[i], row[j]) for row in rows} == set(itertools.product(some, others))
