# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ansible-galaxy collection build`` packs, in a clone that somebody works in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

TOP = Path(__file__).resolve().parents[2]

# What users are told to make there, what they may call it, and what the playbooks leave.
OWN = (
    "inventories/mine/group_vars/all/vault.yml",
    "inventories/dev/hosts.yml",
    "inventories/eu/hosts.yml",
    "inventories/example-2/group_vars/all/vault.yml",
    "inventories/hosts.yml",
    "pgsftp-report.html",
    "playbooks/pgsftp-report.html",
    "playbooks/site.retry",
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in the package."""
    place = tmp_path_factory.mktemp("package")
    clone = place / "clone"
    for part in ("inventories", "meta", "playbooks"):
        shutil.copytree(TOP / part, clone / part)
    for name in ("README.md", "LICENSE", "galaxy.yml"):
        shutil.copy(TOP / name, clone / name)
    for name in OWN:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("secret\n", encoding="utf-8")
    subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "galaxy", "collection", "build"),
            *("--output-path", str(place)),
        ],
        cwd=clone,
        env={"ANSIBLE_HOME": str(place / "ansible"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    (package,) = place.glob("*.tar.gz")
    with tarfile.open(package) as archive:
        return [row.name for row in archive if row.isfile()]


def test_what_is_the_users_own_is_not_packed(packed: list[str]) -> None:
    assert set(packed) & set(OWN) == set()
    assert {name for name in packed if name.startswith("inventories/")} == {
        str(path.relative_to(TOP))
        for path in (TOP / "inventories/example").rglob("*")
        if path.is_file()
    }


def test_what_users_need_is_packed(packed: list[str]) -> None:
    assert {"playbooks/site.yml", "playbooks/tasks/restore.yml", "meta/runtime.yml"} <= set(packed)


def test_other_collections_are_taken_up_to_the_next_major_version() -> None:
    """The same in both files; what is installed here, and so tested, is among them."""
    needed = yaml.safe_load((TOP / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]
    rows = yaml.safe_load((TOP / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    taken = {row["name"]: row["version"] for row in rows}
    assert {name: taken[name] for name in needed} == needed
    for name, versions in taken.items():
        assert re.fullmatch(r">=\d+\.\d+\.\d+,<\d+\.0\.0", versions), name
        place = TOP / ".cache/collections/ansible_collections" / name.replace(".", "/")
        manifest = json.loads((place / "MANIFEST.json").read_text(encoding="utf-8"))
        found = Version(manifest["collection_info"]["version"])
        assert SpecifierSet(versions).contains(found), (name, found)
        assert f",<{found.major + 1}.0.0" in versions, (name, found)
