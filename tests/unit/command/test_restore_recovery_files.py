# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files tell the restored server whether it recovers, by version and type."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    recovery_files,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.owner import (
    Owners,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.plan import (
    Places,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.target import (
    Target,
)

SETTINGS = [("restore_command", "x")]


@pytest.fixture
def target(tmp_path):
    where = Places(str(tmp_path), {}, {}, {})
    return Target(None, where, Owners(where.pg_data))


@pytest.mark.parametrize(
    ("version", "kind", "names"),
    [
        ("15", "default", ["postgresql.auto.conf", "recovery.signal"]),
        ("15", "standby", ["postgresql.auto.conf", "standby.signal"]),
        ("15", "none", ["postgresql.auto.conf"]),
        ("15", "preserve", []),
        ("11", "default", ["recovery.conf"]),
        ("11", "standby", ["recovery.conf"]),
        # Its presence alone would have the server recover, and refuse to without restore_command.
        ("11", "none", []),
        ("11", "preserve", []),
    ],
)
def test_by_version_and_type(target, tmp_path, version, kind, names):
    recovery_files.write(target, version, [] if kind == "none" else SETTINGS, kind)
    assert sorted(os.listdir(tmp_path)) == names
    for name in names:
        says = kind != "none" and not name.endswith(".signal")
        assert ("restore_command" in (tmp_path / name).read_text()) == says
