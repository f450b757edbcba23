# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_control says of a cluster that is not there."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.control import (
    ControlData,
)

_PLAIN = ControlData(
    system_id=2**63 + 5,
    control_version=1300,
    catalog_version=202209061,
    version="15",
    state=6,
    checkpoint=40,
    redo=40,
    timeline=1,
    min_recovery_point=0,
    backup_start_point=0,
    page_size=8192,
    segment_pages=131072,
    wal_segment_size=1 << 24,
    data_checksums=True,
)


def control_of(**changes: t.Any) -> ControlData:
    """A cluster of version 15 in operation, but for ``changes``."""
    return dataclasses.replace(_PLAIN, **changes)
