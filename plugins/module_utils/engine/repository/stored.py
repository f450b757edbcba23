# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the stored bytes of a file lie, and how (repository reference, section 12). Pure."""

from __future__ import annotations

import typing as t

from ..transform.compression import compress_type
from ..transform.pipeline import Framing
from . import layout

if t.TYPE_CHECKING:
    from .contents import Manifest, ManifestFile


class Stored(t.NamedTuple):
    """A range of a repository file; offset and size in bytes."""

    path: str
    offset: int
    size: int
    framing: Framing
    """Of ordinary files; of a block-incremental one everything is raw, see ``blockmap``."""


def stored(stanza: str, manifest: Manifest, file: ManifestFile) -> Stored | None:
    """Where ``file`` lies; None for an empty file that a bundled backup did not store."""
    holder = file.reference or manifest.backup.label
    if file.bundle_id:
        path = layout.bundle_path(stanza, holder, file.bundle_id)
        return Stored(path, file.bundle_offset, file.repo_size, manifest.bundle_framing)
    if file.size == 0 and manifest.backup.bundle:
        return None
    if file.block is not None:
        path = layout.block_path(stanza, holder, file.name)
        return Stored(path, 0, file.repo_size, Framing.RAW)
    extension = compress_type(manifest.options.compress_type).extension
    path = layout.data_path(stanza, holder, file.name, extension)
    return Stored(path, 0, file.repo_size, Framing.WHOLE)
