# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try on a server each thing that a repository asks of it.

Unlike the verbs of a storage, which take another way where the server lacks something, this asks
for each thing itself and notes the answer. It goes in few steps, one round trip each: what belongs
to one step is sent together, what needs an answer first belongs to a later one.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ...errors import EngineError
from ..base import FILE_MODE, PATH_MODE, FileInfo, FileKind, join
from ..survey import SAMPLE, SCRATCH_PREFIX, Survey, Trial
from . import failure, protocol
from .channel import Batch, Reply
from .paths import PERHAPS_THERE, absolute_lineage
from .server import Server
from .tree import Listing, Removal

# Seconds after which a scratch directory is one of a run that was killed.
ABANDONED = 24 * 3600

# For want of room these fail; other refusals have other causes.
_TAKES_ROOM = ("make directory", "create", "write", "rename")

# Where the range read begins, and its size: neither is a multiple of anything.
_RANGE = (1_048_573, 4099)


class _Answer:
    """What became of one request."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.at = 0.0

    def __call__(self, reply: Reply) -> None:
        # The body is a view on a buffer that others share.
        self.reply = Reply(reply.kind, memoryview(bytes(reply.body)))
        self.at = time.monotonic()

    @property
    def ok(self) -> bool:
        """Whether it was granted: OK, or an answer of another kind than a status."""
        reply = self.reply
        return reply is not None and (reply.kind != protocol.STATUS or reply.is_ok())

    @property
    def detail(self) -> str:
        """The server's reason for a refusal."""
        if self.reply is None or self.ok:
            return ""
        status = self.reply.status()
        message = f" {status.message}" if status.message else ""
        return f"refused with status {status.code}{message}"

    @property
    def missing(self) -> bool:
        """Whether what it is in is not there."""
        return self._is_refused(protocol.NO_SUCH_FILE, protocol.NO_SUCH_PATH)

    @property
    def perhaps_there(self) -> bool:
        """Whether a directory was not made that may be there."""
        return self._is_refused(*PERHAPS_THERE)

    def _is_refused(self, *codes: int) -> bool:
        return self.reply is not None and not self.ok and self.reply.status().code in codes

    @property
    def space(self) -> protocol.Space | None:
        """The state of the file system that was asked for."""
        if self.reply is None or self.reply.kind != protocol.EXTENDED_REPLY:
            return None
        return protocol.parse_space(self.reply.body)

    @property
    def handle(self) -> bytes | None:
        """The handle that was granted."""
        if self.reply is None or self.reply.kind != protocol.HANDLE:
            return None
        return bytes(self.reply.fields(protocol.HANDLE).string())


class Surveyor:
    """One survey in directory ``scratch`` of the repository, which is gone at the end."""

    def __init__(self, server: Server, scratch: str) -> None:
        self._server = server
        self._scratch = scratch
        self._answers: list[_Answer] = []
        self._trials: dict[str, Trial] = {}
        self._round_trip: float | None = None
        self._upload: float | None = None
        self._download: float | None = None
        self._free: int | None = None
        self._sample = os.urandom(SAMPLE)
        self._listed: list[FileInfo] | None = None  # what is in the repository
        self._clean = False
        self._space = _Answer()
        self._made: list[bytes] = []  # the repository's own directory and its parents

    def run(self, *, software: str, cipher: str) -> Survey:
        """Try everything; raises only when the transport is lost."""
        server = self._server
        try:
            if server.generation:
                # What a session that was lost in the middle of this left behind.
                self._remove_tree(self._scratch)
            self._try_all()
        finally:
            # Also when a signal ends it.
            with contextlib.suppress(EngineError):
                if not self._clean:
                    self._remove_tree(self._scratch)
                self._remove_root()
        return Survey(
            software,
            cipher,
            tuple(sorted(name.decode("ascii", "replace") for name in server.extensions)),
            tuple(self._trials.values()),
            self._round_trip,
            self._upload,
            self._download,
            self._free,
            server.handles.granted,
            server.write_size,
        )

    # The steps.

    def _try_all(self) -> None:
        made, space, limits = self._begin()
        if made.missing:
            refused = self._make_root()
            made, space, limits = self._begin()
            made = made if made.ok or refused is None else refused
        self._note("make directory", made)
        if not made.ok:
            names = ("create", "exclusive create", "write", "fsync", "rename", "rename over")
            for name in (*names, "list", "read", "range read", "remove", "symlink"):
                self._trials[name] = Trial(name, None, "not tried")
        else:
            self._try_files()
        self._note_space(space)
        self._note_limits(limits)

    def _begin(self) -> tuple[_Answer, _Answer, _Answer]:
        made = self._make(self._name(""))
        space = self._look_at_space()
        limits = self._extended(protocol.LIMITS, b"")
        self._step()
        return made, space, limits

    def _make_root(self) -> _Answer | None:
        """Make the repository's directory, for as long as this takes; the first refusal that is not
        of a directory that is there.
        """
        refused = None
        for name in absolute_lineage(self._server.path("")):
            answer = self._make(protocol.string(name))
            self._step()
            if answer.ok:
                self._made.append(name)
            elif not answer.perhaps_there:
                refused = refused or answer
        return refused

    def _remove_root(self) -> None:
        """Whoever has put something there meanwhile keeps it."""
        for name in reversed(self._made):
            self._ask(protocol.RMDIR, protocol.string(name))
            self._step()

    def _try_files(self) -> None:
        created = self._open("one", protocol.WRITE_FLAG | protocol.CREATE | protocol.TRUNCATE)
        self._look_at_space()
        self._step()
        self._note("create", created)
        written = self._try_write(created.handle)
        current = self._try_names()
        self._try_read(current if written else None)
        self._try_remove(current)
        self._remove_abandoned()

    def _try_write(self, handle: bytes | None) -> bool:
        """Send the sample; whether all of it was taken."""
        if handle is None:
            for name in ("write", "fsync", "symlink"):
                self._trials[name] = Trial(name, None, "not tried")
            return False
        started = time.monotonic()
        writes = []
        for offset in range(0, SAMPLE, self._server.write_size):
            data = memoryview(self._sample)[offset : offset + self._server.write_size]
            head = protocol.write_head(handle, offset, len(data))
            writes.append(self._ask(protocol.WRITE, head, data))
        self._look_at_space()
        synced = self._extended(protocol.FSYNC, protocol.string(handle))
        closed = self._ask(protocol.CLOSE, protocol.string(handle))
        linked = self._ask(protocol.SYMLINK, protocol.string(b"one") + self._name("link"))
        self._step(timed=False)
        failed = [answer for answer in [*writes, closed] if not answer.ok]
        self._note("write", failed[0] if failed else writes[-1])
        self._note("fsync", synced)
        self._note("symlink", linked)
        if not failed:
            self._upload = SAMPLE / max(writes[-1].at - started, 1e-6)
        return not failed

    def _try_names(self) -> str:
        """Rename, exclusive creation, rename over, and a listing; the name that the file has."""
        renamed = self._ask(protocol.RENAME, self._name("one") + self._name("two"))
        exclusive = protocol.WRITE_FLAG | protocol.CREATE | protocol.EXCLUSIVE
        first = self._open("three", exclusive)
        self._step()
        self._note("rename", renamed)
        current = "two" if renamed.ok else "one"
        if first.handle is not None:
            self._ask(protocol.CLOSE, protocol.string(first.handle))
        second = self._open("three", exclusive)
        listing = self._ask(protocol.OPENDIR, self._name(""))
        self._step()
        if not first.ok:
            self._note("exclusive create", first)
        else:
            detail = "takes a name that is there" if second.ok else ""
            self._trials["exclusive create"] = Trial("exclusive create", not second.ok, detail)
        if second.handle is not None:
            self._ask(protocol.CLOSE, protocol.string(second.handle))
        names = []
        if listing.handle is not None:
            handle = protocol.string(listing.handle)
            names = [self._ask(protocol.READDIR, handle) for _dummy in range(3)]
            self._ask(protocol.CLOSE, handle)
        over = self._rename_over(current, "three")
        self._step()
        self._note_listing(listing, names, {current, "three"} if first.ok else {current})
        atomic = "" if self._server.posix_rename else "without posix-rename@openssh.com"
        self._trials["rename over"] = Trial("rename over", over.ok, over.detail or atomic)
        return "three" if over.ok else current

    def _rename_over(self, source: str, target: str) -> _Answer:
        fields = self._name(source) + self._name(target)
        if protocol.POSIX_RENAME in self._server.extensions:
            return self._extended(protocol.POSIX_RENAME, fields)
        return self._ask(protocol.RENAME, fields)

    def _try_read(self, name: str | None) -> None:
        if name is None:
            for trial in ("read", "range read"):
                self._trials[trial] = Trial(trial, None, "not tried")
            return
        opened = self._open(name, protocol.READ_FLAG)
        self._step()
        if opened.handle is None:
            self._note("read", opened)
            self._trials["range read"] = Trial("range read", None, "not tried")
            return
        started = time.monotonic()
        size = self._server.read_size
        asked = [
            (offset, self._ask(protocol.READ, protocol.read(opened.handle, offset, size)))
            for offset in range(0, SAMPLE, size)
        ]
        part = self._ask(protocol.READ, protocol.read(opened.handle, *_RANGE))
        self._ask(protocol.CLOSE, protocol.string(opened.handle))
        self._step(timed=False)
        whole = [answer for _dummy, answer in asked]
        failed = [answer for answer in whole if not answer.ok]
        wrong = [offset for offset, answer in asked if not self._is_sample(offset, answer)]
        if failed:
            self._note("read", failed[0])
        elif wrong:
            self._trials["read"] = Trial("read", False, "gives other bytes than were written")
        else:
            got = sum(len(_data(answer)) for answer in whole)
            self._download = got / max(whole[-1].at - started, 1e-6)
            short = "answers are shorter than asked" if got < SAMPLE else ""
            self._trials["read"] = Trial("read", True, short)
        right = part.ok and self._is_sample(_RANGE[0], part)
        self._trials["range read"] = Trial("range read", right, part.detail)

    def _is_sample(self, offset: int, answer: _Answer) -> bool:
        """Whether the bytes, perhaps fewer than asked, are those that were written."""
        data = _data(answer)
        return bool(data) and data == self._sample[offset : offset + len(data)]

    def _try_remove(self, current: str) -> None:
        gone = self._ask(protocol.REMOVE, self._name(current))
        for name in {"one", "two", "three", "link"} - {current}:
            self._ask(protocol.REMOVE, self._name(name))
        directory = self._ask(protocol.RMDIR, self._name(""))
        Listing(self._server, Batch(self._server.channel), "", self._take_listing)
        self._step()
        self._note("remove", gone if not gone.ok else directory)
        self._clean = directory.ok

    # What answers say.

    def _note(self, name: str, answer: _Answer) -> None:
        self._trials[name] = Trial(name, answer.ok, answer.detail, self._error(name, answer))

    def _error(self, name: str, answer: _Answer) -> EngineError | None:
        if answer.ok or answer.reply is None:
            return None
        space = self._space.space
        return failure.error(name, answer.reply.status(), space, takes_room=name in _TAKES_ROOM)

    def _note_listing(self, opened: _Answer, names: list[_Answer], wanted: set[str]) -> None:
        found: dict[str, protocol.Attributes] = {}
        for answer in names:
            if answer.reply is not None and answer.reply.kind == protocol.NAME:
                found.update(protocol.parse_names(answer.reply.body))
        if not opened.ok:
            self._note("list", opened)
        elif not wanted <= set(found):
            self._trials["list"] = Trial("list", False, "does not show what is there")
        else:
            bare = any(protocol.parse_info(name, found[name]) is None for name in wanted)
            detail = "names come without attributes" if bare else ""
            self._trials["list"] = Trial("list", True, detail)

    def _note_space(self, answer: _Answer) -> None:
        self._note("statvfs", answer)
        if answer.space is not None:
            self._free = answer.space.free

    def _note_limits(self, answer: _Answer) -> None:
        self._note("limits", answer)

    def _take_listing(self, entries: list[FileInfo] | EngineError) -> None:
        self._listed = [] if isinstance(entries, EngineError) else entries

    def _remove_abandoned(self) -> None:
        """Remove scratch directories of runs that were killed long ago."""
        self._server.channel.wait_until(lambda: self._listed is not None)
        for entry in self._listed or []:
            if (
                entry.kind is FileKind.PATH
                and entry.name.startswith(SCRATCH_PREFIX)
                and entry.mtime < time.time() - ABANDONED
            ):
                self._remove_tree(entry.name)

    # How it is asked.

    def _name(self, name: str) -> bytes:
        path = join(self._scratch, name) if name else self._scratch
        return protocol.string(self._server.path(path))

    def _ask(self, kind: int, fields: bytes, data: protocol.View = b"") -> _Answer:
        answer = _Answer()
        self._answers.append(answer)
        self._server.channel.request(kind, fields, answer, data)
        return answer

    def _make(self, name: bytes) -> _Answer:
        return self._ask(protocol.MKDIR, name + protocol.permissions(PATH_MODE))

    def _look_at_space(self) -> _Answer:
        """Ask for the state of the file system: what is refused now may have its cause there."""
        self._space = self._extended(protocol.STATVFS, protocol.string(self._server.path("")))
        return self._space

    def _extended(self, name: bytes, fields: bytes) -> _Answer:
        return self._ask(protocol.EXTENDED, protocol.string(name) + fields)

    def _open(self, name: str, flags: int) -> _Answer:
        path = join(self._scratch, name)
        mode = FILE_MODE if flags & protocol.CREATE else None
        return self._ask(protocol.OPEN, protocol.open_file(self._server.path(path), flags, mode))

    def _step(self, *, timed: bool = True) -> None:
        """Wait for everything that was asked."""
        asked, self._answers = self._answers, []
        started = time.monotonic()
        self._server.channel.wait_until(lambda: all(answer.reply for answer in asked))
        if timed:
            took = max(answer.at for answer in asked) - started
            self._round_trip = took if self._round_trip is None else min(took, self._round_trip)

    def _remove_tree(self, path: str) -> None:
        removal = Removal(self._server, path)
        self._server.channel.wait_until(removal.ended)


def _data(answer: _Answer) -> bytes:
    reply = t.cast(Reply, answer.reply)
    if reply.kind != protocol.DATA:
        return b""
    return bytes(reply.fields(protocol.DATA).string())
