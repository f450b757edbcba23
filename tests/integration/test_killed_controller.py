# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands outlive ansible-playbook: the next run of the same task attaches to them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import job
from ansible_collections.pgsftp.backup.tests.support.beside import until
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.playbook import restored

pytestmark = [pytest.mark.integration, pytest.mark.jobs]


@pytest.fixture(scope="module")
def site(sites):
    """A cluster that archives, and has a backup."""
    return sites.with_backup()


@pytest.fixture
def held_back(site):
    """WAL does not get into the archive while this file is there, so a backup cannot end."""
    hold = site.root / "hold"
    command = site.cluster.psql("show archive_command")
    site.cluster.configure(archive_command=f"test ! -e {hold} && {command}")
    site.cluster.reload()
    hold.touch()
    yield hold
    hold.unlink(missing_ok=True)
    site.cluster.configure(archive_command=command)
    site.cluster.reload()


def labels(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return [row["label"] for row in stanza["backup"]]


def test_a_backup_outlives_a_killed_controller(site, playbook, run, held_back):
    """ansible-playbook and all that it started is killed in the middle of a backup.

    The same task attaches to it and returns its result, and the next one takes a new backup.
    """
    site.configure(archive_timeout="120")
    before = labels(site)
    begun = {"type": "full", "options": {"expire-auto": False}}
    defaults = {"stanza": "demo", "config": str(site.config)}
    path = playbook.write({"pgsftp.backup.backup": begun}, defaults=defaults)
    running = playbook.start(path)
    log = site.root / "demo-backup.log"
    done = log.read_text().count("backup start archive") if log.exists() else 0
    until(lambda: log.read_text().count("backup start archive") > done)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert labels(site) == before

    # Nobody follows it now. Another controller does the same task, and sees it under way.
    again = playbook.start(path)
    line = again.stdout.readline()
    while "attached to what an earlier run has begun" not in line:
        assert line, "it did not attach"
        line = again.stdout.readline()
    held_back.unlink()
    _out, (result,) = playbook.finish(again)
    assert not result["failed"], result
    assert result["attached"] is True
    assert labels(site) == [*before, result["backup"]["label"]]

    # The answer was given away.
    new = run("backup", **begun)
    assert new["attached"] is False
    assert labels(site) == [*before, result["backup"]["label"], new["backup"]["label"]]


@pytest.mark.parametrize("command", ["backup", "restore", "verify"])
def test_a_command_outlives_a_killed_controller(site, playbook, command):
    """ansible-playbook is killed while the command waits: its log is a pipe that nobody reads."""
    parameters = {} if command != "restore" else restored(site, "outlives")[1]
    others = under_way(command)
    log = site.root / f"demo-{command}.log"
    former = log.rename(log.with_suffix(".former")) if log.exists() else None
    os.mkfifo(log)
    own(log)
    try:
        defaults = {"stanza": "demo", "config": str(site.config)}
        path = playbook.write({f"pgsftp.backup.{command}": parameters}, defaults=defaults)
        running = playbook.start(path)
        until(lambda: under_way(command) - others)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        assert under_way(command) - others

        again = playbook.start(path)
        line = again.stdout.readline()
        while "attached to what an earlier run has begun" not in line:
            assert line, "it did not attach"
            line = again.stdout.readline()
        with open(os.open(log, os.O_RDONLY | os.O_NONBLOCK), "rb"):
            _out, (result,) = playbook.finish(again)
        assert not result["failed"], result
        assert result["attached"] is True
        assert result[command]
        until(lambda: not under_way(command) - others)
    finally:
        # Whoever still waits for a reader goes on.
        os.close(os.open(log, os.O_RDWR | os.O_NONBLOCK))
        log.unlink()
        if former is not None:
            former.rename(log)


def under_way(command):
    """The jobs of this command that work, by the locks that they hold."""
    found = set()
    for path in Path(job.place()).glob(f"{command}-*.lock"):
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.add(path.name)
    return found
