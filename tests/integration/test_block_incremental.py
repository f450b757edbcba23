# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block-incremental backups of a real cluster, and where the peer can, in turns with it.

The peer reads and writes blocks from 2.46 on.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import Site
from ansible_collections.pgsftp.backup.tests.support.postgres import Cluster

pytestmark = pytest.mark.integration

STORED = {
    "gz-aes": {
        "compress_type": "gz",
        "repo1_cipher_type": "aes-256-cbc",
        "repo1_cipher_pass": "a pass",
    },
    "lz4-small-bundles": {"compress_type": "lz4", "repo1_bundle_limit": "64KiB"},
    "zst-plain": {"compress_type": "zst"},
    "none-plain": {"compress_type": "none"},
}
FAST = {"gz-aes"}

_numbers = itertools.count(1)


def peer_version() -> tuple[int, ...]:
    if not peer.COMMAND.exists():
        return (0,)
    text = subprocess.run([peer.COMMAND, "version"], capture_output=True, text=True, check=True)
    return tuple(map(int, re.findall(r"\d+", text.stdout)))


@pytest.fixture(scope="module")
def cluster(new_cluster) -> Cluster:
    """With relations above and below the limit of a bundle."""
    made = new_cluster("--wal-segsize=1")
    made.psql("create table large as select i, md5(i::text) m from generate_series(1, 120000) i")
    made.psql("create index on large (i)")
    made.psql("create table small as select i, md5(i::text) m from generate_series(1, 2000) i")
    made.psql("create table shrinks as select generate_series(1, 40000) i")
    return made


class Tale:
    """A repository, what was changed between its backups, and what a restore must hold."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cluster = site.cluster
        self._copies = itertools.count(1)
        self._changes = itertools.count(1)

    def change(self) -> None:
        """A few rows here and there, a table that grows and one that shrinks."""
        number = next(self._changes)
        self.cluster.psql(f"update large set m = 'change {number}' where i % 40000 = {number}")
        self.cluster.psql(f"insert into small select {number}, repeat('x', 100)")
        self.cluster.psql(f"delete from shrinks where i > {40000 - 9000 * number}")
        self.cluster.psql("vacuum shrinks")
        self.cluster.psql("checkpoint")

    def backup(self, run, *arguments: str) -> dict:
        """One more backup; gives what ``info`` says of it."""
        run("backup", *arguments, "--log-level-console=detail")
        (stanza,) = json.loads(self.site.run("info", "--output=json").stdout)
        return stanza["backup"][-1]

    def restore(self, run, *arguments: str) -> None:
        """Restore the newest backup, start the server, and compare all data and pages."""
        self.cluster.psql("select pg_switch_wal()")
        expected = peer.contents(self.cluster)
        copy = self.site.restored(f"copy{next(self._copies)}")
        run("restore", f"--pg1-path={copy.data}", *arguments)
        copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
        copy.start()
        copy.wait("select pg_is_in_recovery()", "f")
        assert peer.contents(copy) == expected
        copy.stop()
        copy.run(copy.bin / "pg_checksums", "--check", "--pgdata", copy.data)


@pytest.fixture(
    params=[pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in STORED]
)
def tale(request, sites, cluster):
    site = sites(cluster)
    site.configure(repo1_block="y", **STORED[request.param])
    site.run("stanza-create")
    site.archive()
    yield Tale(site)
    cluster.configure(archive_mode="off")
    cluster.restart()


def manifest(site, label) -> str:
    """The plain text of a manifest; empty when it is encrypted."""
    data = (site.repo / "backup/demo" / label / "backup.manifest").read_bytes()
    return "" if data.startswith(b"Salted__") else data.decode()


def test_a_chain_of_ours(tale):
    site = tale.site
    full = tale.backup(site.run, "--type=full")
    tale.change()
    diff = tale.backup(site.run, "--type=diff")
    tale.change()
    first = tale.backup(site.run, "--type=incr")
    tale.change()
    tale.backup(site.run, "--type=incr", "--delta")
    tale.restore(site.run)

    text = manifest(site, full["label"])
    if text:
        assert "\nbackup-block-incr=true\n" in text
        assert "\nbackup-bundle-raw=true\n" in text
        assert '"bi":' in text
        assert '"bim":' in text
    stored = {path.suffix for path in (site.repo / "backup/demo" / full["label"]).rglob("*")}
    assert ".pgbi" in stored
    assert full["info"]["repository"]["delta-map"] > 0
    # What differs of a large relation is a few blocks of it.
    for backup in (diff, first):
        assert backup["info"]["delta"] > 5_000_000
        assert backup["info"]["repository"]["delta"] < backup["info"]["delta"] / 5


def test_a_backup_without_changes_stores_next_to_nothing(sites, cluster):
    site = sites(cluster)
    site.configure(repo1_block="y")
    site.run("stanza-create")
    site.archive()
    tale = Tale(site)
    tale.backup(site.run, "--type=full")
    again = tale.backup(site.run, "--type=incr", "--delta")
    assert again["info"]["repository"]["delta"] < 100_000
    assert list((site.repo / "backup/demo" / again["label"]).rglob("*.pgbi")) == []
    tale.restore(site.run)
    # Blocks are an option of each backup: without it the chain goes on with whole files.
    site.configure(repo1_block="n")
    tale.change()
    whole = tale.backup(site.run, "--type=incr")
    assert list((site.repo / "backup/demo" / whole["label"]).rglob("*.pgbi")) == []
    tale.restore(site.run)
    site.configure(repo1_block="y")
    tale.change()
    tale.backup(site.run, "--type=incr")
    tale.restore(site.run)
    cluster.configure(archive_mode="off")
    cluster.restart()


@pytest.mark.interop
@pytest.mark.parametrize("first", ["ours", "peer"])
def test_the_peer_and_we_go_on_where_the_other_stopped(tale, first):
    site = tale.site
    if peer_version() < (2, 46):
        tale.backup(site.run, "--type=full")
        assert_info_is_equal(site)
        return
    one, other = site.run, site.pgbackrest
    if first == "peer":
        one, other = other, one
    labels = [tale.backup(one, "--type=full")["label"]]
    for run, kind in (
        *((one, "diff"), (one, "incr"), (other, "incr"), (one, "incr"), (other, "incr")),
        *((other, "diff"), (one, "incr")),
    ):
        tale.change()
        labels.append(tale.backup(run, f"--type={kind}")["label"])
        tale.restore(other)
        tale.restore(one)
    out = site.pgbackrest("verify", "--output=text", "--verbose").stdout
    peer.parse_verify(out).assert_clean(labels)
    assert_info_is_equal(site)


def assert_info_is_equal(site) -> None:
    """In all fields that both know."""
    ours = json.loads(site.run("info", "--output=json").stdout)
    theirs = json.loads(site.pgbackrest("info", "--output=json").stdout)
    assert peer.shared(ours, theirs) == peer.shared(theirs, ours)


@pytest.mark.parametrize("cipher", [False, True], ids=["plain", "aes"])
def test_a_damaged_map_costs_room_and_no_backup(sites, cluster, cipher):
    """What an incremental backup would build on is spoilt: it stores those files as a whole."""
    site = sites(cluster)
    site.configure(repo1_block="y", repo1_bundle_limit="64KiB", compress_type="none")
    if cipher:
        site.configure(repo1_cipher_type="aes-256-cbc", repo1_cipher_pass="a pass")
    site.run("stanza-create")
    site.archive()
    told = Tale(site)
    full = told.backup(site.run, "--type=full")
    spoilt = 0
    for path in (site.repo / "backup/demo" / full["label"]).rglob("*.pgbi"):
        # The map is at the end.
        path.write_bytes(path.read_bytes()[:-3])
        spoilt += 1
    assert spoilt
    # All are read, and some of them are as they were.
    cluster.psql("update large set m = 'anew' where i % 40000 = 7")
    cluster.psql("checkpoint")
    done = site.run("backup", "--type=incr", "--delta")
    assert "is damaged, all of the file is stored" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    told.restore(site.run)
    cluster.configure(archive_mode="off")
    cluster.restart()
