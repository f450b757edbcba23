# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both tools say the same of repositories that nobody thought of, whole or not."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support import history, peer
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("pgbackrest")]

FAST = 12

ASKED = (
    [],
    ["--stanza=demo"],
    ["--stanza=demo", "--type=full"],
    ["--type=diff"],
    ["--stanza=demo", "--repo=1", "--type=incr"],
    ["--stanza=demo", "--set=20200101-000000F"],
    ["--stanza=none"],
)


@pytest.fixture(scope="module")
def place() -> t.Iterator[Path]:
    """A directory that the owner of clusters may read."""
    made = Path(tempfile.mkdtemp(prefix="pgsftp-history-"))
    yield made
    shutil.rmtree(made)


def info(command: Path, config: str, repo: Path, *arguments: str) -> str:
    """The output of ``info``."""
    owner: dict[str, t.Any] = {}
    if os.geteuid() == 0:
        owner = {"user": OWNER, "group": OWNER, "extra_groups": []}
    words = [str(command), config, f"--repo1-path={repo}", f"--lock-path={repo}-lock"]
    done = subprocess.run(
        [*words, "--log-level-file=off", *arguments, "info"],
        capture_output=True, text=True, check=False, cwd="/",
        env={"PATH": os.environ["PATH"], "TZ": "UTC"}, **owner,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def damage(repo: Path, what: str) -> None:
    """Do this to a repository, or nothing."""
    for kind in ("archive", "backup"):
        directory = repo / kind / "demo"
        if what == f"no {kind}.info":
            for path in directory.glob(f"{kind}.info*"):
                path.unlink()
        if what == "half an info file":
            (directory / f"{kind}.info").write_text("[backrest]\n", encoding="utf-8")
        if what == f"strangers in {kind}":
            (repo / kind / "stranger").mkdir()
        if what == "two stanzas":
            shutil.copytree(directory, repo / kind / "another")
    if what == "no WAL":
        for path in (repo / "archive/demo").glob("*-*"):
            shutil.rmtree(path)


DAMAGE = (
    *("", "", "no backup.info", "no archive.info", "half an info file", "no WAL"),
    *("strangers in archive", "strangers in backup", "two stanzas"),
)


def without_words(stanzas: t.Any) -> t.Any:
    """Without the text of errors, which is each tool's own; its first word is the class."""
    for stanza in stanzas:
        for repo in stanza["repo"]:
            if repo["status"]["code"] == 99:
                repo["status"]["message"] = repo["status"]["message"].split()[0]
    return stanzas


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed < FAST else [pytest.mark.slow]) for seed in range(150)],
)
def test_both_say_the_same(seed, place, host_command):
    chance = random.Random(seed)
    repo = place / str(seed)
    history.make(repo, seed)
    what = chance.choice(DAMAGE)
    damage(repo, what)
    for path in (place, *repo.rglob("*")):
        own(path)
    asked = chance.choice(ASKED)
    ours, theirs = (
        without_words(json.loads(info(command, config, repo, *asked, "--output=json")))
        for command, config in ((host_command, "--config=/dev/null"), (peer.COMMAND, "--no-config"))
    )
    assert peer.shared(ours, theirs) == theirs, (asked, what)
    if peer.version() >= (2, 55) and what != "no archive.info":
        texts = (
            info(host_command, "--config=/dev/null", repo, *asked),
            info(peer.COMMAND, "--no-config", repo, *asked),
        )
        assert texts[0].strip() == texts[1].strip(), (asked, what)
