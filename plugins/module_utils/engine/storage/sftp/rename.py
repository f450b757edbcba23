# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving a file its final name, over an existing one, with what the server has for it."""

from __future__ import annotations

import typing as t

from ...errors import EngineError
from . import protocol
from .channel import Reply
from .server import Server

# How servers refuse a plain RENAME onto a name that is taken.
_TAKEN = (protocol.FAILURE, protocol.FILE_ALREADY_EXISTS)

# Gets the error or None, and whether the old target is gone in spite of an error.
Then = t.Callable[[t.Optional[EngineError], bool], None]


def rename(server: Server, source: str, target: str, then: Then) -> None:
    """Rename, and tell ``then`` what came of it.

    ``posix-rename@openssh.com`` replaces the target in one step. Without it a target that is in the
    way is removed and the rename repeated, as pgBackRest does (repository reference, section 21):
    for a moment there is none, and files that must always exist have a twin.
    """
    names = (server.path(source), server.path(target))
    fields = protocol.string(names[0]) + protocol.string(names[1])

    def on_posix(reply: Reply) -> None:
        if reply.is_ok():
            server.posix_rename_works = True
            then(None, False)
            return
        status = reply.status()
        if status.code in (protocol.UNSUPPORTED, protocol.BAD_MESSAGE):
            server.posix_rename = False
            plain()
        elif status.code == protocol.PERMISSION_DENIED:
            # Either the extension is switched off, or the rename is not allowed.
            plain()
        else:
            fail(reply)

    def plain() -> None:
        server.channel.request(protocol.RENAME, fields, on_plain)

    def on_plain(reply: Reply) -> None:
        if reply.is_ok():
            then(None, False)
        elif reply.status().code in _TAKEN:
            look(reply)
        else:
            fail(reply)

    def look(refusal: Reply) -> None:
        """FAILURE has many causes. The target goes only if both names are there."""
        there: list[bool] = []

        def found(reply: Reply) -> None:
            there.append(reply.kind == protocol.ATTRS)
            if there == [True, True]:
                server.channel.request(protocol.REMOVE, protocol.string(names[1]), removed)
            elif len(there) == 2:
                fail(refusal)

        def removed(reply: Reply) -> None:
            if reply.is_ok():
                server.channel.request(protocol.RENAME, fields, on_again)
            else:
                fail(refusal)

        for name in names:
            server.channel.request(protocol.LSTAT, protocol.string(name), found)

    def on_again(reply: Reply) -> None:
        if reply.is_ok():
            then(None, False)
        else:
            fail(reply, target_gone=True)

    def fail(reply: Reply, *, target_gone: bool = False) -> None:
        server.explain("rename", source, reply.status(), lambda error: then(error, target_gone))

    if server.posix_rename:
        server.channel.extended(protocol.POSIX_RENAME, fields, on_posix)
    else:
        plain()
