# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup.info against what lies in the repository (repository reference, section 3.4).

A run that dies between the manifest and backup.info leaves a good backup that is not listed; one
that dies in the middle of expire leaves a listed backup without manifest. Commands that change
backups begin by putting both right; nobody has to repair anything by hand.
"""

from __future__ import annotations

import re
import time
import typing as t

from .. import log
from ..errors import EngineError, StorageMissingError, TransportLostError
from ..storage.base import TEMPORARY_SUFFIX, FileKind
from . import backup_info, label, layout, manifest
from .backup_info import BackupInfo

if t.TYPE_CHECKING:
    from ..storage.base import FileInfo, Listing, Storage
    from .contents import Manifest

_YEAR = re.compile(r"\d{4}$")


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
    history: tuple[str, ...] = ()
    """Backups of the newest year of which there were any, also those that are gone."""
    unfinished: tuple[str, ...] = ()
    """Paths in the history that a run which was killed, or one that goes on, has not finished."""
    half_saved: bool = False
    """Whether a run that was killed left backup.info without its copy, or with parts of it."""
    parts: tuple[str, ...] = ()
    """Paths of those; of no use once backup.info and its copy are saved."""

    def orphans(self, gone: t.Collection[str]) -> list[str]:
        """What is ``unfinished`` of backups that have no directory, or that are ``gone``."""
        alive = self.on_disk.keys() - set(gone)
        return [path for path in self.unfinished if _label_of(path) not in alive]

    @property
    def abandoned(self) -> t.Collection[str]:
        """Directories of backups that never were finished, and so never were listed."""
        return {name for name, whole in self.on_disk.items() if not whole} - {*self.removed}

    @property
    def is_sound(self) -> bool:
        """Whether there is nothing to be mended."""
        return not (self.changed or self.invalid or self.half_saved or self.parts)

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


class OnDisk(t.NamedTuple):
    """What the directories of a stanza's backups tell."""

    labels: dict[str, bool]
    """Every backup directory, ascending, and whether it has a manifest."""
    history: tuple[str, ...]
    """Backups of the newest year of which there were any, also those that are gone."""
    unfinished: tuple[str, ...]
    """See Reconstruction; ``half_saved`` and ``parts``, too."""
    half_saved: bool
    parts: tuple[str, ...]


def labels_on_disk(storage: Storage, stanza: str) -> dict[str, bool]:
    """Every backup directory, ascending, and whether it has a manifest."""
    return look(storage, stanza).labels


def look(storage: Storage, stanza: str) -> OnDisk:
    """List backups and their history, at once as far as the years are those of now."""
    years = layout.history_path(stanza)
    this_year = time.localtime().tm_year
    likely = [str(this_year), str(this_year - 1)]
    listings = storage.list_many(
        [layout.backup_path(stanza), years, *(f"{years}/{year}" for year in likely)]
    )
    backups, found, *guessed = (_entries(listing) for listing in listings)
    names = [
        entry.name
        for entry in backups
        if entry.kind is FileKind.PATH and label.is_label(entry.name)
    ]
    newest = max((entry.name for entry in found if _YEAR.match(entry.name)), default=None)
    file = layout.backup_info(stanza).rpartition("/")[2]
    infos_there = {entry.name for entry in backups if entry.name.startswith(file)}
    if newest is None:
        history: t.Sequence[FileInfo] = ()
    elif newest in likely:
        history = guessed[likely.index(newest)]
    else:
        history = storage.list(f"{years}/{newest}")
    infos = storage.info_many(layout.manifest_path(stanza, name) for name in names)
    return OnDisk(
        {name: info is not None for name, info in zip(names, infos)},
        tuple(
            _label_of(entry.name) for entry in history if not entry.name.endswith(TEMPORARY_SUFFIX)
        ),
        tuple(
            f"{years}/{newest}/{entry.name}"
            for entry in history
            if entry.name.endswith(TEMPORARY_SUFFIX)
        ),
        bool(infos_there) and infos_there != {file, layout.copy_of(file)},
        tuple(
            f"{layout.backup_path(stanza)}/{name}"
            for name in sorted(infos_there)
            if name.endswith(TEMPORARY_SUFFIX)
        ),
    )


def _label_of(path: str) -> str:
    """Of a manifest in the history, whole or not."""
    return path.rpartition("/")[2].partition(".")[0]


def _entries(listing: Listing) -> t.Sequence[FileInfo]:
    if isinstance(listing, StorageMissingError):
        return ()
    if isinstance(listing, EngineError):
        raise listing
    return listing


def load_reconstructed(storage: Storage, stanza: str, cipher_pass: str | None) -> Reconstruction:
    """backup.info as it should be; nothing is written. ``cipher_pass`` is the user's."""
    loading = backup_info.begin(storage, stanza, cipher_pass)
    on_disk = look(storage, stanza)
    info = loading.result()

    def load_manifest(name: str) -> Manifest | None:
        try:
            return manifest.load(storage, stanza, name, info.cipher_pass)
        except TransportLostError:
            raise
        except EngineError as cause:
            log.debug("manifest of backup '%s' cannot be read: %s", name, cause)
            return None

    result = reconstruct(info, on_disk.labels, load_manifest)._replace(
        on_disk=on_disk.labels,
        history=on_disk.history,
        unfinished=on_disk.unfinished,
        half_saved=on_disk.half_saved,
        parts=on_disk.parts,
    )
    for name in result.removed:
        log.warn("backup '%s' missing manifest removed from backup.info", name)
    for name in result.added:
        log.warn("backup '%s' found in repository added to backup.info", name)
    for name in result.invalid:
        log.warn("invalid backup '%s' cannot be added to current backups", name)
    return result
