# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory to scan, and two nodes."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.tests.support.tree import Tree
from ansible_collections.pgsftp.backup.tests.support.two_nodes import far, host

# Fixtures for the tests of this directory.
__all__ = ["far", "host", "tree"]


@pytest.fixture
def tree(tmp_path):
    """A data directory in the making."""
    return Tree(tmp_path)
