# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last look before a backup is listed: the repository has every file that it consists of.

Each was acknowledged when it was sent; since then another host, or a person, may have removed it. A
backup that builds on others needs their manifests, too: expire removes these before anything else.
"""

from __future__ import annotations

import typing as t

from ...errors import FileInvalidError
from ...repository import layout
from ...repository.contents import Manifest, ManifestFile
from ...repository.stored import stored
from ...storage.base import FileInfo, FileKind, Storage

_SHOWN = 5


class Expected(t.NamedTuple):
    """What a repository file must be: bytes, and whether there may be more of them."""

    size: int
    exact: bool


class Check:
    """A completion: waiting for it is looking, one round trip, and raises FileInvalidError unless
    all of it is there, in its size. ``but`` are files that are on their way just now.
    """

    def __init__(
        self, storage: Storage, stanza: str, made: Manifest, *, but: t.Iterable[ManifestFile] = ()
    ) -> None:
        self._storage = storage
        self._label = made.backup.label
        self._top = layout.backup_path(stanza)
        self._expected = files(stanza, made, {file.name for file in but})

    def ready(self) -> bool:
        """See Completion: looking takes time."""
        return False

    def wait(self) -> None:
        """See Completion."""
        infos = self._storage.info_many(self._expected)
        wrong = [
            f"'{path[len(self._top) + 1 :]}' {cause}"
            for (path, row), info in zip(self._expected.items(), infos)
            if (cause := _wrong(info, row)) is not None
        ]
        if wrong:
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            raise FileInvalidError(
                f"backup {self._label} is not whole in the repository, so it is not listed:"
                f" {', '.join(wrong[:_SHOWN])}{more}",
                hint="did another host or program remove or change files there meanwhile?",
            )


def files(stanza: str, made: Manifest, but: t.Container[str] = ()) -> dict[str, Expected]:
    """By their path, what the backup stored itself and the manifests of what it builds on."""
    found: dict[str, Expected] = {}
    others = {made.backup.prior}
    for file in made.files:
        others.add(file.reference)
        ours = file.reference is None and file.name not in but
        place = stored(stanza, made, file) if ours else None
        if place is not None:
            # A bundle of which a part was resumed may go on behind it.
            end = place.offset + place.size
            before = found.get(place.path)
            found[place.path] = Expected(max(end, before.size if before else 0), not file.bundle_id)
    for label in sorted(label for label in others if label is not None):
        found[layout.manifest_path(stanza, label)] = Expected(1, exact=False)
    return found


def _wrong(info: FileInfo | None, expected: Expected) -> str | None:
    if info is None:
        return "is missing"
    if info.kind is FileKind.SPECIAL:
        # A server that keeps sizes to itself: that something is there is all that can be known.
        return None
    if info.kind is not FileKind.FILE:
        return "is no file"
    if info.size < expected.size or (expected.exact and info.size != expected.size):
        return f"has {info.size} bytes instead of {expected.size}"
    return None
