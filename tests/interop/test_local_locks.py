# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On one host the two tools exclude each other, whichever was there first."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import typing as t

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import Site
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("pgbackrest")]


@pytest.fixture(scope="module")
def site(sites) -> Site:
    """A stanza of a cluster whose WAL never arrives: a backup waits, and holds its lock."""
    made = sites()
    made.run("stanza-create")
    made.cluster.configure(archive_mode="on", archive_command="false # pgbackrest")
    made.cluster.restart()
    return made


@contextlib.contextmanager
def waiting(site: Site, command: t.Any) -> t.Iterator[subprocess.Popen[str]]:
    """A backup that holds the lock until the end of the block."""
    owner: dict[str, t.Any] = {}
    if os.geteuid() == 0:
        owner = {"user": OWNER, "group": OWNER, "extra_groups": []}
    process = subprocess.Popen(
        [str(command), f"--config={site.config}", "--stanza=demo", "backup", "--type=full"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=site.cluster.root,
        env={"PATH": os.environ["PATH"], "HOME": str(site.cluster.root), "TZ": "UTC"},
        **owner,
    )
    try:
        deadline = time.monotonic() + 60
        while not held(site):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def held(site: Site) -> bool:
    """Whether ours sees the lock, whoever has it."""
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return bool(stanza["status"]["lock"]["backup"]["held"])


def test_theirs_keeps_ours_away(site):
    with waiting(site, peer.COMMAND) as theirs:
        for words in (["backup", "--type=full"], ["expire"], ["stanza-create"]):
            out = site.run(*words, code=50).stdout
            assert "unable to acquire lock on file" in out
            assert "is another pgsftp or pgBackRest process running?" in out
        assert theirs.poll() is None
    assert not held(site)
    site.run("expire")


def test_ours_keeps_theirs_away(site):
    with waiting(site, site.command) as ours:
        for words in (["backup", "--type=full"], ["expire"], ["stanza-create"]):
            assert "unable to acquire lock on file" in site.pgbackrest(*words, code=50).stderr
        (stanza,) = json.loads(site.pgbackrest("info", "--output=json").stdout)
        assert stanza["status"]["lock"]["backup"]["held"]
        assert ours.poll() is None
    assert not held(site)
    site.pgbackrest("expire")


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_who_is_told_to_stop_gives_the_lock_back(site, who):
    """Each tool ends the other's command, too."""
    command, stop, start = (
        (site.command, site.pgbackrest, site.run)
        if who == "ours"
        else (peer.COMMAND, site.run, site.pgbackrest)
    )
    with waiting(site, command) as process:
        stop("stop", "--force")
        assert process.wait(timeout=30)
    assert not held(site)
    start("start")
    site.run("expire")
