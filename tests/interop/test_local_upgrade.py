# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster is replaced by a new one, as pg_upgrade does it: from the upgrade of the stanza until
the former cluster is gone from the repository. Each step is done by one tool and seen by the other.
"""

from __future__ import annotations

import json
import shutil
import typing as t

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import Site

pytestmark = [pytest.mark.interop, pytest.mark.integration, pytest.mark.usefixtures("pgbackrest")]


def listed(site: Site) -> list[tuple[str, int]]:
    """Type and cluster of each backup, as both tools list them."""
    ours, theirs = (
        json.loads(run("info", "--output=json").stdout) for run in (site.run, site.pgbackrest)
    )
    assert peer.shared(ours, theirs) == theirs
    return [(backup["type"], backup["database"]["id"]) for backup in theirs[0]["backup"]]


def replaced(site: Site) -> None:
    """A new cluster in the place of the old one."""
    site.cluster.stop()
    shutil.rmtree(site.cluster.data)
    site.cluster.init("--wal-segsize=1")
    site.cluster.start()


@pytest.mark.parametrize(
    "who", ["ours", pytest.param("peer", marks=pytest.mark.slow)], ids=["ours", "peer-first"]
)
def test_from_the_old_cluster_to_the_new_one(sites: t.Any, new_cluster: t.Any, who: str) -> None:
    site = sites(new_cluster("--wal-segsize=1"))
    run, other = (site.run, site.pgbackrest) if who == "ours" else (site.pgbackrest, site.run)
    site.archive()
    run("stanza-create")
    site.cluster.psql("create table told as select 'old' as cluster")
    other("backup", "--type=full")
    old = json.loads(run("info", "--output=json").stdout)[0]["backup"][0]["label"]

    replaced(site)
    before = sorted(site.repo.glob("archive/demo/*/*/*"))
    site.archive()
    site.cluster.psql("create table told as select 'new' as cluster")
    # Neither WAL nor a backup of it gets among the old ones.
    segment = site.cluster.psql("select pg_walfile_name(pg_switch_wal())")
    site.cluster.wait("select failed_count > 0 from pg_stat_archiver", "t")
    for tool in (run, other):
        tool("backup", "--type=incr", code=51)
        tool("check", code=28)
    assert sorted(site.repo.glob("archive/demo/*/*/*")) == before

    run("stanza-upgrade")
    # Whatever was refused comes by itself.
    site.cluster.wait_archived(segment, seconds=90)
    assert list(site.repo.glob(f"archive/demo/15-2/*/{segment}-*"))
    other("check")
    run("backup", "--type=incr")
    assert listed(site) == [("full", 1), ("full", 2)]
    other("backup", "--type=incr")
    assert listed(site) == [("full", 1), ("full", 2), ("incr", 2)]

    for number, (tool, words, cluster) in enumerate(
        [(run, ["--set", old, "--type=immediate", "--target-action=promote"], "old"),
         (other, [], "new")]
    ):  # fmt: skip
        copy = site.restored(f"copy{number}")
        tool("restore", f"--pg1-path={copy.data}", "--archive-mode=off", *words)
        copy.configure(unix_socket_directories=str(copy.socket))
        copy.start()
        copy.wait("select pg_is_in_recovery()", "f")
        assert copy.psql("select cluster from told") == cluster
        copy.stop()

    run("expire", "--repo1-retention-full=1")
    assert listed(site) == [("full", 2), ("incr", 2)]
    assert [path.name for path in (site.repo / "archive/demo").iterdir() if path.is_dir()] == [
        "15-2"
    ]
    said = site.run("verify", "--output=json", "--log-level-console=off").stdout
    assert json.loads(said)["status"] == "ok"
