# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pg_control that a backup holds says of its cluster."""

from __future__ import annotations

from ..errors import FormatError
from ..postgres import control
from ..postgres.control import ControlData
from ..repository.blockmap import Chain
from ..repository.contents import PG_CONTROL, Manifest
from ..repository.stored import stored
from ..storage.base import Storage
from ..transform.pipeline import decode
from .restore.blocks import BlockFile, content

# PostgreSQL's own has 8 KiB; it is read as a whole.
_MOST = 64 * 1024


def stored_control(storage: Storage, stanza: str, contents: Manifest) -> ControlData:
    """Read it; raises the errors of ``control.read``, and FormatError when there is none."""
    file = next((file for file in contents.files if file.name == PG_CONTROL), None)
    place = None if file is None else stored(stanza, contents, file)
    if file is None or place is None:
        raise FormatError(
            f"backup set {contents.backup.label} has no pg_control",
            hint="restore another backup with --set.",
        )
    if max(file.size, place.size) > _MOST:
        raise FormatError(
            f"pg_control of backup set {contents.backup.label} has {file.size} bytes",
            hint="restore another backup with --set.",
        )
    if file.block is not None:
        chain = Chain.of(stanza, contents)
        data = content(storage, chain, BlockFile(file.name, place, file.block, file.size))
    else:
        reader = storage.reader(place.path, offset=place.offset, size=place.size)
        data = decode(reader.read_all(), contents.encoding, framing=place.framing, most=file.size)
    return control.read(data)
