# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stock pgBackRest as Debian has it, beside ours on pg1-srv, on the same SFTP server."""

from __future__ import annotations

import json
import re
import typing as t

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.lab import (
    LabCluster,
    LabHost,
    archive_all,
    contents,
)

# Whoever comes first sets the hosts up.
pytestmark = [pytest.mark.interop, pytest.mark.lab, pytest.mark.timeout(1200)]

CONFIG = "/etc/pgbackrest.conf"
ROOT = f"{LabHost.HOME}/interop"
REPO = "/backup_space/interop"

OURS, PEER = "pgsftp", "pgbackrest"


@pytest.fixture(scope="module")
def host(deployed_lab):
    """pg1-srv with both tools; the peer's package brings a configuration, which is not taken."""
    made = LabHost(deployed_lab, "pg1-srv")
    installed = "dpkg-query -Wf '${db:Status-Status}' pgbackrest 2>/dev/null || true"
    before = made.root(installed)
    if before != "installed":
        # The package gives what it finds to the owner of the clusters.
        again = made.root(f"stat -c 'chown %U:%G %n && chmod %a %n' {CONFIG} /var/log/pgbackrest")
        made.root(
            "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -qq -y"
            " --no-install-recommends -o Dpkg::Options::=--force-confold install pgbackrest"
        )
        made.root(again)
    clean = f"rm -rf {ROOT} /tmp/pgbackrest/interop*"
    made.root(clean)
    yield made
    for pid in made.root(f"ls {ROOT}/*/data/postmaster.pid 2>/dev/null || true").split():
        made.sh(f"{made.bin}/pg_ctl -D {pid.rpartition('/')[0]} -s -w -m immediate stop")
    made.root(clean)
    deployed_lab.run("sftp-srv", f"rm -rf /srv/pgsftp{REPO}")
    if before != "installed":
        # Not purged: that would take the configuration along.
        made.root(f"apt-get -qq -y remove pgbackrest; rm -f {CONFIG}.dpkg-*")


def tools(host: LabHost, options: str) -> dict[str, t.Callable[[str], str]]:
    """The two commands on the same configuration and stanza."""
    return {
        name: lambda arguments, name=name: host.sh(f"{name} {options} {arguments}")
        for name in (OURS, PEER)
    }


def listed(run: dict[str, t.Callable[[str], str]]) -> list[dict[str, t.Any]]:
    """The backups, of which both say the same; and the peer finds nothing missing."""
    ours, theirs = (json.loads(run[name]("info --output=json")) for name in (OURS, PEER))
    assert peer.shared(ours, theirs) == theirs
    found = peer.parse_verify(run[PEER]("verify --output=text --verbose"))
    found.assert_clean(backup["label"] for backup in theirs[0]["backup"])
    return theirs[0]["backup"]


def test_the_peer_can_do_all_that_sftp_needs(host):
    major, minor = re.match(r"pgBackRest (\d+)\.(\d+)", host.sh("pgbackrest version")).groups()
    assert (int(major), int(minor)) >= (2, 55)


def test_the_peer_restores_what_the_walk_through_has_backed_up(host):
    run = tools(host, "--stanza=demo --log-level-console=info")
    archive_all(lambda sql: host.sh("psql -XqtA -d postgres -f -", input=sql).rstrip("\n"))
    assert listed(run)
    copy = LabCluster(host, f"{ROOT}/demo")
    run[PEER](f"restore --pg1-path={copy.data} --archive-mode=off")
    copy.start()
    assert copy.digest() == contents(host, "/var/run/postgresql")
    copy.stop()


@pytest.fixture
def stored(host, deployed_lab):
    """A function that gives a running cluster, and the tools with a repository for it."""

    def make(name: str, *options: str) -> tuple[LabCluster, dict[str, t.Callable[[str], str]]]:
        cluster = LabCluster(host, f"{ROOT}/{name}")
        cluster.init()
        # How to reach the server is as the walk-through says; the rest is the test's.
        sftp = re.findall(r"^repo1-(?:type|sftp-).*$", host.sh(f"cat {CONFIG}"), re.MULTILINE)
        lines = [
            "[global]",
            *sftp,
            f"repo1-path={REPO}/{name}",
            *options,
            "process-max=2",
            "start-fast=y",
            f"log-path={cluster.root}",
            f"lock-path={cluster.root}/lock",
            f"spool-path={cluster.root}/spool",
            "log-level-console=info",
            f"[{name}]",
            f"pg1-path={cluster.data}",
            f"pg1-socket-path={cluster.root}/s",
        ]
        config = f"{cluster.root}/pgbackrest.conf"
        host.write(config, "\n".join(lines) + "\n")
        return cluster, tools(host, f"--config={config} --stanza={name}")

    return make


def archive_with(cluster: LabCluster, tool: str) -> None:
    """Start the cluster such that this tool archives its WAL."""
    name = cluster.root.rpartition("/")[2]
    command = f"{tool} --config={cluster.root}/pgbackrest.conf --stanza={name} archive-push %p"
    cluster.stop()
    cluster.start(archive_mode="on", archive_command=command, shared_buffers="16MB")


@pytest.mark.parametrize(
    ("first", "options"),
    [
        pytest.param(PEER, ["repo1-bundle=y", "compress-type=zst"], id="peer-first-zst-bundles"),
        pytest.param(
            OURS,
            ["compress-type=gz", "repo1-cipher-type=aes-256-cbc", "repo1-cipher-pass=lab secret"],
            id="ours-first-gz-aes",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_each_goes_on_where_the_other_stopped(host, stored, first, options):
    second = OURS if first == PEER else PEER
    cluster, run = stored(f"interop-{first}", *options)
    archive_with(cluster, first)
    cluster.psql("create table fact as select i, md5(i::text) m from generate_series(1, 20000) i")
    run[first]("stanza-create")
    run[first]("backup --type=full")
    cluster.psql("update fact set m = 'changed' where i = 7")
    run[first]("backup --type=incr")
    cluster.psql("insert into fact select 0, 'after the backup'")
    cluster.archive_all()
    listed(run)
    restore_with(run[second], cluster, "second")

    archive_with(cluster, second)
    run[second]("backup --type=incr")
    cluster.psql("create table later as select 42 i")
    cluster.archive_all()
    backups = listed(run)
    assert [backup["type"] for backup in backups] == ["full", "incr", "incr"]
    assert backups[2]["prior"] == backups[1]["label"]
    assert backups[2]["info"]["delta"] < backups[0]["info"]["delta"] / 2
    restore_with(run[first], cluster, "first")
    segments(host, run, cluster)


def restore_with(run: t.Callable[[str], str], cluster: LabCluster, name: str) -> None:
    """A server started on what was restored has the same data."""
    copy = LabCluster(cluster.host, f"{cluster.root}-{name}")
    run(f"restore --pg1-path={copy.data} --archive-mode=off")
    copy.start()
    assert copy.digest() == cluster.digest()
    copy.stop()


def segments(host: LabHost, run: dict[str, t.Callable[[str], str]], cluster: LabCluster) -> None:
    """Either tool gives the same for the first and the last segment of the archive."""
    (wal,) = json.loads(run[PEER]("info --output=json"))[0]["archive"]
    for name in (wal["min"], wal["max"]):
        for tool in (OURS, PEER):
            run[tool](f"archive-get {name} {cluster.root}/{tool}")
        host.sh(f"cmp {cluster.root}/{OURS} {cluster.root}/{PEER}")
        assert host.sh(f"stat -c %s {cluster.root}/{OURS}") == f"{16 * 1024 * 1024}\n"
