# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the repository share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.fixtures import (
    FixtureRepository,
    fixture_repositories,
    fixture_repository,
)

# Fixtures for the tests of this directory.
__all__ = ["FixtureRepository", "fixture_repositories", "fixture_repository"]


@pytest.fixture
def storage(tmp_path: Path) -> PosixStorage:
    """An empty repository."""
    return PosixStorage(str(tmp_path))


@pytest.fixture
def fixture_storage(fixture_repository: FixtureRepository) -> PosixStorage:
    """Each of the repositories of the real tool in turn."""
    return PosixStorage(str(fixture_repository.path))
