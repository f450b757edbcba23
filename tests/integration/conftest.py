# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.tests.support.documented import (
    run,
)
from ansible_collections.pgsftp.backup.tests.support.engine import (
    host_command,
    sites,
)
from ansible_collections.pgsftp.backup.tests.support.fixtures import (
    fixture_repositories,
)
from ansible_collections.pgsftp.backup.tests.support.openssh import (
    connect,
    server,
    special,
)
from ansible_collections.pgsftp.backup.tests.support.place import (
    place_of,
)
from ansible_collections.pgsftp.backup.tests.support.playbook import (
    playbook,
)
from ansible_collections.pgsftp.backup.tests.support.postgres import (
    new_cluster,
    postgres,
)

# Fixtures for the tests of this directory.
__all__ = [
    "connect",
    "fixture_repositories",
    "host_command",
    "new_cluster",
    "place_of",
    "playbook",
    "postgres",
    "run",
    "server",
    "sites",
    "special",
]
