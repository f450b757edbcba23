# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.tests.support.engine import (  # noqa: F401
    host_command,
    sites,
)
from ansible_collections.pgsftp.backup.tests.support.fixtures import (  # noqa: F401
    fixture_repositories,
)
from ansible_collections.pgsftp.backup.tests.support.postgres import (  # noqa: F401
    new_cluster,
    postgres,
)
