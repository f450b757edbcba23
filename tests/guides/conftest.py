# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that type the guides and play AWX, on hosts that scripts/guides boots."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.tests.support.lab import (
    deployed_lab,
)

# Fixtures for the tests of this directory.
__all__ = ["deployed_lab"]
