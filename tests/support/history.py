# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories as years might leave them: what expire reads of one, made up by a seed.

Files of backups and WAL are there by name, and empty; the info files are real.
"""

from __future__ import annotations

import random
import time
import typing as t
from pathlib import Path

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import infofile

DAY = 86400

# Version, catalog, control and system id; the second is the cluster after a major upgrade.
_CLUSTERS = (
    ("14", 202107181, 1300, 7710957320943491731),
    ("15", 202209061, 1300, 7710957320943491999),
)

_FACTS = {
    "backrest-format": 5,
    "backrest-version": "2.45",
    "backup-error": False,
    "backup-info-repo-size": 10,
    "backup-info-repo-size-delta": 10,
    "backup-info-size": 10,
    "backup-info-size-delta": 10,
    "option-archive-check": True,
    "option-backup-standby": False,
    "option-checksum-page": True,
    "option-compress": True,
    "option-hardlink": False,
}


class _Wal:
    """The WAL of one cluster, written from a place on."""

    def __init__(self, chance: random.Random, archive: Path) -> None:
        self._chance = chance
        self._archive = archive
        self._timeline = 1
        self._next = chance.randint(1, 600)

    @property
    def name(self) -> str:
        """Of the next segment."""
        return f"{self._timeline:08X}{self._next // 256:08X}{self._next % 256:08X}"

    def archive(self, count: int) -> str:
        """Some segments, of which one may be lost; gives the last one's name."""
        last = ""
        for _segment in range(count):
            last = self.name
            if self._chance.random() > 0.03:
                self.put(last, f"{last}-{'a' * 40}.zst")
            self._next += 1
        return last

    def put(self, segment: str, name: str) -> None:
        """A file beside a segment."""
        directory = self._archive / segment[:16]
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()

    def promote(self) -> None:
        """Go on in a new timeline."""
        self.put(self.name, f"{self.name}.partial-{'b' * 40}.zst")
        self._timeline += 1
        (self._archive / f"{self._timeline:08X}.history").touch()


def make(root: Path, seed: int) -> None:
    """A repository with the stanza ``demo`` below ``root``, which is not there yet."""
    chance = random.Random(seed)
    backups, archive = root / "backup/demo", root / "archive/demo"
    backups.mkdir(parents=True)
    archive.mkdir(parents=True)
    count = 1 if chance.random() < 0.7 else 2
    now = int(time.time())
    moment = now - 60 * DAY
    current: dict[str, dict[str, t.Any]] = {}
    for number, (version, *_facts) in enumerate(_CLUSTERS[:count], start=1):
        wal = _Wal(chance, archive / f"{version}-{number}")
        wal.archive(chance.randint(1, 3))
        chain: list[str] = []
        for _backup in range(chance.randint(0, 8)):
            moment += chance.randint(2, 8 * DAY)
            if moment > now - DAY:
                break
            label, facts = _backup_of(chance, chain, moment, wal)
            chain = [label] if facts["backup-type"] == "full" else [*chain, label]
            current[label] = {**facts, "db-id": number}
            moment = facts["backup-timestamp-stop"]
            _write(backups, label)
            wal.archive(chance.randint(0, 4))
            if chance.random() < 0.15:
                wal.promote()
        wal.archive(chance.randint(0, 3))
    _write_info(backups, archive, count, current)


def _backup_of(
    chance: random.Random, chain: list[str], moment: int, wal: _Wal
) -> tuple[str, dict[str, t.Any]]:
    kind = chance.choice(["full", "full", "diff", "incr", "incr"]) if chain else "full"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(moment))
    label = f"{stamp}F" if kind == "full" else f"{chain[0]}_{stamp}{kind[0].upper()}"
    facts: dict[str, t.Any] = {
        **_FACTS,
        "backup-type": kind,
        "backup-timestamp-start": moment,
        "backup-timestamp-stop": moment + chance.randint(1, 3600),
        "option-archive-copy": chance.random() < 0.2,
        "option-online": chance.random() > 0.07,
    }
    start = wal.name
    stop = wal.archive(chance.randint(1, 3))
    facts["backup-archive-start"] = start if facts["option-online"] else None
    facts["backup-archive-stop"] = stop if facts["option-online"] else None
    if chance.random() < 0.5:
        wal.put(stop, f"{start}.00000028.backup")
    if kind != "full":
        facts["backup-prior"] = chain[0] if kind == "diff" else chain[-1]
        facts["backup-reference"] = [chain[0]] if kind == "diff" else sorted(chain)
    return label, dict(sorted(facts.items()))


def _write(backups: Path, label: str) -> None:
    (backups / label).mkdir()
    for name in ("backup.manifest", "backup.manifest.copy"):
        (backups / label / name).touch()
    kept = backups / "backup.history" / label[:4]
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{label}.manifest.gz").touch()


def _write_info(
    backups: Path, archive: Path, count: int, current: dict[str, dict[str, t.Any]]
) -> None:
    rows = [
        {
            "db-catalog-version": catalog,
            "db-control-version": control,
            "db-system-id": system,
            "db-version": version,
        }
        for version, catalog, control, system in _CLUSTERS[:count]
    ]
    sections: dict[str, dict[str, t.Any]] = {"backup:current": current} if current else {}
    sections["db"] = dict(sorted({**rows[-1], "db-id": count}.items()))
    sections["db:history"] = {str(key): row for key, row in enumerate(rows, start=1)}
    _write_twins(backups / "backup.info", sections)
    last = rows[-1]
    names = ("db-system-id", "db-version")
    sections = {"db": {"db-id": count, **{name: last[name] for name in names}}}
    sections["db:history"] = {
        str(key): {"db-id": row["db-system-id"], "db-version": row["db-version"]}
        for key, row in enumerate(rows, start=1)
    }
    _write_twins(archive / "archive.info", sections)


def _write_twins(path: Path, sections: dict[str, dict[str, t.Any]]) -> None:
    text = infofile.render(sections, "2.45")
    for twin in (path, path.with_name(f"{path.name}.copy")):
        twin.write_text(text, encoding="utf-8")


def rule(seed: int) -> list[str]:
    """Options of retention."""
    chance = random.Random(seed)
    options: dict[str, t.Any] = {}
    if chance.random() < 0.3:
        options.update({"full-type": "time", "full": chance.choice([1, 5, 10, 20, 40, 80])})
    elif chance.random() < 0.9:
        options["full"] = chance.randint(1, 4)
    if chance.random() < 0.4:
        options["diff"] = chance.randint(1, 4)
    if chance.random() < 0.5:
        options["archive"] = chance.randint(1, 5)
    if chance.random() < 0.5:
        options["archive-type"] = chance.choice(["full", "diff", "incr"])
    if chance.random() < 0.2:
        options["history"] = chance.choice([0, 5, 30])
    return [f"--repo1-retention-{name}={value}" for name, value in options.items()]
