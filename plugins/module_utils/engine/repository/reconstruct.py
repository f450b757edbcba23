# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup.info against what lies in the repository (repository reference, section 3.4).

A run that dies between the manifest and backup.info leaves a good backup that is not listed; one
that dies in the middle of expire leaves a listed backup without manifest. Commands that change
backups begin by putting both right; nobody has to repair anything by hand.
"""

from __future__ import annotations

import typing as t

from .. import log
from ..errors import EngineError, StorageMissingError, TransportLostError
from ..storage.base import FileKind
from . import backup_info, label, layout, manifest
from .backup_info import BackupInfo

if t.TYPE_CHECKING:
    from ..storage.base import Storage
    from .contents import Manifest


class Reconstruction(t.NamedTuple):
    """What became of backup.info; labels ascending."""

    info: BackupInfo
    removed: tuple[str, ...] = ()
    """Listed but without manifest, or dependent on such a one."""
    added: tuple[str, ...] = ()
    """Whole but not listed."""
    invalid: tuple[str, ...] = ()
    """Not listed, with a manifest that does not fit."""
    on_disk: t.Mapping[str, bool] = {}
    """Every backup directory, and whether it has a manifest."""

    @property
    def changed(self) -> bool:
        """Whether backup.info on disk is out of date."""
        return bool(self.removed or self.added)


def reconstruct(
    info: BackupInfo,
    on_disk: t.Mapping[str, bool],
    load_manifest: t.Callable[[str], Manifest | None],
) -> Reconstruction:
    """Apply the rule. ``on_disk`` tells of every backup directory whether it has a manifest.

    ``load_manifest`` is asked only for backups that may have to be added; None is one that cannot
    be read.
    """
    removed: list[str] = []
    for name in list(info.backups):
        if name in info.backups and not on_disk.get(name, False):
            gone = backup_info.dependents(info.backups, name)
            removed += gone
            info = info.without_backups(gone)
    added: list[str] = []
    invalid: list[str] = []
    clusters = {row[:3] for row in info.history}
    for name in sorted(on_disk):
        if not on_disk[name] or name in info.backups or not _may_belong(info, name):
            continue
        found = load_manifest(name)
        if (
            found is not None
            and found.db[:3] in clusters
            and (found.backup.prior is None or found.backup.prior in info.backups)
        ):
            info = info.with_backup(manifest.entry_for(found))
            added.append(name)
        else:
            invalid.append(name)
    return Reconstruction(info, tuple(sorted(removed)), tuple(added), tuple(invalid))


def _may_belong(info: BackupInfo, name: str) -> bool:
    full = label.full_of(name)
    return name == full or any(label.full_of(other) == full for other in info.backups)


def labels_on_disk(storage: Storage, stanza: str) -> dict[str, bool]:
    """Every backup directory, ascending, and whether it has a manifest."""
    try:
        entries = storage.list(layout.backup_path(stanza))
    except StorageMissingError:
        return {}
    names = [
        entry.name
        for entry in entries
        if entry.kind is FileKind.PATH and label.is_label(entry.name)
    ]
    found = storage.info_many(layout.manifest_path(stanza, name) for name in names)
    return {name: info is not None for name, info in zip(names, found)}


def load_reconstructed(storage: Storage, stanza: str, cipher_pass: str | None) -> Reconstruction:
    """backup.info as it should be; nothing is written. ``cipher_pass`` is the user's."""
    loading = backup_info.begin(storage, stanza, cipher_pass)
    on_disk = labels_on_disk(storage, stanza)
    info = loading.result()

    def load_manifest(name: str) -> Manifest | None:
        try:
            return manifest.load(storage, stanza, name, info.cipher_pass)
        except TransportLostError:
            raise
        except EngineError as cause:
            log.debug("manifest of backup '%s' cannot be read: %s", name, cause)
            return None

    result = reconstruct(info, on_disk, load_manifest)._replace(on_disk=on_disk)
    for name in result.removed:
        log.warn("backup '%s' missing manifest removed from backup.info", name)
    for name in result.added:
        log.warn("backup '%s' found in repository added to backup.info", name)
    for name in result.invalid:
        log.warn("invalid backup '%s' cannot be added to current backups", name)
    return result
