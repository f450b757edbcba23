# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may take a lab of one name: another checkout only when nothing of it lives any more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
HOSTS = ("pg1-srv", "pg2-srv", "sftp-srv")
PREFIX = "owner"


def lab(state: Path, verb: str) -> subprocess.CompletedProcess[str]:
    names = {"LAB_PREFIX": PREFIX, "LAB_NET": "10.213.97", "LAB_STATE": str(state)}
    words = [str(TOP / "tests/lab/lab"), verb]
    return subprocess.run(
        words, check=False, capture_output=True, text=True, env={**os.environ, **names}
    )


def kill_what_lives() -> None:
    """As when a session ends with all of its processes: podman is not told."""
    shown = "{{.State.ConmonPid}} {{.State.Pid}}"
    names = [f"{PREFIX}-{host}" for host in HOSTS]
    inspect = ["podman", "inspect", "--format", shown, *names]
    pids = subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.split()
    for pid in pids[::2] + pids[1::2]:
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.skipif(
    not shutil.which("podman") and not os.environ.get("PGSFTP_REQUIRE"), reason="no podman"
)
@pytest.mark.timeout(300)
def test_an_abandoned_lab_is_taken_away_and_a_living_one_is_not(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    try:
        booted = lab(other, "up")
        assert booted.returncode == 0, booted.stderr
        for verb in ("up", "down"):
            refused = lab(mine, verb)
            assert refused.returncode == 1
            assert f"belongs to {other}" in refused.stderr
        kill_what_lives()
        taken = lab(mine, "up")
        assert taken.returncode == 0, taken.stderr
        assert "no process left" in taken.stderr
    finally:
        left = [lab(state, "down") for state in (mine, other)]
    assert [done.returncode for done in left] == [0, 0]
