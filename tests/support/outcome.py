# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository is worth after something was broken: judged by us and by stock pgBackRest."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path

from .engine import Site

STOCK = Path("/usr/bin/pgbackrest")

# What is written by the restore itself, and differs from one release of pgBackRest to another.
OF_A_RESTORE = {Path("postgresql.auto.conf"), Path("recovery.signal"), Path("global/pg_control")}


def posix_view(site: Site) -> Site:
    """The same site with its repository seen as the directory that it is."""
    view = copy.copy(site)
    view.config = site.config.with_name("posix.conf")
    view.settings = {
        name: value
        for name, value in site.settings.items()
        if not name.startswith("repo1-sftp") and name not in ("repo1-type", "io-timeout")
    }
    view.configure()
    return view


def stock(site: Site, *arguments: str) -> str:
    """Run stock pgBackRest on the directory, as whoever owns the files that the server made."""
    view = posix_view(site)
    words = [str(STOCK), f"--config={view.config}", "--stanza=demo", *arguments]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def labels(site: Site) -> list[str]:
    """The backups that ``info`` lists."""
    return _labels(site.run("info", "--output=json").stdout)


def labels_of_stock(site: Site) -> list[str]:
    """The backups that stock pgBackRest's ``info`` lists."""
    return _labels(stock(site, "info", "--output=json"))


def _labels(out: str) -> list[str]:
    (stanza,) = json.loads(out)
    return [backup["label"] for backup in stanza["backup"]]


def assert_verified(site: Site) -> None:
    """Every file of the repository is what it should be."""
    out = site.run("verify", "--output=text").stdout
    assert "status: ok" in out or "status: error" not in out, out


def assert_same_tree(left: Path, right: Path) -> None:
    """Same names, same bytes."""
    names, others = (
        {path.relative_to(top) for path in top.rglob("*")} - OF_A_RESTORE for top in (left, right)
    )
    assert not names ^ others, sorted(names ^ others)
    for name in names:
        if (left / name).is_file():
            assert (right / name).read_bytes() == (left / name).read_bytes(), name


def assert_restored_as_by_stock(site: Site, through: Site) -> None:
    """A restore through ``through`` gives, to the byte, what stock pgBackRest restores."""
    ours, theirs = (site.restored(name).data for name in ("ours", "theirs"))
    through.run("restore", f"--pg1-path={ours}", "--type=none")
    theirs.mkdir(mode=0o700)
    stock(site, "restore", f"--pg1-path={theirs}", "--type=none")
    assert_same_tree(ours, theirs)
    for path in (ours, theirs):
        shutil.rmtree(path.parent)
