# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests against stock pgBackRest."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import (  # noqa: F401
    host_command,
    sites,
)
from ansible_collections.pgsftp.backup.tests.support.lab import (  # noqa: F401
    deployed_lab,
)
from ansible_collections.pgsftp.backup.tests.support.postgres import (  # noqa: F401
    new_cluster,
)


@pytest.fixture(scope="session")
def pgbackrest():
    """The command of stock pgBackRest on this machine."""
    if not peer.COMMAND.exists():
        pytest.skip("pgBackRest is not installed")
    return peer.COMMAND
