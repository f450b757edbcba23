# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup begins with: its type, its name, what it builds on or goes on with."""

from __future__ import annotations

import time
import typing as t

from ... import log
from ...config.options import Options, RepoOptions
from ...errors import BackupMismatchError, ClockError
from ...postgres.control import ControlData
from ...repository import label, layout, manifest
from ...repository.backup_info import BackupInfo
from ...repository.contents import Manifest
from ...repository.reconstruct import Reconstruction
from ...storage.base import Storage
from . import resume

# Seconds waited for a label that is free. Two backups that take less than one leave none of this
# second and the next.
PATIENCE = 2


class Chosen(t.NamedTuple):
    """A backup that is about to begin."""

    backup_type: str
    label: str
    prior: Manifest | None
    """What a differential or incremental one builds on."""
    resumed: Manifest | None
    """What a full one finds stored already, under the same label."""
    begin: int
    """The second in which it begins, since 1970 by the cluster's clock."""


def check_identity(control: ControlData, info: BackupInfo) -> None:
    """Raise BackupMismatchError when the stanza is that of another cluster."""
    current = info.current
    if (control.system_id, control.version) != (current.system_id, current.version):
        raise BackupMismatchError(
            f"the cluster is version {control.version}, system-id {control.system_id}, but the "
            f"stanza is of version {current.version}, system-id {current.system_id}",
            hint="is this the right stanza? after a major upgrade run stanza-upgrade.",
        )


def choose(
    storage: Storage,
    options: Options,
    repo: RepoOptions,
    found: Reconstruction,
    wanted: str,
    now: t.Callable[[], float],
) -> Chosen:
    """Decide; ``now`` is the cluster's clock. Raises ClockError."""
    begin = int(now())
    stanza = options.require_stanza()
    backup_type, prior = _prior(storage, stanza, found.info, wanted)
    if backup_type == label.FULL and options.resume:
        same = resume.Wanted(
            options.compress_type,
            encrypted=repo.cipher_type != "none",
            bundle=repo.bundle,
            block=repo.block,
        )
        resumed = resume.find(storage, stanza, found, same, begin)
        if resumed is not None:
            return Chosen(backup_type, resumed.backup.label, None, resumed, begin)
    existing = [*(found.on_disk.keys() - found.abandoned), *found.info.backups, *found.history]
    name, begin = _named(backup_type, prior.backup.label if prior else None, existing, now)
    return Chosen(backup_type, name, prior, None, begin)


def _named(
    backup_type: str, prior: str | None, existing: t.Collection[str], now: t.Callable[[], float]
) -> tuple[str, int]:
    """A label that is free, and the second in which the backup begins."""
    patience = PATIENCE
    while True:
        begin = int(now())
        try:
            return label.new_label(backup_type, begin, prior=prior, existing=existing), begin
        except ClockError:
            if not patience:
                raise
        patience -= 1
        time.sleep(1.0 - now() % 1.0)


def remove_leftovers(storage: Storage, stanza: str, found: Reconstruction, chosen: Chosen) -> None:
    """Remove directories of backups that were not finished; nothing ever refers to their files.

    Also one of the label that was chosen, unless it is gone on with: labels of what goes are free.
    """
    but = "" if chosen.resumed is None else chosen.label
    gone = [name for name, finished in found.on_disk.items() if not finished and name != but]
    for name in gone:
        log.warn("remove aborted backup %s", name)
        storage.remove_tree(layout.label_path(stanza, name))
    # Also of the one that is resumed: whoever made it has ended.
    storage.remove_many(found.orphans([*gone, but]))


def _prior(
    storage: Storage, stanza: str, info: BackupInfo, wanted: str
) -> tuple[str, Manifest | None]:
    """The backup to build on: the newest full for a diff, the newest of all for an incr."""
    if wanted == label.FULL:
        return wanted, None
    candidates = [
        entry
        for entry in info.backups.values()
        if entry.db_id == info.current_id
        and (wanted == label.INCR or entry.backup_type == label.FULL)
    ]
    if not candidates:
        log.warn("no prior backup exists, %s backup has been changed to full", wanted)
        return label.FULL, None
    name = candidates[-1].label
    prior = manifest.load(storage, stanza, name, info.cipher_pass)
    log.info("last backup label = %s, version = %s", name, prior.writer_version)
    return wanted, prior
