# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stanza_info documents is what the engine builds, key by key and type by type."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import status
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.wal_line import WalLine
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.wal_line import (
    Hole,
    Span,
    Window,
)
from ansible_collections.pgsftp.backup.plugins.modules import stanza_info

RETURN = yaml.safe_load(stanza_info.RETURN)
TYPES: dict[str, t.Any] = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}
TYPES["float"] = (int, float)

FIRST, LAST = "000000010000000000000001", "000000010000000000000006"
LINE = WalLine(
    1,
    "17-1",
    16777216,
    (Span(FIRST, LAST, 6, 5241233, 1795376100, 1795376180),),
    (Hole(FIRST, LAST, 6, "in order", 1795376100, 1795376180),),
    (Window("20261122-193512F", 1795376115, 1795376180, LAST),),
)
STATUS = status.Status(
    "demo",
    3578,
    1795376155.4,
    (
        status.RepositoryStatus(
            1, True, 1, 0, 0, 0.0, LAST, 279620.3, 7, 83886802,
            status.LastError("no route to host", 49, 1795376159.0), 1795376190.2,
        ),
    ),
)  # fmt: skip


def _compare(row: dict[str, t.Any], value: t.Any, where: str) -> None:
    assert isinstance(value, TYPES[row["type"]]), where
    if "contains" not in row:
        sample = row["sample"]
        assert sample is None or isinstance(sample, TYPES[row["type"]]), where
        assert not isinstance(value, dict), f"{where}: its keys are not documented"
        return
    for part in value if row["type"] == "list" else [value]:
        assert part.keys() == row["contains"].keys(), where
        for key, inner in row["contains"].items():
            _compare(inner, part[key], f"{where}.{key}")


@pytest.mark.parametrize(
    ("name", "value"), [("wal", [LINE.as_dict()]), ("archiver", status.as_dict(STATUS))]
)
def test_it_is_documented_to_the_last_key(name: str, value: t.Any) -> None:
    _compare(RETURN[name], value, name)
