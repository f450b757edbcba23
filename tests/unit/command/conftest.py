# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.tests.support.two_nodes import host

# Fixtures for the tests of this directory.
__all__ = ["host"]
