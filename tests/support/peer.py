# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stock pgBackRest says, read back, and how two clusters or directories are compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import stat
import subprocess
import typing as t
from pathlib import Path

from .postgres import Cluster

COMMAND = Path("/usr/bin/pgbackrest")

_ARCHIVE = re.compile(r"^  archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)$")
_BACKUP = re.compile(
    r"^  backup: (\S+), status: (.+), total files checked: (\d+), total valid files: (\d+)$"
)
_FAULTS = re.compile(
    r"^    missing: (\d+), checksum invalid: (\d+), size invalid: (\d+), other: (\d+)$"
)


def version() -> tuple[int, int]:
    """The version of the peer on this machine, such as (2, 55)."""
    text = subprocess.run([COMMAND, "version"], check=True, capture_output=True, text=True).stdout
    major, minor = re.match(r"pgBackRest (\d+)\.(\d+)", text).groups()
    return int(major), int(minor)


@dataclasses.dataclass
class Checked:
    """What ``verify`` says of one backup or of the WAL of one archive id."""

    status: str
    checked: int
    valid: int
    faults: tuple[int, ...] = ()
    """Missing, checksum invalid, size invalid, other."""

    @property
    def clean(self) -> bool:
        """Everything was there, and as it should be."""
        return self.status == "valid" and self.checked == self.valid > 0 and self.faults == (0,) * 4


@dataclasses.dataclass
class Verification:
    """The output of ``pgbackrest verify --output=text --verbose``."""

    status: str
    archives: dict[str, Checked]
    backups: dict[str, Checked]
    text: str

    def assert_clean(self, labels: t.Iterable[str]) -> None:
        """Every one of these backups, and no other one, is whole; so is the WAL."""
        assert self.status == "ok", self.text
        assert sorted(self.backups) == sorted(labels), self.text
        assert self.archives, self.text
        for found in (*self.archives.values(), *self.backups.values()):
            assert found.clean, self.text


def parse_verify(text: str) -> Verification:
    """Read the report; lines of the log between it do not matter."""
    result = Verification("", {}, {}, text)
    last: Checked | None = None
    for line in text.splitlines():
        if line.startswith("status: "):
            result.status = line[len("status: ") :]
        elif found := _ARCHIVE.match(line):
            last = Checked("valid", int(found[2]), int(found[3]))
            result.archives[found[1]] = last
        elif found := _BACKUP.match(line):
            last = Checked(found[2], int(found[3]), int(found[4]))
            result.backups[found[1]] = last
        elif (found := _FAULTS.match(line)) and last is not None:
            last.faults = tuple(int(number) for number in found.groups())
    return result


def shared(one: t.Any, other: t.Any) -> t.Any:
    """``one`` without the fields that ``other`` lacks, at any depth."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: shared(one[key], other[key]) for key in one if key in other}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [shared(*pair) for pair in zip(one, other)]
    return one


def fields(value: t.Any, path: str = "") -> set[str]:
    """The paths of all fields, such as ``backup.archive.start``."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, below in value.items():
            name = f"{path}.{key}" if path else key
            found |= {name} | fields(below, name)
    elif isinstance(value, list):
        for below in value:
            found |= fields(below, path)
    return found


def contents(cluster: Cluster) -> str:
    """All that the databases of a cluster hold, as SQL.

    Without unlogged tables' rows, which no backup has, and without tablespaces: their paths differ.
    """
    dump = cluster.run(
        cluster.bin / "pg_dumpall", "--no-unlogged-table-data", "--no-tablespaces",
        "--host", cluster.socket, "--port", cluster.port, "--username", "postgres",
    )  # fmt: skip
    # The key of \restrict is a new one every time.
    return re.sub(r"^\\(un)?restrict .*\n", "", dump, flags=re.MULTILINE)


def tree(root: Path) -> dict[str, dict[str, t.Any]]:
    """Everything below a directory: kind, mode, and size, time and hash or where a link leads."""
    return {path: _entry(root / path) for path in _walk(root)}


def _walk(root: Path) -> t.Iterator[str]:
    for directory, paths, files in os.walk(root):
        for name in paths + files:
            yield os.path.relpath(os.path.join(directory, name), root)


def _entry(path: Path) -> dict[str, t.Any]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return {"link": os.readlink(path)}
    common = {"mode": oct(stat.S_IMODE(status.st_mode)), "owner": (status.st_uid, status.st_gid)}
    if stat.S_ISDIR(status.st_mode):
        return {"directory": True, **common}
    return {
        **common,
        "size": status.st_size,
        "mtime": int(status.st_mtime),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def manifest_files(manifest: str) -> dict[str, dict[str, t.Any]]:
    """The rows of a manifest's files, read without the engine."""
    section = manifest.split("[target:file]\n", 1)[1].split("\n\n", 1)[0]
    found = {}
    for line in section.splitlines():
        # A name may hold '=', and so may no value: JSON here has none outside of strings.
        name, _dummy, value = line.partition('={"')
        found[name] = json.loads('{"' + value)
    return found


def page_checks(manifest: str) -> dict[str, dict[str, t.Any]]:
    """Of each file that has them, the fields ``checksum-page*`` of a manifest."""
    found = {}
    for name, row in manifest_files(manifest).items():
        checks = {key: row[key] for key in row if key.startswith("checksum-page")}
        if checks:
            found[name] = checks
    return found
