# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in which there is something to expire: two sets of two backups each."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import expire, info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.expire_report import (
    ExpireReport,
    ExpireResult,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    backup_info,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

from .fixtures import FixtureRepositories, FixtureRepository
from .place import Place

RULE = ("--repo1-retention-full=1",)


class Expiring(Place):
    """The repository, its configuration, and the labels of both sets."""

    def __init__(
        self, repository: FixtureRepository, root: Path, old: list[str], new: list[str]
    ) -> None:
        super().__init__(repository, root)
        self.path = repository.path
        self.old = old
        self.new = new

    def copy_to(self, directory: Path) -> Expiring:
        """The same in another place, with a configuration of its own."""
        return Expiring(self.repository.copy_to(directory), directory, self.old, self.new)

    def expire(self, *arguments: str) -> ExpireResult:
        """What became of the only repository, or of the first."""
        return self.expire_all(*arguments).repos[0]

    def expire_all(self, *arguments: str) -> ExpireReport:
        """What the command says."""
        return expire.run(self.options("expire", *arguments))

    def listed(self) -> list[str]:
        """The backups that info shows."""
        (stanza,) = info.run(self.options("info")).stanzas
        return [row["label"] for row in stanza["backup"]]

    def with_manifest(self) -> list[str]:
        """The backups that have one."""
        return [path.parent.name for path in self.path.glob("backup/demo/*/backup.manifest")]

    def tree(self) -> dict[str, str | bool]:
        """Every name in the repository, where links lead, and what else is a directory."""
        return {
            str(path.relative_to(self.path)): (
                os.readlink(path) if path.is_symlink() else path.is_dir()
            )
            for path in sorted(self.path.rglob("*"))
        }


def two_sets(repositories: FixtureRepositories, root: Path) -> Expiring:
    """Two full backups, each with an incremental one."""
    repository = repositories["f"].copy_to(root)
    old, new = _second_set(repository.path)
    return Expiring(repository, root, old, new)


def _second_set(path: Path) -> tuple[list[str], list[str]]:
    """Another full backup with an incremental one, three days later: the same under other names.

    Its WAL is that of the first, which comes to the same as WAL that lies before it.
    """
    storage = PosixStorage(str(path))
    catalogue = backup_info.load(storage, "demo", None)
    rename = {name: name.replace("20261122", "20261125") for name in catalogue.backups}
    new = dict(catalogue.backups)
    last = max(entry.archive_stop for entry in new.values())
    later = 3 * 86400
    for old, label in rename.items():
        shutil.copytree(path / "backup/demo" / old, path / "backup/demo" / label, symlinks=True)
        contents = manifest.load(storage, "demo", old, catalogue.cipher_pass)
        facts = contents.backup
        changed = dataclasses.replace(
            contents,
            backup=dataclasses.replace(
                facts,
                label=label,
                prior=rename.get(facts.prior),
                references=tuple(rename[name] for name in facts.references),
                archive_start=last,
                archive_stop=last,
                timestamp_start=facts.timestamp_start + later,
                timestamp_copy_start=facts.timestamp_copy_start + later,
                timestamp_stop=facts.timestamp_stop + later,
            ),
            files=[file._replace(reference=rename.get(file.reference)) for file in contents.files],
        )
        manifest.save(storage, "demo", changed, catalogue.cipher_pass)
        entry = manifest.entry_for(changed)
        new[label] = entry
    backup_info.save(storage, "demo", dataclasses.replace(catalogue, backups=new), None)
    latest = path / "backup/demo/latest"
    latest.unlink()
    latest.symlink_to(max(new))
    return sorted(rename), sorted(rename.values())
