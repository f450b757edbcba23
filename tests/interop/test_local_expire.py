# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both tools expire the same of a repository that both wrote, and leave it whole."""

from __future__ import annotations

import itertools
import json
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import infofile
from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import Site

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("pgbackrest")]

CHAIN = ("full", "incr", "full", "diff", "incr", "diff", "full", "incr", "incr")
"""What is in the repository; every other one is the peer's."""

RULES = {
    "the last full": ["--repo1-retention-full=1"],
    "one diff": ["--repo1-retention-full=3", "--repo1-retention-diff=1"],
    "two fulls": ["--repo1-retention-full=2"],
    "more than there are": ["--repo1-retention-full=9"],
    "WAL of one full": ["--repo1-retention-full=3", "--repo1-retention-archive=1"],
    "WAL of two diffs": [
        "--repo1-retention-full=3",
        "--repo1-retention-archive=2",
        "--repo1-retention-archive-type=diff",
    ],
    "WAL of one incr": [
        "--repo1-retention-full=2",
        "--repo1-retention-archive=1",
        "--repo1-retention-archive-type=incr",
    ],
    "by time, nothing so old": ["--repo1-retention-full=1", "--repo1-retention-full-type=time"],
    "no rule": [],
}

FAST = ("the last full", "one diff")


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    """A repository with full, differential and incremental backups of either tool."""
    made = sites(new_cluster("--wal-segsize=1"))
    made.run("stanza-create")
    made.archive()
    made.cluster.psql("create table fact as select generate_series(1, 1000) i")
    for backup_type, run in zip(CHAIN, itertools.cycle((made.run, made.pgbackrest))):
        run("backup", f"--type={backup_type}", "--no-expire-auto")
        # WAL between two backups, of which a rule may keep nothing.
        for _segment in range(2):
            made.cluster.psql("insert into fact select 1")
            segment = made.cluster.psql("select pg_walfile_name(pg_switch_wal())")
        made.cluster.wait_archived(segment, seconds=60)
    made.cluster.configure(archive_mode="off")
    made.cluster.restart()
    assert tuple(backup["type"] for backup in backups(made)) == CHAIN
    return made


class Copies(t.NamedTuple):
    """Two copies of the same repository."""

    ours: Path
    theirs: Path


@pytest.fixture
def copies(site):
    """A repository for either tool."""
    made = Copies(site.root / "ours", site.root / "theirs")
    for path in made:
        site.cluster.run("cp", "-a", site.repo, path)
    yield made
    for path in made:
        shutil.rmtree(path)


def backups(site: Site, repo: Path | None = None) -> list[dict[str, t.Any]]:
    """The backups that the peer lists; ours say the same."""
    where = f"--repo1-path={repo or site.repo}"
    ours, theirs = (
        json.loads(run("info", "--output=json", where).stdout)
        for run in (site.run, site.pgbackrest)
    )
    assert peer.shared(ours, theirs) == theirs
    return theirs[0]["backup"]


def listed(repo: Path) -> list[str]:
    """backup.info without what depends on who wrote it."""
    lines = (repo / "backup/demo/backup.info").read_text().splitlines()
    return [line for line in lines if not line.startswith(("backrest-checksum=", "backrest-ver"))]


def stored(repo: Path) -> dict[str, dict[str, t.Any]]:
    """Every file and directory but those that are written anew."""
    return {path: row for path, row in peer.tree(repo).items() if "/backup.info" not in path}


def assert_whole(site: Site, repo: Path) -> None:
    """The peer finds nothing missing."""
    labels = [backup["label"] for backup in backups(site, repo)]
    where = f"--repo1-path={repo}"
    out = site.pgbackrest("verify", "--output=text", "--verbose", where).stdout
    peer.parse_verify(out).assert_clean(labels)
    on_disk = [path.parent.name for path in repo.glob("backup/demo/2*/backup.manifest")]
    assert sorted(on_disk) == sorted(labels)


def assert_equal(copies: Copies) -> None:
    """Nothing tells one repository from the other."""
    assert listed(copies.ours) == listed(copies.theirs)
    ours, theirs = stored(copies.ours), stored(copies.theirs)
    assert sorted(ours) == sorted(theirs)
    assert ours == theirs


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(rule, id=name, marks=[] if name in FAST else [pytest.mark.slow])
        for name, rule in RULES.items()
    ],
)
def test_both_keep_the_same(site, copies, rule):
    site.run("expire", f"--repo1-path={copies.ours}", *rule)
    site.pgbackrest("expire", f"--repo1-path={copies.theirs}", *rule)
    assert_equal(copies)
    assert_whole(site, copies.ours)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [[], ["--repo1-retention-archive=1"]], ids=["", "WAL of one full"])
@pytest.mark.parametrize("old", range(4))
def test_both_keep_the_newest_full_that_is_old_enough(site, copies, old, rule):
    fulls = [backup["label"] for backup in backups(site) if backup["type"] == "full"]
    for repo in copies:
        for label in fulls[:old]:
            backdate(repo, label, days=30)
    by_time = ["--repo1-retention-full-type=time", "--repo1-retention-full=10", *rule]
    site.run("expire", f"--repo1-path={copies.ours}", *by_time)
    site.pgbackrest("expire", f"--repo1-path={copies.theirs}", *by_time)
    if old == 1 and not rule and peer.version() < (2, 55):
        # An older peer keeps the WAL before a full backup that is old enough, if none goes.
        assert listed(copies.ours) == listed(copies.theirs)
        assert set(stored(copies.ours)) < set(stored(copies.theirs))
    else:
        assert_equal(copies)
    assert_whole(site, copies.ours)
    left = [row["label"] for row in backups(site, copies.ours) if row["type"] == "full"]
    assert left == fulls[max(0, old - 1) :]


def backdate(repo: Path, label: str, *, days: int) -> None:
    """Let a backup have ended so many days ago, as far as backup.info knows."""
    for name in ("backup.info", "backup.info.copy"):
        path = repo / "backup" / "demo" / name
        document = infofile.parse(path.read_text())
        row = document.sections["backup:current"][label]
        for key in ("backup-timestamp-start", "backup-timestamp-stop"):
            row[key] -= days * 86400
        path.write_text(infofile.render(document.sections, document.version))


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", range(len(CHAIN)), ids=lambda number: f"{number}-{CHAIN[number]}"
)
def test_both_expire_the_same_with_a_named_backup(site, copies, number):
    label = f"--set={backups(site)[number]['label']}"
    site.run("expire", f"--repo1-path={copies.ours}", "--repo1-retention-full=9", label)
    site.pgbackrest("expire", f"--repo1-path={copies.theirs}", "--repo1-retention-full=9", label)
    assert_equal(copies)
    assert_whole(site, copies.ours)


def test_a_dry_run_removes_nothing_and_says_so_in_each_line(site, copies):
    before = peer.tree(copies.ours)
    words = [
        "expire", f"--repo1-path={copies.ours}", "--repo1-retention-full=1", "--dry-run",
        "--log-level-console=info",
    ]  # fmt: skip
    ours, theirs = (run(*words).stdout.splitlines() for run in (site.run, site.pgbackrest))
    assert peer.tree(copies.ours) == before
    logged = [line for line in ours if " P00 " in line]
    for lines in (logged, theirs):
        assert lines and all("INFO: [DRY-RUN] " in line for line in lines), lines
    # What it is for, whatever is logged.
    told = [line for line in ours if line not in logged]
    assert told[-1] == "nothing was removed: this is a dry run"
    for backup in backups(site, copies.ours):
        (row,) = [line for line in told if f"backup {backup['label']}: " in line]
        assert row.startswith(("repo1: keep   ", "repo1: remove ")), row
    assert any(line.startswith("repo1: remove WAL 15-1 0") for line in told)
    assert any(line.startswith("repo1: keep   WAL 15-1 ") for line in told)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["ours", "peer"])
def test_the_other_goes_on_with_what_is_left(site, who):
    """On the repository itself, so this comes last; each backup expires at its end."""
    run, other = (site.run, site.pgbackrest) if who == "ours" else (site.pgbackrest, site.run)
    site.archive()
    run("backup", "--type=full", "--repo1-retention-full=1")
    (full,) = backups(site)
    assert full["type"] == "full"
    other("backup", "--type=incr", "--repo1-retention-full=1")
    assert [backup["type"] for backup in backups(site)] == ["full", "incr"]
    assert_whole(site, site.repo)
    assert sorted(segments(site.repo))[0] == full["archive"]["start"]
    copy = site.restored(f"copy-{who}")
    other("restore", f"--pg1-path={copy.data}")
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    assert peer.contents(copy) == peer.contents(site.cluster)
    copy.stop()


def segments(repo: Path) -> list[str]:
    """The names of the archived segments."""
    return [path.name[:24] for path in repo.glob("archive/demo/*/*/*-*") if path.is_file()]
