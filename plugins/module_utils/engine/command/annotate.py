# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""annotate: what people remark on a backup (repository reference, section 17).

Only backup.info changes: the manifest keeps what was said when the backup was taken.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .. import log
from ..config.options import Options, RepoOptions
from ..errors import (
    BackupSetInvalidError,
    CommandError,
    EngineError,
    OptionInvalidValueError,
)
from ..repository import backup_info, label, lock, reconstruct
from ..storage.base import Storage
from ..storage.open import open_storage
from . import alive
from .cipher import cipher_pass


@dataclasses.dataclass(frozen=True)
class AnnotateResult:
    """The annotations of a backup as they are now."""

    label: str
    repos: tuple[int, ...]
    """Where the backup was found."""
    annotation: t.Mapping[str, str]
    changed: bool

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "label": self.label,
            "repos": list(self.repos),
            "annotation": dict(self.annotation),
            "changed": self.changed,
        }


def run(options: Options) -> AnnotateResult:
    """Set or (with an empty value) remove annotations in every repository that has the backup.

    Raises BackupSetInvalidError when none has, CommandError when one could not be changed; a
    repository cannot while another host makes a backup in it, which is LockAcquireError.
    """
    stanza = options.require_stanza()
    wanted = options.set or ""
    if not label.is_label(wanted):
        raise OptionInvalidValueError(
            f"'{wanted}' is not a valid backup label format",
            hint="a label is like 20260131-120000F; the info command lists those that there are.",
        )
    repos = options.repos if options.selected_repo is None else (options.repo(),)
    found: dict[int, _Annotated] = {}
    causes: list[str] = []
    with lock.Locks(options.exec_id or None) as locks:
        locks.acquire(
            options.lock_path, stanza, [lock.LockType.BACKUP], [repo.key for repo in repos]
        )
        for repo in repos:
            try:
                with open_storage(repo, io_timeout=options.io_timeout) as storage:
                    row = _annotate(storage, options, repo, wanted)
            except EngineError as cause:
                if len(repos) == 1:
                    raise
                log.warn("repo%d: %s", repo.key, cause)
                causes.append(f"repo{repo.key}: {cause.message}")
                continue
            if row is not None:
                found[repo.key] = row
    if causes:
        raise CommandError(
            "\n".join(["unable to annotate in every repository:", *causes]),
            hint="the other repositories are done; run it again when the cause is gone.",
        )
    if not found:
        raise BackupSetInvalidError(
            "no backup set to annotate found", hint="the info command lists the backups."
        )
    rows = list(found.values())
    changed = any(row.changed for row in rows)
    return AnnotateResult(wanted, tuple(found), rows[0].annotation, changed)


class _Annotated(t.NamedTuple):
    annotation: dict[str, str]
    changed: bool


def annotated(old: t.Mapping[str, str], changes: t.Iterable[tuple[str, str]]) -> dict[str, str]:
    """Annotations after changes; an empty value removes one (pure)."""
    merged = {**old, **dict(changes)}
    return {key: value for key, value in sorted(merged.items()) if value}


def _annotate(
    storage: Storage, options: Options, repo: RepoOptions, wanted: str
) -> _Annotated | None:
    stanza, secret = options.require_stanza(), cipher_pass(repo)
    found = reconstruct.load_reconstructed(storage, stanza, secret)
    entry = found.info.backups.get(wanted)
    if entry is None:
        log.warn("repo%d: no backup set %s", repo.key, wanted)
        return None
    log.info("backup set '%s' to annotate found in repo%d", wanted, repo.key)
    annotation = annotated(entry.annotation, options.annotation)
    changed = annotation != dict(entry.annotation)
    if changed or found.changed:
        # It would end with the backup.info that it has read, which lacks what we write.
        alive.refuse(storage, options, found)
        info = found.info.with_backup(dataclasses.replace(entry, annotation=annotation))
        backup_info.save(storage, stanza, info, secret)
    return _Annotated(annotation, changed)
