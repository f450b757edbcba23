# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version is meant where nobody says: the cluster that is there is the one with the data."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS, said


def _play(
    place: Path, *there: str, offered: str = "17", fails: bool = False, **variables: t.Any
) -> Plan:
    files = [{"path": f"/etc/postgresql/{cluster}/postgresql.conf"} for cluster in there]
    rules = [
        said("apt-cache show --no-all-versions postgresql", f"Version: {offered}+278"),
        {"module": "find", "contains": '"/etc/postgresql"', "result": {"files": files}},
    ]
    return play(place, ["postgresql"], FACTS, variables, rules, fails)


def _version(plan: Plan) -> str:
    (name,) = (name for name in plan.packages if name.startswith("postgresql-1"))
    return name.removeprefix("postgresql-")


@pytest.mark.parametrize(
    ("there", "variables", "version"),
    [
        ([], {}, "17"),
        # The distribution was upgraded, and the cluster was not.
        (["15/main"], {}, "15"),
        (["15/main"], {"postgresql_version": "16"}, "16"),
        (["15/main", "17/main"], {}, "17"),
        (["14/other", "15/main.old"], {}, "17"),
        (["14/shop+1", "15/main"], {"postgresql_cluster_name": "shop+1"}, "14"),
    ],
)
def test_the_cluster_that_is_there_says_it(
    tmp_path: Path, there: list[str], variables: dict[str, str], version: str
) -> None:
    assert _version(_play(tmp_path, *there, **variables)) == version


def test_of_several_none_is_guessed(tmp_path: Path) -> None:
    plan = _play(tmp_path, "15/main", "16/main", fails=True)
    told = " ".join(plan.output.split())
    assert "clusters main of the versions 15, 16, and none of version 17." in told
    assert not plan.packages
