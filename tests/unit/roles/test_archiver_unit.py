# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archiver's unit must never have, however well it is meant: its user is PostgreSQL's."""

from __future__ import annotations

from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "roles/pgsftp/templates/pgsftp-archiver.service.j2"


@pytest.mark.parametrize(
    "setting",
    [
        # Removes the shared memory of the running server when the archiver is stopped.
        "RemoveIPC",
        # Hides whether it is root that asks.
        "PrivateUsers",
        # Hides the stop file.
        "PrivateTmp",
    ],
)
def test_the_unit_leaves_alone_what_is_the_server_s_and_root_s(setting):
    settings = [line.partition("=")[0] for line in UNIT.read_text(encoding="utf-8").splitlines()]
    assert "NoNewPrivileges" in settings
    assert setting not in settings
