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
from ansible_collections.pgsftp.backup.tests.support.matrix import (
    OURS,
    PEER,
    Combination,
    drop_templates,
    stories,
)
from ansible_collections.pgsftp.backup.tests.support.postgres import Cluster

pytestmark = [
    pytest.mark.interop,
    pytest.mark.usefixtures("pgbackrest"),
    pytest.mark.timeout(1200),
]

ODD_FILES = {
    'we=ird "name".txt': "equals and quotes",
    "naïve — 名.txt": "UTF-8, in name and content: ü",
    "# [x] ;\\.conf": "what means something in an info file",
    "base/with blank": "",
}

_numbers = itertools.count(2)

# Block incremental came with 2.46: that part of the matrix is the lab's, where the peer is newer.
LAYOUTS = ("files", "bundles")


@pytest.fixture(scope="module")
def clusters(new_cluster):
    """A function that gives the cluster with WAL segments of so many MiB.

    The stories share two; each archives into a repository of its own, and what there is to archive
    between two of them is thrown away.
    """

    @functools.cache
    def cluster(segment_size: int) -> Cluster:
        made = new_cluster(
            f"--wal-segsize={segment_size}", archive_mode="on", archive_command="true"
        )
        return populated(made)

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
    drop_templates(made.psql)
    return made


def archive(cluster: Cluster, command: str) -> None:
    """Change the archive_command of a cluster that runs with archive_mode."""
    cluster.configure(archive_command=command)
    cluster.reload()
    # Only a new connection tells that the postmaster has passed it on to the archiver.
    cluster.wait("show archive_command", command)


class Story:
    """A site, the two tools, and what is asked of them again and again."""

    def __init__(self, site: Site, kind: Combination) -> None:
        self.site = site
        self.kind = kind
        self.cluster = site.cluster
        self.run = {OURS: site.run, PEER: site.pgbackrest}
        self.command = {OURS: site.command, PEER: peer.COMMAND}

    def archive_with(self, tool: str) -> None:
        """From now on the cluster archives its WAL by this tool; it need not restart for that."""
        push = f"{self.command[tool]} --config={self.site.config} --stanza=demo archive-push %p"
        archive(self.cluster, push)

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
        self.cluster.wait_archived(segment, seconds=300)

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
        """What both tools find whole is what is listed."""
        backups = self.info()
        for run in self.run.values():
            out = run("verify", "--output=text", "--verbose").stdout
            peer.parse_verify(out).assert_clean(backup["label"] for backup in backups)
        top = self.site.repo / "backup" / "demo"
        files = [str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()]
        self.kind.assert_stored(files, backups)
        return backups

    def compare_wal(self) -> None:
        """Either tool gives the same for the oldest and the newest segment of the archive."""
        (wal,) = json.loads(self.site.run("info", "--output=json").stdout)[0]["archive"]
        size = int(
            self.cluster.psql("select setting from pg_settings where name = 'wal_segment_size'")
        )
        for name in (wal["min"], wal["max"]):
            got = []
            for run in self.run.values():
                target = self.site.root / f"got{len(got)}"
                run("archive-get", name, str(target))
                got.append(target.read_bytes())
            assert got[0] == got[1]
            assert len(got[0]) == size

    def restore(self, tool: str) -> None:
        """A restored server has what the first one has."""
        copy = self.site.restored("copy")
        spaces = f"{copy.root}/spaces"
        self.run[tool]("restore", f"--pg1-path={copy.data}", f"--tablespace-map-all={spaces}")
        for path, text in ODD_FILES.items():
            assert (copy.data / path).read_text() == text
        (link,) = (copy.data / "pg_tblspc").iterdir()
        assert os.readlink(link) == f"{spaces}/my 'side'"
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
    """A function that makes a repository of a kind."""
    made: list[Site] = []

    def make(kind: Combination) -> Story:
        site = sites(clusters(16 if kind.compress == "zst" else 1))
        made.append(site)
        site.configure(**kind.options)
        return Story(site, kind)

    yield make
    for site in made:
        archive(site.cluster, "true")
        shutil.rmtree(site.root)


@pytest.mark.parametrize("kind", stories(*LAYOUTS, spared=("bz2",)))
def test_each_goes_on_where_the_other_stopped(story, kind):
    tale = story(kind)
    first, second = kind.first, PEER if kind.first == OURS else OURS
    tale.run[first]("stanza-create")
    tale.archive_with(first)
    for backup_type in ("full", "diff", "incr"):
        tale.run[first]("backup", f"--type={backup_type}")
        tale.change()
    tale.verify()
    tale.restore(second)

    tale.archive_with(second)
    tale.run[second]("backup", "--type=incr")
    tale.change()
    tale.verify()
    tale.restore(first)

    tale.run[first]("backup", "--type=incr")
    tale.change()
    backups = tale.verify()
    tale.compare_wal()
    tale.restore(second)
    assert [backup["type"] for backup in backups] == ["full", "diff", "incr", "incr", "incr"]
    assert backups[1]["prior"] == backups[0]["label"]
    for prior, backup in zip(backups[1:], backups[2:]):
        assert backup["prior"] == prior["label"]
        # Most of it is what the full backup holds.
        assert backup["info"]["delta"] < backup["info"]["size"] / 2


def test_a_segment_that_the_other_has_pushed_is_accepted_once_more_and_another_one_refused(story):
    tale = story(Combination(OURS, "gz", "files", "aes"))
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
    tale = story(Combination(PEER, "gz", "files", "plain"))
    site = tale.site
    site.pgbackrest("stanza-create")
    tale.archive_with(OURS)
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
    tale.restore(PEER)
    tale.restore(OURS)


def test_the_other_goes_on_with_what_is_not_compressed_whatever_its_own_options_say(story):
    tale = story(Combination(OURS, "none", "files", "plain"))
    site = tale.site
    site.run("stanza-create")
    tale.archive_with(OURS)
    site.run("backup", "--type=full")
    site.configure(compress_type="gz")
    done = site.pgbackrest("backup", "--type=incr")
    assert "cannot alter compress-type option to 'gz'" in done.stderr
    tale.verify()


def test_both_restore_the_same_tree(story):
    tale = story(Combination(OURS, "zst", "bundles", "plain"))
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
    tale.archive_with(OURS)
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
