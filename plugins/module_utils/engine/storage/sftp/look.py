# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a name stands for, also where the server does not say it in so many words.

The draft lets a server leave out every attribute. What has no mode is a link if it can be read as
one, and a directory if it can be opened as one. It must not be taken for a file on the chance: to
remove a directory as a file is refused by one server, and ruins the file system of another.
"""

from __future__ import annotations

import stat
import typing as t

from ...errors import EngineError
from ..base import FileInfo, FileKind
from . import protocol
from .channel import Batch, Reply
from .protocol import Attributes
from .server import Server

_MISSING = (protocol.NO_SUCH_FILE, protocol.NO_SUCH_PATH)

# Gets the entry, None when nothing is there, or the error.
Then = t.Callable[[t.Union[FileInfo, EngineError, None]], None]


def look(server: Server, batch: Batch, path: str, then: Then) -> None:
    """Ask what is at ``path``, which is not followed if it is a link, and tell ``then``."""
    field = protocol.string(server.path(path))

    def answered(reply: Reply) -> None:
        if reply.kind != protocol.ATTRS:
            status = reply.status()
            missing = status.code in _MISSING
            then(None if missing else server.error("get information on", path, status))
            return
        found = reply.fields(protocol.ATTRS).attributes()
        entry = protocol.parse_info(_name(path), found)
        if entry is None and not (found.mode and stat.S_IFMT(found.mode)):
            _try(server, batch, path, found, then)
        else:
            then(entry or FileInfo(_name(path), FileKind.SPECIAL, 0, found.mtime or 0))

    batch.request(protocol.LSTAT, field, answered)


def _try(server: Server, batch: Batch, path: str, found: Attributes, then: Then) -> None:
    field = protocol.string(server.path(path))

    def tell(kind: FileKind) -> None:
        if kind is FileKind.FILE and found.size is None:
            kind = FileKind.SPECIAL
        size = (found.size or 0) if kind is FileKind.FILE else 0
        then(FileInfo(_name(path), kind, size, found.mtime or 0))

    def on_link(reply: Reply) -> None:
        if reply.kind == protocol.NAME:
            tell(FileKind.LINK)
        else:
            server.handles.open(protocol.OPENDIR, field, on_path, on_no_path)

    def on_path(handle: bytes) -> None:
        server.handles.close(handle)
        tell(FileKind.PATH)

    def on_no_path(reply: Reply) -> None:
        # Gone meanwhile, or a directory that we may not read; a file is refused in other ways.
        if reply.status().code == protocol.PERMISSION_DENIED:
            tell(FileKind.SPECIAL)
        else:
            tell(FileKind.FILE)

    batch.request(protocol.READLINK, field, on_link)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
