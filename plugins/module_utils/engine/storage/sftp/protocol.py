# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SFTP version 3 on the wire: packets in both directions, and nothing that waits.

Sources: draft-ietf-secsh-filexfer-02, which every server speaks, and OpenSSH's file PROTOCOL,
sections 4.3 to 4.9, for the ``...@openssh.com`` extensions. Integers are big-endian; a string is
its length in four bytes and its bytes. A packet is length, type, request id, and the type's fields.
"""

from __future__ import annotations

import stat
import struct
import typing as t

from ...errors import ProtocolError
from ..base import FileInfo, FileKind

VERSION = 3

# fmt: off
INIT, VERSION_REPLY = 1, 2
OPEN, CLOSE, READ, WRITE = 3, 4, 5, 6
LSTAT, FSTAT = 7, 8
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR = 11, 12, 13, 14, 15
STAT, RENAME, READLINK, SYMLINK = 17, 18, 19, 20
EXTENDED = 200
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 101, 102, 103, 104, 105, 201

# Answers of STATUS. Version 3 ends with UNSUPPORTED; servers send later ones nevertheless.
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE = 0, 1, 2, 3, 4
BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST, UNSUPPORTED = 5, 6, 7, 8
NO_SUCH_PATH, FILE_ALREADY_EXISTS, WRITE_PROTECT, NO_MEDIA = 10, 11, 12, 13
NO_SPACE, QUOTA_EXCEEDED = 14, 15

# Flags of OPEN.
READ_FLAG, WRITE_FLAG, CREATE, TRUNCATE, EXCLUSIVE = 0x01, 0x02, 0x08, 0x10, 0x20

_READ_ONLY = 0x1  # of statvfs's f_flag

_SIZE, _IDS, _PERMISSIONS, _TIMES, _EXTRA = 0x1, 0x2, 0x4, 0x8, 0x80000000
# fmt: on

POSIX_RENAME = b"posix-rename@openssh.com"
FSYNC = b"fsync@openssh.com"
STATVFS = b"statvfs@openssh.com"
LIMITS = b"limits@openssh.com"

# No answer is longer than what was asked for; twice OpenSSH's own packet is certainly noise.
LONGEST_PACKET = 1024 * 1024

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_HEAD = struct.Struct(">IBI")
_READ = struct.Struct(">QI")

View = t.Union[bytes, memoryview]


def encode(path: str) -> bytes:
    """A path as the server sees it; names that are not UTF-8 survive the way back and forth."""
    return path.encode("utf-8", "surrogateescape")


def decode(name: View) -> str:
    """The reverse of ``encode``."""
    return bytes(name).decode("utf-8", "surrogateescape")


def string(data: View) -> bytes:
    """A string field."""
    return _U32.pack(len(data)) + data


def head(kind: int, request: int, size: int) -> bytes:
    """Length, type and id of a packet whose other fields take ``size`` bytes."""
    return _HEAD.pack(size + 5, kind, request)


def init() -> bytes:
    """The first packet, the only one without an id."""
    return struct.pack(">IBI", 5, INIT, VERSION)


def permissions(mode: int) -> bytes:
    """An attribute block with nothing but a mode."""
    return struct.pack(">II", _PERMISSIONS, mode)


def open_file(path: bytes, flags: int, mode: int | None) -> bytes:
    """The fields of OPEN."""
    attributes = permissions(mode) if mode is not None else _U32.pack(0)
    return string(path) + _U32.pack(flags) + attributes


def read(handle: bytes, offset: int, size: int) -> bytes:
    """The fields of READ."""
    return string(handle) + _READ.pack(offset, size)


def write_head(handle: bytes, offset: int, size: int) -> bytes:
    """The fields of WRITE up to its data."""
    return string(handle) + _READ.pack(offset, size)


class Status(t.NamedTuple):
    """A STATUS answer."""

    code: int
    message: str


class Limits(t.NamedTuple):
    """``limits@openssh.com``, in bytes and handles; 0 means that the server did not say."""

    packet: int
    read: int
    write: int
    handles: int


class Space(t.NamedTuple):
    """What ``statvfs`` says of the repository's file system, for a user without privileges."""

    free: int
    """Bytes."""
    files: int | None
    """Files that can still be made; None where they are not counted."""
    read_only: bool


class Attributes(t.NamedTuple):
    """What a server says of a file; None where it does not."""

    size: int | None
    uid: int | None
    gid: int | None
    mode: int | None
    mtime: int | None


class Fields:
    """Takes the fields of an answer one after another. Too few of them are a ProtocolError."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._position = 0

    def u32(self) -> int:
        """The next integer."""
        return t.cast(int, self._unpack(_U32))

    def u64(self) -> int:
        """The next long integer."""
        return t.cast(int, self._unpack(_U64))

    def string(self) -> memoryview:
        """The next string, as a view on the answer."""
        size = self.u32()
        end = self._position + size
        if end > len(self._body):
            raise ProtocolError("an answer of the SFTP server is cut short")
        data = self._body[self._position : end]
        self._position = end
        return data

    def more(self) -> bool:
        """Whether anything is left."""
        return self._position < len(self._body)

    def attributes(self) -> Attributes:
        """The next attribute block."""
        flags = self.u32()
        size = self.u64() if flags & _SIZE else None
        uid = self.u32() if flags & _IDS else None
        gid = self.u32() if flags & _IDS else None
        mode = self.u32() if flags & _PERMISSIONS else None
        mtime = None
        if flags & _TIMES:
            self.u32()
            mtime = self.u32()
        if flags & _EXTRA:
            for _dummy in range(self.u32()):
                self.string()
                self.string()
        return Attributes(size, uid, gid, mode, mtime)

    def status(self) -> Status:
        """A whole STATUS answer. Servers may leave out the message."""
        code = self.u32()
        message = decode(self.string()) if self.more() else ""
        return Status(code, message.strip())

    def _unpack(self, form: struct.Struct) -> t.Any:
        try:
            (value,) = form.unpack_from(self._body, self._position)
        except struct.error:
            raise ProtocolError("an answer of the SFTP server is cut short") from None
        self._position += form.size
        return value


def parse_version(body: memoryview) -> tuple[int, dict[bytes, bytes]]:
    """Version and extensions of the server's greeting."""
    fields = Fields(body)
    version = fields.u32()
    extensions = {}
    while fields.more():
        name = bytes(fields.string())
        extensions[name] = bytes(fields.string())
    return version, extensions


def parse_limits(body: memoryview) -> Limits:
    """The answer to ``limits@openssh.com``."""
    fields = Fields(body)
    return Limits(fields.u64(), fields.u64(), fields.u64(), fields.u64())


def parse_space(body: memoryview) -> Space:
    """The answer to ``statvfs``."""
    fields = Fields(body)
    (
        _bsize, fragment, _blocks, _bfree, available,
        inodes, _ffree, inodes_available, _fsid, flags, _namemax,
    ) = (fields.u64() for _dummy in range(11))  # fmt: skip
    # A file system that makes inodes as it needs them has a total of 0.
    files = inodes_available if inodes else None
    return Space(fragment * available, files, bool(flags & _READ_ONLY))


def parse_names(body: memoryview) -> list[tuple[str, Attributes]]:
    """Names and attributes of a NAME answer; ``longname`` is for human eyes only."""
    fields = Fields(body)
    names = []
    for _dummy in range(fields.u32()):
        name = decode(fields.string())
        fields.string()
        names.append((name, fields.attributes()))
    return names


def parse_info(name: str, found: Attributes) -> FileInfo | None:
    """An entry, or None when the server left out what kind of file it is."""
    if found.mode is None or not stat.S_IFMT(found.mode):
        return None
    kind = FileKind.SPECIAL
    if stat.S_ISREG(found.mode):
        kind = FileKind.FILE
    elif stat.S_ISDIR(found.mode):
        kind = FileKind.PATH
    elif stat.S_ISLNK(found.mode):
        kind = FileKind.LINK
    if kind is FileKind.FILE and found.size is None:
        return None
    size = (found.size or 0) if kind is FileKind.FILE else 0
    return FileInfo(name, kind, size, found.mtime or 0, stat.S_IMODE(found.mode))


class Splitter:
    """Cuts what arrives into packets, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 5
        self._greeted = False

    def feed(self, chunk: bytes) -> t.Iterator[tuple[int, memoryview]]:
        """Type and everything behind it of each packet that is now complete.

        Raises ProtocolError for what cannot be SFTP, quoting its beginning.
        """
        self._parts.append(chunk)
        self._have += len(chunk)
        if self._have < self._need:
            return
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        view = memoryview(data)
        position, end = 0, len(data)
        # Whoever takes packets may stop early (an error); what was not taken is of no use then.
        while end - position >= 5:
            (size,) = _U32.unpack_from(data, position)
            kind = data[position + 4]
            if not 1 <= size <= LONGEST_PACKET or (not self._greeted and kind != VERSION_REPLY):
                raise ProtocolError(noise(data[position:]))
            self._greeted = True
            if end - position < size + 4:
                self._need = size + 4
                break
            yield kind, view[position + 5 : position + 4 + size]
            position += size + 4
        else:
            self._need = 5
        self._parts = [data[position:]] if position < end else []
        self._have = end - position

    def rest(self) -> bytes:
        """What arrived and is no whole packet."""
        return b"".join(self._parts)


def noise(data: bytes) -> str:
    """Says what came instead of the protocol; a login script that prints is the usual cause."""
    shown = data[:80].decode("ascii", "replace")
    lines = [line for line in shown.splitlines() if line.strip()]
    return f"the server says {(lines or [shown])[0]!r} where the SFTP protocol was expected"
