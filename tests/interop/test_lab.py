# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stock pgBackRest as Debian has it, beside ours on pg1-srv, on the same SFTP server.

All ways to store a repository, each begun by either tool: one writes full, diff and incr, the other
lists, verifies and restores them and goes on, and then the first one does.
"""

from __future__ import annotations

import itertools
import json
import os
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
from ansible_collections.pgsftp.backup.tests.support.matrix import (
    COMPRESS,
    OURS,
    PEER,
    Combination,
    drop_templates,
    stories,
)

# Whoever comes first sets the hosts up.
pytestmark = [pytest.mark.interop, pytest.mark.lab, pytest.mark.timeout(1200)]

CONFIG = "/etc/pgbackrest.conf"
AUTHORIZED = "/etc/ssh/authorized_keys.d/pgbackrest"

# Who else runs some of these tests on the same hosts at the same time has another one.
PLACE = os.environ.get("INTEROP_PLACE", "all")
ROOT = f"{LabHost.HOME}/interop-{PLACE}"
REPO = f"/backup_space/interop-{PLACE}"

# Names of all who use the peer; it is removed by the last, if it was not there before.
USERS = "/run/interop"
ALONE = "exec 9> /run/lock/interop && flock 9"
INSTALL = f"""{ALONE}; mkdir -p {USERS}
if [ "$(dpkg-query -Wf '${{db:Status-Status}}' pgbackrest 2>/dev/null)" != installed ]; then
  touch {USERS}/.removed-at-last
  # The package gives what it finds to the owner of the clusters.
  again=$(stat -c 'chown %U:%G %n && chmod %a %n;' {CONFIG} /var/log/pgbackrest)
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update && apt-get -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold \
    install pgbackrest && eval "$again"
fi && touch {USERS}/{PLACE}"""
# Not purged: that would take the configuration along.
REMOVE = f"""{ALONE}; rm {USERS}/{PLACE}
[ -e {USERS}/.removed-at-last ] && [ -z "$(ls {USERS})" ] || exit 0
apt-get -qq -y remove pgbackrest && rm -rf {CONFIG}.dpkg-* {USERS}"""

KEY = f"{ROOT}/key"

COMMAND = {OURS: "pgsftp", PEER: "pgbackrest"}

_numbers = itertools.count(2)


@pytest.fixture(scope="module")
def host(deployed_lab):
    """pg1-srv with both tools; the peer's package brings a configuration, which is not taken."""
    made = LabHost(deployed_lab, "pg1-srv")
    made.root(INSTALL)
    made.root(f"rm -rf {ROOT}")
    yield made
    for pid in made.root(f"ls {ROOT}/*/data/postmaster.pid 2>/dev/null || true").split():
        made.sh(f"{made.bin}/pg_ctl -D {pid.rpartition('/')[0]} -s -w -m immediate stop")
    made.root(f"rm -rf {ROOT}")
    deployed_lab.run("sftp-srv", f"rm -rf /srv/pgsftp{REPO}")
    made.root(REMOVE)


Tools = dict[str, t.Callable[[str], str]]


def tools(host: LabHost, options: str) -> Tools:
    """The two commands on the same configuration and stanza."""
    return {
        name: lambda arguments, name=name: host.sh(f"{COMMAND[name]} {options} {arguments}")
        for name in (OURS, PEER)
    }


def listed(run: Tools) -> list[dict[str, t.Any]]:
    """The backups, of which both say the same, and with which neither finds fault."""
    ours, theirs = (json.loads(run[name]("info --output=json")) for name in (OURS, PEER))
    assert peer.shared(ours, theirs) == theirs
    labels = [backup["label"] for backup in theirs[0]["backup"]]
    for name in (OURS, PEER):
        found = peer.parse_verify(run[name]("verify --output=text --verbose"))
        found.assert_clean(labels)
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


@pytest.fixture(scope="module")
def key(host):
    """One more that the server lets in, without a passphrase: to make that out takes a program
    longer than most of what it is asked to do here.
    """
    host.sh(f"mkdir -p -m 700 {ROOT}; ssh-keygen -q -t ed25519 -N '' -C interop-{PLACE} -f {KEY}")
    public = host.sh(f"cat {KEY}.pub").strip()
    host.on("sftp-srv", f"{ALONE}; echo 'restrict {public}' >> {AUTHORIZED}")
    yield KEY
    host.on("sftp-srv", f"{ALONE}; sed -i '/ interop-{PLACE}$/d' {AUTHORIZED}")


@pytest.fixture(scope="module")
def cluster(host, key):
    """The cluster that all stories back up, each into a repository of its own."""
    made = LabCluster(host, f"{ROOT}/source")
    made.init("--wal-segsize=4")
    made.start(
        archive_mode="on", archive_command="true", shared_buffers="16MB", wal_compression="on"
    )
    # Larger than what goes into a bundle, and much larger than what a change touches.
    made.psql("create table fact as select i, md5(i::text) m from generate_series(1, 50000) i")
    assert int(made.psql("select pg_relation_size('fact')")) > 2 * 1024 * 1024
    # Most of a backup is what the one before has.
    made.psql("create table still as table fact")
    # Else whoever reads it first changes it.
    made.psql("vacuum freeze still")
    host.sh(f"mkdir -m 700 {made.root}/space; echo 'a=b' > '{made.data}/odd =\"name\" ü'")
    made.psql(f"create tablespace \"my 'side'\" location '{made.root}/space'")
    made.psql("""create table side tablespace "my 'side'" as select generate_series(1, 1000) i""")
    made.psql("create table void (i int); create unlogged table fleeting as select 1 i")
    drop_templates(made.psql)
    yield made
    made.stop()


class Story:
    """A repository of one kind, the tools, and what is asked of them again and again."""

    def __init__(self, cluster: LabCluster, kind: Combination) -> None:
        self.cluster = cluster
        self.host = cluster.host
        self.kind = kind
        self.root = f"{ROOT}/{kind}"
        self.repo = f"{REPO}/{kind}"
        self.stanza = f"interop-{kind}"
        self.config = f"{self.root}/pgbackrest.conf"
        # How to reach the server is as the walk-through says; the rest is the test's.
        sftp = re.findall(
            r"^repo1-(?:type|sftp-(?!p.*-key)).*$", self.host.sh(f"cat {CONFIG}"), re.MULTILINE
        )
        lines = [
            "[global]",
            *sftp,
            f"repo1-sftp-private-key-file={KEY}",
            f"repo1-sftp-public-key-file={KEY}.pub",
            f"repo1-path={self.repo}",
            *(f"{name}={value}" for name, value in kind.options.items()),
            "process-max=2",
            "start-fast=y",
            f"log-path={self.root}",
            f"lock-path={self.root}/lock",
            f"spool-path={self.root}/spool",
            "log-level-console=info",
            f"[{self.stanza}]",
            f"pg1-path={cluster.data}",
            f"pg1-socket-path={cluster.root}/s",
        ]
        self.host.sh(f"mkdir -m 700 {self.root}")
        self.host.write(self.config, "\n".join(lines) + "\n")
        self.run = tools(self.host, f"--config={self.config} --stanza={self.stanza}")

    def archive_with(self, tool: str) -> None:
        """From now on the cluster archives its WAL by this tool."""
        options = f"--config={self.config} --stanza={self.stanza}"
        self.cluster.reload(archive_command=f"{COMMAND[tool]} {options} archive-push %p")

    def change(self) -> None:
        """Something new, something old changed, something gone; and all of it archived."""
        n = next(_numbers)
        self.cluster.psql(
            f"create table new{n} as select generate_series(1, 5000) i;"
            f"drop table if exists new{n - 2};"
            f"insert into side select {n};"
            f"update fact set m = 'changed {n}' where i = 7 + {n}"
        )
        self.cluster.archive_all()

    def restore(self, tool: str) -> None:
        """A server started on what was restored has the same data."""
        copy = LabCluster(self.host, f"{self.root}/copy")
        self.run[tool](
            f"restore --pg1-path={copy.data} --archive-mode=off"
            f" --tablespace-map-all={copy.root}/spaces"
        )
        copy.start()
        assert copy.digest() == self.cluster.digest()
        assert copy.psql("select count(*) from fleeting") == "0"
        copy.stop()
        self.host.sh(f"{self.host.bin}/pg_checksums --check -D {copy.data}; rm -rf {copy.root}")

    def files(self) -> list[str]:
        """What the server holds below the stanza's backups."""
        top = f"/srv/pgsftp{self.repo}/backup/{self.stanza}"
        return self.host.on("sftp-srv", f"cd {top} && find * -type f").splitlines()


@pytest.fixture
def story(cluster):
    """A function that makes a repository of a kind; it goes away after the test."""
    made: list[Story] = []

    def make(kind: Combination) -> Story:
        made.append(Story(cluster, kind))
        return made[-1]

    yield make
    cluster.reload(archive_command="true")
    for tale in made:
        cluster.host.root(f"rm -rf {tale.root}")
        cluster.host.on("sftp-srv", f"rm -rf /srv/pgsftp{tale.repo}")


# What the peer of this machine can do is tested there every time; of block incremental, begun by
# either tool, two: `make interop` has the others.
KINDS = [
    *stories("files", "bundles", spared=COMPRESS),
    *stories("block", spared=("none", "zst", "bz2")),
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_goes_on_where_the_other_stopped(story, kind):
    tale = story(kind)
    first, second = kind.first, PEER if kind.first == OURS else OURS
    tale.run[first]("stanza-create")
    tale.archive_with(first)
    for backup_type in ("full", "diff", "incr"):
        tale.run[first](f"backup --type={backup_type}")
        tale.change()
    tale.restore(second)

    tale.archive_with(second)
    tale.run[second]("backup --type=incr")
    tale.change()

    tale.run[first]("backup --type=incr")
    tale.change()
    # These say the same of the backups that came first, as nothing has touched them since.
    backups = listed(tale.run)
    kind.assert_stored(tale.files(), backups)
    # Of both tools' backups, as the chain has them; on local directories each of them is restored.
    tale.restore(first)
    assert [backup["type"] for backup in backups] == ["full", "diff", "incr", "incr", "incr"]
    full = backups[0]
    assert backups[1]["prior"] == full["label"]
    for prior, backup in zip(backups[1:], backups[2:]):
        assert backup["prior"] == prior["label"]
        # Most of it is what the full backup holds.
        assert backup["info"]["delta"] < backup["info"]["size"] / 2
        assert backup["info"]["repository"]["delta"] < full["info"]["repository"]["delta"] / 2
    segments(tale)


def segments(tale: Story) -> None:
    """Either tool gives the same for the first and the last segment of the archive."""
    (wal,) = json.loads(tale.run[PEER]("info --output=json"))[0]["archive"]
    for name in (wal["min"], wal["max"]):
        for tool in (OURS, PEER):
            tale.run[tool](f"archive-get {name} {tale.root}/{tool}")
        tale.host.sh(f"cmp {tale.root}/{OURS} {tale.root}/{PEER}")
        assert tale.host.sh(f"stat -c %s {tale.root}/{OURS}") == f"{4 * 1024 * 1024}\n"
