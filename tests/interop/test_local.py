# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repository, two tools: each goes on where the other stopped.

The peer is the machine's stock pgBackRest, and the repository a directory, which every version of
it can use. The cluster has what is easily got wrong: names with blanks, quotes, ``=`` and UTF-8, a
tablespace, a relation too large for a bundle, an empty and an unlogged table.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import typing as t

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import Site, own
from ansible_collections.pgsftp.backup.tests.support.postgres import Cluster

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("pgbackrest")]

ODD_FILES = {
    'we=ird "name".txt': "equals and quotes",
    "naïve — 名.txt": "UTF-8, in name and content: ü",
    "# [x] ;\\.conf": "what means something in an info file",
    "base/with blank": "",
}

OURS, PEER = "ours", "peer"

_numbers = itertools.count(2)

STORED = {
    f"{compress}-{bundle}-{cipher}": (compress, bundle, cipher)
    for compress, bundle, cipher in itertools.product(
        ("none", "gz", "zst", "bz2"), ("files", "bundles"), ("plain", "aes")
    )
}

# To either tool bz2 is one more codec behind the same door: no need of all that it goes with.
SPARED = {
    (OURS, "bz2-files-plain"),
    (OURS, "bz2-files-aes"),
    (OURS, "bz2-bundles-plain"),
    (PEER, "bz2-files-plain"),
    (PEER, "bz2-bundles-plain"),
    (PEER, "bz2-bundles-aes"),
}

# What runs every time: the types of compression, bundles and encryption, in either direction.
FAST = {
    (OURS, "zst-bundles-plain"),
    (OURS, "gz-files-aes"),
    (PEER, "zst-bundles-aes"),
    (PEER, "none-files-plain"),
}


def stories() -> list[t.Any]:
    """All ways to store, each begun by either tool."""
    return [
        pytest.param(
            first,
            stored,
            id=f"{first}-first-{stored}",
            marks=[] if (first, stored) in FAST else [pytest.mark.slow],
        )
        for first, stored in itertools.product((OURS, PEER), STORED)
        if (first, stored) not in SPARED
    ]


@pytest.fixture(scope="module")
def clusters(new_cluster):
    """A function that gives the cluster with WAL segments of so many MiB.

    The stories share two; each archives into a repository of its own.
    """

    @functools.cache
    def cluster(segment_size: int) -> Cluster:
        return populated(new_cluster(f"--wal-segsize={segment_size}"))

    return cluster


def populated(made: Cluster) -> Cluster:
    """The same cluster, with the databases, relations and files of the stories."""
    for name, text in ODD_FILES.items():
        path = made.data / name
        path.write_text(text)
        own(path)
    made.psql("create table fact as select i, md5(i::text) m from generate_series(1, 50000) i")
    assert int(made.psql("select pg_relation_size('fact')")) > 2 * 1024 * 1024
    made.psql(f"create tablespace \"my 'side'\" location '{made.directory('space')}'")
    made.psql("""create table side tablespace "my 'side'" as select generate_series(1, 1000) i""")
    made.psql("create table void (i int)")
    made.psql("create unlogged table fleeting as select generate_series(1, 1000) i")
    made.psql('create database "quo""ted ü"')
    return made


class Story:
    """A site, the two tools, and what is asked of them again and again."""

    def __init__(self, site: Site, first: str) -> None:
        self.site = site
        self.cluster = site.cluster
        run = {OURS: site.run, PEER: site.pgbackrest}
        command = {OURS: site.command, PEER: peer.COMMAND}
        second = PEER if first == OURS else OURS
        self.first, self.second = run[first], run[second]
        self.first_command, self.second_command = command[first], command[second]

    def change(self) -> None:
        """Something new, something old changed, something gone; and all of it archived."""
        n = next(_numbers)
        sql = self.cluster.psql
        sql(f"create table new{n} as select generate_series(1, 5000) i")
        sql(f"drop table if exists new{n - 2}")
        sql(f"insert into side select {n}")
        sql(f"update fact set m = 'changed {n}' where i = 7 + {n}")
        sql("create table if not exists t (i int); insert into t values (1)", 'quo"ted ü')
        segment = sql("select pg_walfile_name(pg_switch_wal())")
        self.cluster.wait(
            f"select last_archived_wal >= '{segment}' from pg_stat_archiver", "t", seconds=60
        )

    def info(self) -> list[dict[str, t.Any]]:
        """The backups; both tools say the same of them."""
        ours, theirs = (
            json.loads(run("info", "--output=json").stdout)
            for run in (self.site.run, self.site.pgbackrest)
        )
        assert peer.shared(ours, theirs) == theirs
        # Fields of newer versions of the peer.
        assert peer.fields(ours) - peer.fields(theirs) <= {
            "status.lock.restore",
            "status.lock.restore.held",
        }
        backups = ours[0]["backup"]
        label = f"--set={backups[-1]['label']}"
        ours, theirs = (
            json.loads(run("info", "--output=json", label).stdout)
            for run in (self.site.run, self.site.pgbackrest)
        )
        assert peer.shared(ours, theirs) == theirs
        return backups

    def verify(self) -> list[dict[str, t.Any]]:
        """What the peer finds whole is what is listed."""
        backups = self.info()
        out = self.site.pgbackrest("verify", "--output=text", "--verbose").stdout
        peer.parse_verify(out).assert_clean(backup["label"] for backup in backups)
        return backups

    def compare_wal(self) -> None:
        """Either tool gives the same for the oldest and the newest segment of the archive."""
        (wal,) = json.loads(self.site.run("info", "--output=json").stdout)[0]["archive"]
        size = int(
            self.cluster.psql("select setting from pg_settings where name = 'wal_segment_size'")
        )
        for name in (wal["min"], wal["max"]):
            got = []
            for run in (self.first, self.second):
                target = self.site.root / f"got{len(got)}"
                run("archive-get", name, str(target))
                got.append(target.read_bytes())
            assert got[0] == got[1]
            assert len(got[0]) == size

    def restore(self, run: t.Callable[..., t.Any], name: str) -> None:
        """A restored server has what the first one has."""
        copy = self.site.restored(name)
        run("restore", f"--pg1-path={copy.data}", f"--tablespace-map-all={copy.root}/spaces")
        for path, text in ODD_FILES.items():
            assert (copy.data / path).read_text() == text
        (link,) = (copy.data / "pg_tblspc").iterdir()
        assert os.readlink(link) == f"{copy.root}/spaces/my 'side'"
        copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
        copy.start()
        copy.wait("select pg_is_in_recovery()", "f")
        assert peer.contents(copy) == peer.contents(self.cluster)
        assert copy.psql("select count(*) from fleeting") == "0"
        copy.stop()
        copy.run(copy.bin / "pg_checksums", "--check", "--pgdata", copy.data)
        shutil.rmtree(copy.root)


@pytest.fixture
def story(sites, clusters):
    """A function that makes a repository with the options of a name in STORED."""
    made: list[Site] = []

    def make(first: str, stored: str) -> Story:
        compress, bundle, cipher = STORED[stored]
        site = sites(clusters(16 if (first, stored) in FAST else 1))
        made.append(site)
        site.configure(compress_type=compress, repo1_bundle="y" if bundle == "bundles" else "n")
        if cipher == "aes":
            site.configure(repo1_cipher_type="aes-256-cbc", repo1_cipher_pass="pass=wörd #1")
        return Story(site, first)

    yield make
    for site in made:
        shutil.rmtree(site.root)


@pytest.mark.parametrize(("first", "stored"), stories())
def test_each_goes_on_where_the_other_stopped(story, first, stored):
    tale = story(first, stored)
    tale.first("stanza-create")
    tale.site.archive(tale.first_command)
    tale.first("backup", "--type=full")
    if (first, stored) in FAST:
        tale.change()
        tale.first("backup", "--type=diff")
    tale.change()
    tale.first("backup", "--type=incr")
    tale.change()
    tale.verify()
    tale.restore(tale.second, "second")

    tale.site.archive(tale.second_command)
    tale.second("backup", "--type=incr")
    tale.change()
    tale.verify()
    tale.restore(tale.first, "first")

    tale.first("backup", "--type=incr")
    backups = tale.verify()
    tale.compare_wal()
    for prior, backup in zip(backups[-3:], backups[-2:]):
        assert (backup["type"], backup["prior"]) == ("incr", prior["label"])
        # Most of it is what the full backup holds.
        assert backup["info"]["delta"] < backup["info"]["size"] / 2


def test_a_segment_that_the_other_has_pushed_is_accepted_once_more_and_another_one_refused(story):
    tale = story(OURS, "gz-files-aes")
    site = tale.site
    site.run("stanza-create")
    copies = []
    for push in (site.run, site.pgbackrest):
        tale.cluster.psql("select pg_create_restore_point('something to switch')")
        segment = tale.cluster.psql("select pg_walfile_name(pg_switch_wal())")
        copy = site.root / segment
        shutil.copy(tale.cluster.data / "pg_wal" / segment, copy)
        own(copy)
        push("archive-push", str(copy))
        copies.append(copy)
    for push, copy in itertools.product((site.run, site.pgbackrest), copies):
        push("archive-push", str(copy))
    for copy in copies:
        data = bytearray(copy.read_bytes())
        data[-1] ^= 1
        copy.write_bytes(data)
    for push, copy in itertools.product((site.run, site.pgbackrest), copies):
        push("archive-push", str(copy), code=45)


@pytest.mark.slow
def test_what_an_option_changes_in_the_midst_of_a_chain_the_other_still_reads(story):
    tale = story(PEER, "gz-files-plain")
    site = tale.site
    site.pgbackrest("stanza-create")
    site.archive()
    site.pgbackrest("backup", "--type=full")
    tale.change()
    site.configure(repo1_bundle="y", compress_type="zst")
    site.run("backup", "--type=incr")
    tale.change()
    site.configure(repo1_bundle="n")
    site.pgbackrest("backup", "--type=incr")
    tale.change()
    site.run("backup", "--type=incr", "--delta")
    tale.change()
    site.configure(repo1_bundle="y")
    site.pgbackrest("backup", "--type=diff", "--delta")
    tale.change()
    site.run("backup", "--type=incr")
    tale.change()
    tale.verify()
    tale.restore(site.pgbackrest, "second")
    tale.restore(site.run, "first")


def test_both_restore_the_same_tree(story):
    tale = story(OURS, "zst-bundles-plain")
    site = tale.site
    outside = tale.cluster.directory(f"{site.root.name}-outside")
    for name in ("conf.d", "extra.conf"):
        (tale.cluster.data / name).symlink_to(outside / name)
    (outside / "conf.d").mkdir(mode=0o700)
    for path in (outside / "conf.d" / "a.conf", outside / "extra.conf"):
        path.write_text("# linked\n")
    for path in outside.rglob("*"):
        own(path)
    site.run("stanza-create")
    site.archive()
    site.run("backup", "--type=full")
    tale.change()
    site.pgbackrest("backup", "--type=incr")
    tale.change()
    site.run("backup", "--type=incr")
    for name in ("conf.d", "extra.conf"):
        (tale.cluster.data / name).unlink()
    tale.verify()

    trees = []
    for run in (site.run, site.pgbackrest):
        copy = site.restored("copy")
        spaces = copy.directory("spaces")
        run(
            "restore", f"--pg1-path={copy.data}", f"--tablespace-map-all={spaces}",
            f"--link-map=conf.d={copy.root}/conf.d", f"--link-map=extra.conf={copy.root}/x.conf",
            "--type=none", "--archive-mode=preserve",
        )  # fmt: skip
        # Before 2.51 the peer does not mark the copy's checkpoint as invalid.
        (copy.data / "global" / "pg_control").unlink()
        # Before 2.47 it writes a signal even so.
        (copy.data / "recovery.signal").unlink(missing_ok=True)
        trees.append(peer.tree(copy.root))
        shutil.rmtree(copy.root)
    for entries in trees:
        # Written anew.
        del entries["data/postgresql.auto.conf"]["mtime"]
    ours, theirs = trees
    assert sorted(ours) == sorted(theirs)
    for path, entry in ours.items():
        assert entry == theirs[path], path
    assert ours["x.conf"]["size"] == len("# linked\n")
    assert "data/conf.d" in ours
