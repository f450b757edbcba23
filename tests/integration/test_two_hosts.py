# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts with one repository exclude each other, and list no backup that is not whole.

A host is a directory for locks. They share the clusters, and pg2-srv reaches pg1-srv through a
command in the place of SSH.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import typing as t

import pytest

from ansible_collections.pgsftp.backup.tests.support.engine import Site, own
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = pytest.mark.integration

COMMANDS = {
    "full": ["backup", "--type=full"],
    "incr": ["backup", "--type=incr"],
    "expire": ["expire"],
}


class Host:
    """A configuration of its own, with its own locks, for the repository of ``site``."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.locks = site.root / f"{name}-lock"
        self.config = site.root / f"{name}.conf"
        self.configure(site.cluster.options(1))

    def configure(self, clusters: t.Mapping[str, str]) -> None:
        """Write the file; ``clusters`` are the options pg*."""
        settings = {**self.site.settings, "lock-path": str(self.locks), "process-max": "1"}
        lines = ["[global]", *(f"{name}={value}" for name, value in settings.items())]
        lines += ["[demo]", *(f"{name}={value}" for name, value in clusters.items())]
        self.config.write_text("\n".join(lines) + "\n")
        own(self.config)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run the host command; gives what it says."""
        before, self.site.config = self.site.config, self.config
        try:
            done = self.site.run(*arguments, code=code)
        finally:
            self.site.config = before
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def frozen(
        self, *arguments: str, after: str = "backup.manifest.copy"
    ) -> t.Iterator[dict[str, t.Any]]:
        """A backup that stands still once it has written such a file, until the block ends.

        Then there is its exit ``code``, and what it ``said``.
        """
        there = set(self.site.repo.glob(f"backup/demo/2*/{after}"))
        ended: dict[str, t.Any] = {}
        owner: dict[str, t.Any] = {}
        if os.geteuid() == 0:
            owner = {"user": OWNER, "group": OWNER, "extra_groups": []}
        process = subprocess.Popen(
            [str(self.site.command), f"--config={self.config}", "--stanza=demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.site.cluster.root,
            env={"PATH": os.environ["PATH"], "HOME": str(self.site.cluster.root), "TZ": "UTC"},
            start_new_session=True,
            **owner,
        )
        try:
            deadline = time.monotonic() + 120
            while not set(self.site.repo.glob(f"backup/demo/2*/{after}")) - there:
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < deadline
                time.sleep(0.002)
            os.killpg(process.pid, signal.SIGSTOP)
            assert len(unfinished(self.site)) == 1
            yield ended
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
            ended["said"] = process.communicate()[0]
            ended["code"] = process.returncode


def listed(site: Site) -> list[str]:
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return [backup["label"] for backup in stanza["backup"]]


def whole(site: Site) -> list[str]:
    return sorted(path.parent.name for path in site.repo.glob("backup/demo/2*/backup.manifest"))


def unfinished(site: Site) -> list[str]:
    labels = {path.name for path in site.repo.glob("backup/demo/2*") if path.is_dir()}
    return sorted(labels - set(whole(site)))


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    """A cluster whose copy takes some time, and a full backup of it."""
    made = sites(new_cluster())
    made.configure(repo1_bundle_size="1MiB", compress_type="none", repo1_retention_full="1")
    made.run("stanza-create")
    made.cluster.psql(
        "create table t as select i, repeat(md5(i::text), 50) from generate_series(1, 60000) i"
    )
    made.archive()
    return made


@pytest.fixture
def strangers(site):
    """Two hosts of which neither knows of the other: only the repository can tell."""
    return Host(site, "one"), Host(site, "two")


@pytest.fixture(scope="module")
def standby(site):
    made = site.cluster.new_standby()
    yield made
    made.stop()


@pytest.fixture
def pair(site, standby):
    """pg1-srv, which knows itself alone, and pg2-srv, which backs its standby up."""
    first, second = Host(site, "pg1"), Host(site, "pg2")
    ssh = site.root / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {site.command} --config={first.config} --stanza=demo remote\n")
    ssh.chmod(0o755)
    own(ssh)
    primary = {
        name.replace("pg1-", "pg2-"): value for name, value in site.cluster.options(1).items()
    }
    second.configure(
        {
            **standby.options(1),
            "pg2-path": primary["pg2-path"],
            "pg2-host": "pg1-srv",
            "cmd-ssh": str(ssh),
            "backup-standby": "y",
        }
    )
    return first, second


@pytest.mark.parametrize("running", ["full", "incr"])
def test_hosts_that_know_nothing_of_each_other(site, strangers, running):
    """In the audit the second removed the first's directory, which then was listed without it."""
    one, two = strangers
    one.run("backup", "--type=full")
    before = listed(site)
    site.cluster.psql("update t set i = i + 1 where i < 1000")
    with one.frozen(*COMMANDS[running]) as ended:
        (label,) = unfinished(site)
        for command in COMMANDS.values():
            said = two.run(*command, code=50)
            assert f"backup {label} is being made by" in said
            assert f"{one.locks}: a file of it is" in said
        # It would be lost: the backup ends with the list that it has read.
        note = ["annotate", "--annotation=why=daily"]
        said = two.run(*note, f"--set={before[0]}", code=50)
        assert f"backup {label} is being made by" in said
        assert unfinished(site) == [label]
        assert listed(site) == before
    assert ended["code"] == 0, ended["said"]
    assert listed(site)[-1] == label
    assert "\nstatus: ok\n" in site.run("verify", "--output=text", "--verbose").stdout
    two.run(*note, f"--set={label}")
    for command in COMMANDS.values():
        two.run(*command)


def test_what_is_removed_meanwhile_is_not_listed(site, strangers):
    one, _two = strangers
    one.run("backup", "--type=full")
    before = listed(site)
    with one.frozen("backup", "--type=full", after="bundle/2") as ended:
        (label,) = unfinished(site)
        shutil.rmtree(site.repo / "backup/demo" / label)
    assert ended["code"] in (28, 55), ended["said"]
    assert listed(site) == before == whole(site)
    # The next run needs no hand.
    one.run("backup", "--type=full")
    assert "\nstatus: ok\n" in site.run("verify", "--output=text", "--verbose").stdout


@pytest.mark.parametrize("running", [pytest.param("full", marks=pytest.mark.slow), "incr"])
def test_a_backup_of_the_standby_holds_the_locks_of_the_primary(site, pair, running):
    primary, standby = pair
    standby.run("backup", "--type=full")
    with standby.frozen(*COMMANDS[running]) as ended:
        for command in (*COMMANDS.values(), ["stanza-create"]):
            said = primary.run(*command, code=50)
            assert f"unable to acquire lock on file '{primary.locks}/demo-backup-1.lock'" in said
        (stanza,) = json.loads(primary.run("info", "--output=json"))
        assert stanza["status"]["lock"]["backup"]["held"]
    assert ended["code"] == 0, ended["said"]
    assert not list(primary.locks.iterdir())
    primary.run("expire")


def test_a_backup_of_the_primary_keeps_one_of_the_standby_away(site, pair):
    primary, standby = pair
    primary.run("backup", "--type=full")
    with primary.frozen("backup", "--type=full") as ended:
        for command in (COMMANDS["full"], COMMANDS["incr"], ["stanza-create"]):
            said = standby.run(*command, code=50)
            assert f"'{primary.locks}/demo-backup-1.lock'" in said
            assert "on 'pg1-srv'" in said
        # It asks no other host: the repository tells.
        assert "is being made by" in standby.run("expire", code=50)
    assert ended["code"] == 0, ended["said"]
    standby.run("backup", "--type=incr")


def test_where_the_primary_was_stopped_the_standby_begins_nothing(pair):
    primary, standby = pair
    primary.run("stop")
    try:
        said = standby.run("backup", "--type=full", code=62)
    finally:
        primary.run("start")
    assert "stop file exists for stanza demo on 'pg1-srv'" in said


def test_a_stanza_is_not_removed_while_its_cluster_runs_elsewhere(site, pair):
    primary, other = pair
    clusters = {
        "pg1-path": str(site.cluster.data),
        "pg1-host": "pg1-srv",
        "cmd-ssh": str(site.root / "ssh"),
    }
    other.configure(clusters)
    other.run("stop")
    try:
        running = f"PostgreSQL is running in '{site.cluster.data}' on 'pg1-srv'"
        assert running in other.run("stanza-delete", code=38)
        primary.run("stop")
        assert running in other.run("stanza-delete", code=38)
        primary.run("start")
        with primary.frozen("backup", "--type=full") as ended:
            said = other.run("stanza-delete", code=50)
            assert f"'{primary.locks}/demo-backup-1.lock'" in said
        assert ended["code"] == 0, ended["said"]
        other.configure({**clusters, "cmd-ssh": "false"})
        said = other.run("stanza-delete", code=49)
        assert "unable to tell whether PostgreSQL is running in" in said
    finally:
        other.run("start")
    assert listed(site) == whole(site) != []
