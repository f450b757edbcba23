# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes, and what is logged."""

from __future__ import annotations

import logging

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import log
from ansible_collections.pgsftp.backup.tests.support.two_nodes import host

# Fixtures for the tests of this directory.
__all__ = ["host", "said"]


@pytest.fixture
def said():
    """What is logged."""
    records = []

    class Handler(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    handler = log.attach(Handler(), "info")
    yield records
    log.detach(handler)
