# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both tools find the same damaged pages, say so, and back up all the same."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("pgbackrest")]

PAGE = 8192

DAMAGE = {
    # Table: pages with a wrong byte, pages of nothing but zeros, bytes after the last page.
    "sound": ((), (), 0),
    "one": ((4,), (), 0),
    "many": ((0, 5, 7, 29), (), 0),
    "runs": ((), (), 0),
    "zeros": ((), (3, 4), 0),
    "cut": ((2,), (), 100),
    "half": ((2,), (), PAGE // 2),
}

# What happens to the table of that name later.
RUNS = (0, 1, 5, 7, 8, 9, 29)


class Damaged(t.NamedTuple):
    """A site whose cluster is damaged, and the relations' names in a manifest."""

    site: t.Any
    files: dict[str, str]


@pytest.fixture(scope="module", params=["bundles", pytest.param("files", marks=pytest.mark.slow)])
def damaged(request, sites, new_cluster):
    """Relations of thirty pages, each with damage of its own."""
    site = sites(new_cluster("--wal-segsize=1"))
    site.configure(repo1_bundle="y" if request.param == "bundles" else "n")
    site.run("stanza-create")
    site.archive()
    cluster = site.cluster
    files = {}
    for name in DAMAGE:
        cluster.psql(
            f'create table "{name}" with (fillfactor = 10) as '
            "select i, repeat('x', 500) from generate_series(1, 30) i"
        )
        files[name] = cluster.psql(f"select pg_relation_filepath('\"{name}\"')")
    cluster.stop()
    for name, (flipped, zeroed, tail) in DAMAGE.items():
        flip(cluster.data / files[name], flipped)
        with open(cluster.data / files[name], "r+b") as file:
            for page in zeroed:
                file.seek(page * PAGE)
                file.write(bytes(PAGE))
            file.seek(0, 2)
            file.write(b"x" * tail)
    cluster.start()
    return Damaged(site, {name: f"pg_data/{path}" for name, path in files.items()})


def flip(path: Path, pages: t.Iterable[int]) -> None:
    """Change a byte of each of these pages."""
    with open(path, "r+b") as file:
        for page in pages:
            file.seek(page * PAGE + PAGE - 7)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 0x55]))


def backups(site) -> list[dict[str, t.Any]]:
    """What both tools list, up to the files in error."""
    listed = []
    for label in labels(site):
        ours, theirs = (
            json.loads(run("info", "--output=json", f"--set={label}").stdout)
            for run in (site.run, site.pgbackrest)
        )
        assert peer.shared(ours, theirs) == theirs
        listed += ours[0]["backup"]
    return listed


def labels(site) -> list[str]:
    """Of all backups."""
    (stanza,) = json.loads(site.pgbackrest("info", "--output=json").stdout)
    return [backup["label"] for backup in stanza["backup"]]


def test_both_find_the_same_pages_and_remember_them(damaged):
    site, files = damaged
    warnings = []
    theirs, ours = site.pgbackrest, site.run
    chain = ((theirs, "full"), (ours, "incr"), (ours, "full"), (theirs, "incr"))
    for run, backup_type in chain:
        done = run("backup", f"--type={backup_type}", "--no-delta")
        warnings.append(done.stdout + done.stderr)

    checks = []
    for backup in backups(site):
        assert backup["error"] is True
        assert backup["error-list"] == sorted(
            path[len("pg_data/") :] for name, path in files.items() if any(DAMAGE[name][::2])
        )
        checks.append(checks_of(site, backup["label"]))
    for found in checks:
        assert {name: found[path] for name, path in files.items()} == {
            "sound": {"checksum-page": True},
            "one": {"checksum-page": False, "checksum-page-error": [4]},
            "many": {"checksum-page": False, "checksum-page-error": [0, 5, 7, 29]},
            "runs": {"checksum-page": True},
            "zeros": {"checksum-page": True},
            "cut": {"checksum-page": False},
            "half": checks[0][files["half"]],
        }
    # All other relations as well, where both read all.
    assert checks[0] == checks[2]
    for lines in (warnings[0], warnings[2]):
        assert warned(lines, files["many"], "0, 5, 7, 29")


def test_runs_of_pages_are_kept_together(damaged):
    site, files = damaged
    path = files["runs"]
    flip(site.cluster.data / path[len("pg_data/") :], RUNS)
    assert warned(site.run("backup", "--type=full").stdout, path, "0-1, 5, 7-9, 29")
    site.pgbackrest("backup", "--type=incr")
    made = 2
    # This version dies of a run.
    if peer.version() != (2, 55):
        site.pgbackrest("backup", "--type=full")
        made = 3
    for backup in backups(site)[-made:]:
        assert checks_of(site, backup["label"])[path] == {
            "checksum-page": False,
            "checksum-page-error": [[0, 1], 5, [7, 9], 29],
        }


def checks_of(site, label: str) -> dict[str, dict[str, t.Any]]:
    """What the manifest of a backup says of each file's pages."""
    path = site.repo / "backup" / "demo" / label / "backup.manifest"
    return peer.page_checks(path.read_text())


def warned(log: str, path: str, pages: str) -> bool:
    """Whether the log tells of these pages; older peers say it in other words."""
    file = path[len("pg_data/") :]
    return bool(
        re.search(rf"WARN: invalid page checksum.* in file .*{file} at page(s|\(s\)) {pages}", log)
    )


def test_the_damage_comes_back_from_a_restore_as_it_was(damaged):
    site, files = damaged
    for number, run in enumerate((site.run, site.pgbackrest)):
        copy = site.restored(f"copy{number}")
        run("restore", f"--pg1-path={copy.data}", "--type=none")
        for path in files.values():
            name = path[len("pg_data/") :]
            assert (copy.data / name).read_bytes() == (site.cluster.data / name).read_bytes()
