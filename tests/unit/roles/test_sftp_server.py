# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an account is confined: beside others of its server, and after a run that was broken off."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.plan import Plan, play
from ansible_collections.pgsftp.backup.tests.unit.roles.cluster import FACTS

DIRECTORY = "/etc/ssh/sshd_config.d"
USUAL = f"{DIRECTORY}/10-pgsftp.conf"
ROCKY_8 = {**FACTS, "os_family": "RedHat", "distribution_major_version": "8", "pkg_mgr": "dnf"}


def _play(
    place: Path,
    *rules: dict[str, t.Any],
    facts: dict[str, t.Any] | None = None,
    user: str = "pgbackrest",
) -> Plan:
    return play(place, ["sftp_server"], facts or FACTS, {"sftp_server_user": user}, [*rules])


def _confined(plan: Plan) -> dict[str, str]:
    return {path: text for path, text in plan.files.items() if path.startswith(DIRECTORY)}


def test_an_account_does_not_take_the_place_of_another_one(tmp_path: Path) -> None:
    """Whoever is not confined any more has another list of keys, and gets in no more."""
    usual, other = _confined(_play(tmp_path)), _confined(_play(tmp_path, user="shop"))
    assert [*usual, *other] == [USUAL, f"{DIRECTORY}/10-pgsftp-shop.conf"]
    assert "Match User pgbackrest\n" in usual[USUAL]
    assert "Match User shop\n" in other[f"{DIRECTORY}/10-pgsftp-shop.conf"]


def test_in_the_one_file_of_an_old_sshd_it_has_a_block_of_its_own(tmp_path: Path) -> None:
    plans = [_play(tmp_path, facts=ROCKY_8, user=user) for user in ("pgbackrest", "shop")]
    markers = [args["marker"] for plan in plans for args in plan.of("blockinfile")]
    assert markers == [
        "# {mark} pgsftp.backup.sftp_server",
        "# {mark} pgsftp.backup.sftp_server shop",
    ]


@pytest.mark.parametrize(("user", "gone"), [("shop", [USUAL]), ("pgbackrest", [])])
def test_what_an_earlier_version_has_written_goes(
    tmp_path: Path, user: str, gone: list[str]
) -> None:
    former = {
        "module": "find",
        "contains": f"Match User {user}$",
        "result": {"files": [{"path": USUAL}]},
    }
    plan = _play(tmp_path, former, user=user)
    assert [args["path"] for args in plan.of("file") if args["state"] == "absent"] == gone


def _times(written: float, read: float) -> list[dict[str, t.Any]]:
    times = {USUAL: written, "/run/sshd.pid": read}
    return [
        *(
            {
                "module": "stat",
                "contains": path,
                "result": {"stat": {"exists": True, "mtime": time}},
            }
            for path, time in times.items()
        ),
        # What the run before has written.
        {"module": "copy", "result": {"changed": False}},
    ]


@pytest.mark.parametrize(("written", "read", "reloads"), [(20.5, 10.0, 1), (20.5, 20.75, 0)])
def test_sshd_reads_what_a_run_without_handlers_has_written(
    tmp_path: Path, written: float, read: float, reloads: int
) -> None:
    """A firewall that refused, or a host that was lost, has kept the handlers from it."""
    plan = _play(tmp_path, *_times(written, read))
    states = [args["state"] for args in plan.of("systemd_service")]
    assert states.count("reloaded") == reloads
    assert plan.commands.count("/usr/sbin/sshd -t") == reloads
