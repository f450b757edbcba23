# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both tools expire the same of repositories that nobody thought of, by rules that nobody chose."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import infofile
from ansible_collections.pgsftp.backup.tests.support import history, peer
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("pgbackrest")]

FAST = 12


@pytest.fixture
def place() -> t.Iterator[Path]:
    """A directory that the owner of clusters may write to."""
    made = Path(tempfile.mkdtemp(prefix="pgsftp-history-"))
    yield made
    shutil.rmtree(made)


def expire(command: Path, config: str, repo: Path, rule: list[str]) -> str:
    """The output of an expire of this repository."""
    owner: dict[str, t.Any] = {}
    if os.geteuid() == 0:
        owner = {"user": OWNER, "group": OWNER, "extra_groups": []}
    done = subprocess.run(
        [
            *(command, config, "--stanza=demo", f"--repo1-path={repo}", "--log-level-file=off"),
            *(f"--lock-path={repo}-lock", "--log-level-console=detail", *rule, "expire"),
        ],
        capture_output=True, text=True, check=False, cwd="/", env={"PATH": os.environ["PATH"]},
        **owner,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(repo: Path) -> set[str]:
    """Every name but those that depend on who wrote last."""
    return {str(path.relative_to(repo)) for path in repo.rglob("*") if path.name != "latest"}


def listed(repo: Path) -> dict[str, t.Any]:
    """The rows of backup.info."""
    text = (repo / "backup/demo/backup.info").read_text(encoding="utf-8")
    return infofile.parse(text).sections.get("backup:current", {})


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed < FAST else [pytest.mark.slow]) for seed in range(150)],
)
def test_both_keep_the_same_of_any_history(seed, place, host_command):
    ours, theirs = place / "ours", place / "theirs"
    history.make(ours, seed)
    shutil.copytree(ours, theirs)
    for path in (place, *place.rglob("*")):
        own(path)
    rule = history.rule(seed)
    said = expire(host_command, "--config=/dev/null", ours, rule)
    said += expire(peer.COMMAND, "--no-config", theirs, rule)
    assert listed(ours) == listed(theirs), said
    if peer.version() < (2, 55) and "--repo1-retention-full-type=time" in rule:
        # An older peer keeps the WAL before a full backup that is old enough, if none goes.
        assert files(ours) <= files(theirs), said
    else:
        assert files(ours) == files(theirs), said
