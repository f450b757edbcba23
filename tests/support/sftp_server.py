# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An SFTP server in this process, with the defects that real ones have, each to be switched on.

``SftpServer`` takes bytes and gives bytes, and works on the local file system. ``Line`` joins it to
a client without threads or sockets: answers arrive only when the client waits for them, all that
are due at once, so that one wait is one round trip and every run is the same.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import socket
import struct
import typing as t

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = 0, 1, 2, 3, 4, 5
UNSUPPORTED, FILE_ALREADY_EXISTS = 8, 11

_OPEN, _CLOSE, _READ, _WRITE, _LSTAT, _FSTAT = 3, 4, 5, 6, 7, 8
_OPENDIR, _READDIR, _REMOVE, _MKDIR, _RMDIR = 11, 12, 13, 14, 15
_STAT, _RENAME, _READLINK, _SYMLINK, EXTENDED = 17, 18, 19, 20, 200
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY = 101, 102, 103, 104, 105, 201

NAMES = {
    _OPEN: "open", _CLOSE: "close", _READ: "read", _WRITE: "write", _LSTAT: "lstat",
    _FSTAT: "fstat", _OPENDIR: "opendir", _READDIR: "readdir", _REMOVE: "remove",
    _MKDIR: "mkdir", _RMDIR: "rmdir", _STAT: "stat", _RENAME: "rename", _READLINK: "readlink",
    _SYMLINK: "symlink",
}  # fmt: skip

_CHANGES = (
    "write", "remove", "mkdir", "rmdir", "rename", "posix-rename@openssh.com", "symlink"
)  # fmt: skip

ALL_EXTENSIONS = {
    "posix-rename@openssh.com": "1",
    "statvfs@openssh.com": "2",
    "fsync@openssh.com": "1",
    "limits@openssh.com": "1",
}

_MESSAGES = {
    OK: "Success",
    EOF: "End of file",
    NO_SUCH_FILE: "No such file",
    PERMISSION_DENIED: "Permission denied",
    FAILURE: "Failure",
    BAD_MESSAGE: "Bad message",
    UNSUPPORTED: "Operation unsupported",
    FILE_ALREADY_EXISTS: "File already exists",
}


@dataclasses.dataclass
class Defects:
    """What this server does worse than OpenSSH; by default nothing."""

    version: int = 3
    extensions: t.Mapping[str, str] = dataclasses.field(default_factory=lambda: ALL_EXTENSIONS)
    limits: tuple[int, int, int, int] = (262144, 261120, 261120, 1019)
    refuse: t.Mapping[str, int] = dataclasses.field(default_factory=dict)  # request name: status
    refuse_paths: t.Mapping[str, int] = dataclasses.field(default_factory=dict)  # path: status
    message: str | None = None  # with FAILURE
    no_messages: bool = False
    rename_taken: int | None = FAILURE  # None: plain RENAME replaces
    longest_read: int | None = None
    no_sizes: bool = False
    no_modes: bool = False
    unlink_path: int = FAILURE  # how a directory is refused by REMOVE
    umask: int = 0
    chroot: str = ""
    bare_listing: bool = False
    names_per_answer: int = 100
    handles: int | None = None
    room: int | None = None  # bytes that can still be written
    quota: bool = False  # room is that of a quota, of which statvfs says nothing
    frees: bool = False  # what is removed makes room again
    inodes: int | None = None  # files that can still be made
    read_only: bool = False  # the file system: a bare failure, as OpenSSH answers
    cut_after: int | None = None  # requests
    silent_after: int | None = None  # requests
    noise: bytes = b""
    ends: bool = False  # at once
    backwards: bool = False  # answers of one moment come in reverse order


class _Refused(Exception):
    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class SftpServer:
    """One session. ``requests`` lists the names of all requests in order."""

    def __init__(self, defects: Defects | None = None) -> None:
        self.defects = defects or Defects()
        self.requests: list[str] = []
        self.most_handles = 0
        self.ended = self.defects.ends
        self._buffer = b""
        self._handles: dict[bytes, t.Any] = {}
        self._next = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes of the client; the packets to answer with."""
        self._buffer += data
        answers = []
        while len(self._buffer) >= 4 and not self.ended:
            (size,) = struct.unpack_from(">I", self._buffer)
            if len(self._buffer) < size + 4:
                break
            packet, self._buffer = self._buffer[4 : size + 4], self._buffer[size + 4 :]
            answer = self._answer(packet)
            if answer is not None:
                answers.append(struct.pack(">I", len(answer)) + answer)
        return answers

    def count(self, name: str) -> int:
        """How many requests of that name came."""
        return self.requests.count(name)

    def _answer(self, packet: bytes) -> bytes | None:
        defects = self.defects
        if packet[0] == 1:
            answer = bytes([2]) + struct.pack(">I", defects.version)
            for name, value in defects.extensions.items():
                answer += _string(name.encode()) + _string(value.encode())
            return answer
        number = packet[1:5]
        fields = _Fields(packet[5:])
        kind = packet[0]
        name = fields.text() if kind == EXTENDED else NAMES.get(kind, str(kind))
        self.requests.append(name)
        if defects.cut_after is not None and len(self.requests) > defects.cut_after:
            self.ended = True
            return None
        if defects.silent_after is not None and len(self.requests) > defects.silent_after:
            return None
        try:
            if name in defects.refuse:
                raise _Refused(defects.refuse[name])
            if defects.read_only and name in _CHANGES:
                raise _Refused(FAILURE)
            reply, body = getattr(self, "_do_" + name.split("@")[0].replace("-", "_"))(fields)
        except _Refused as refused:
            reply, body = _STATUS, self._status(refused.code, refused.message)
        except OSError as cause:
            reply, body = _STATUS, self._status(_code(cause))
        except AttributeError:
            reply, body = _STATUS, self._status(UNSUPPORTED)
        return bytes([reply]) + number + body

    def _status(self, code: int, message: str | None = None) -> bytes:
        if self.defects.no_messages:
            return struct.pack(">I", code)
        if code == FAILURE and self.defects.message is not None:
            message = self.defects.message
        text = message if message is not None else _MESSAGES.get(code, "Failure")
        return struct.pack(">I", code) + _string(text.encode()) + _string(b"")

    def _ok(self) -> tuple[int, bytes]:
        return _STATUS, self._status(OK)

    def _path(self, fields: _Fields) -> bytes:
        path = fields.string()
        if self.defects.chroot:
            inside = os.path.normpath(b"/" + path.lstrip(b"/"))
            path = self.defects.chroot.encode() + inside.rstrip(b"/")
        for refused, code in self.defects.refuse_paths.items():
            if path == refused.encode() or path.startswith(refused.encode() + b"/"):
                raise _Refused(code)
        return path

    def _use(self, size: int) -> None:
        if self.defects.room is not None:
            if size > self.defects.room:
                self.defects.room = 0
                raise _Refused(FAILURE)
            self.defects.room -= size

    def _give(self, thing: t.Any) -> tuple[int, bytes]:
        handle = b"h%d" % self._next
        self._next += 1
        self._handles[handle] = thing
        self.most_handles = max(self.most_handles, len(self._handles))
        return _HANDLE, _string(handle)

    def _check_handles(self) -> None:
        if self.defects.handles is not None and len(self._handles) >= self.defects.handles:
            raise _Refused(FAILURE)

    def _do_open(self, fields: _Fields) -> tuple[int, bytes]:
        path = self._path(fields)
        flags = fields.u32()
        self._check_handles()
        system = os.O_RDWR if flags & 3 == 3 else os.O_WRONLY if flags & 2 else os.O_RDONLY
        system |= os.O_CREAT if flags & 8 else 0
        system |= os.O_TRUNC if flags & 16 else 0
        system |= os.O_EXCL if flags & 32 else 0
        mode = fields.u32() if fields.u32() & 4 else 0o666
        if flags & 2 and self.defects.read_only:
            raise _Refused(FAILURE)
        if flags & 8 and self.defects.inodes is not None and not os.path.lexists(path):
            if not self.defects.inodes:
                raise _Refused(FAILURE)
            self.defects.inodes -= 1
        return self._give(os.open(path, system, mode & ~self.defects.umask))

    def _do_close(self, fields: _Fields) -> tuple[int, bytes]:
        thing = self._handles.pop(fields.string())
        if isinstance(thing, int):
            os.close(thing)
        return self._ok()

    def _do_read(self, fields: _Fields) -> tuple[int, bytes]:
        file, offset, size = self._handles[fields.string()], fields.u64(), fields.u32()
        limit = self.defects.longest_read or self.defects.limits[1]
        data = os.pread(file, min(size, limit), offset)
        if not data:
            raise _Refused(EOF)
        return _DATA, _string(data)

    def _do_write(self, fields: _Fields) -> tuple[int, bytes]:
        file, offset, data = self._handles[fields.string()], fields.u64(), fields.string()
        self._use(len(data))
        os.pwrite(file, data, offset)
        return self._ok()

    def _attributes(self, found: os.stat_result) -> bytes:
        times = struct.pack(">II", int(found.st_atime), int(found.st_mtime))
        owner = struct.pack(">III", found.st_uid, found.st_gid, found.st_mode)
        if self.defects.no_modes:
            return struct.pack(">IQ", 0x9, found.st_size) + times
        if self.defects.no_sizes:
            return struct.pack(">I", 0xE) + owner + times
        return struct.pack(">IQ", 0xF, found.st_size) + owner + times

    def _do_lstat(self, fields: _Fields) -> tuple[int, bytes]:
        return _ATTRS, self._attributes(os.lstat(self._path(fields)))

    def _do_stat(self, fields: _Fields) -> tuple[int, bytes]:
        return _ATTRS, self._attributes(os.stat(self._path(fields)))

    def _do_fstat(self, fields: _Fields) -> tuple[int, bytes]:
        return _ATTRS, self._attributes(os.fstat(self._handles[fields.string()]))

    def _do_opendir(self, fields: _Fields) -> tuple[int, bytes]:
        path = self._path(fields)
        self._check_handles()
        names = [b".", b"..", *os.listdir(path)]
        return self._give(collections.deque((path, name) for name in names))

    def _do_readdir(self, fields: _Fields) -> tuple[int, bytes]:
        names = self._handles[fields.string()]
        if not names:
            raise _Refused(EOF)
        count = min(len(names), self.defects.names_per_answer)
        chosen = [names.popleft() for _dummy in range(count)]
        chosen = [entry for entry in chosen if os.path.lexists(os.path.join(*entry))]
        body = struct.pack(">I", len(chosen))
        for path, name in chosen:
            body += _string(name) + _string(b"for human eyes only")
            if self.defects.bare_listing:
                body += struct.pack(">I", 0)
            else:
                body += self._attributes(os.lstat(os.path.join(path, name)))
        return _NAME, body

    def _do_remove(self, fields: _Fields) -> tuple[int, bytes]:
        path = self._path(fields)
        if os.path.isdir(path) and not os.path.islink(path):
            raise _Refused(self.defects.unlink_path)
        if self.defects.frees and self.defects.room is not None:
            self.defects.room += os.path.getsize(path)
        os.unlink(path)
        return self._ok()

    def _do_mkdir(self, fields: _Fields) -> tuple[int, bytes]:
        path = self._path(fields)
        mode = fields.u32() if fields.u32() & 4 else 0o777
        os.mkdir(path, mode & ~self.defects.umask)
        return self._ok()

    def _do_rmdir(self, fields: _Fields) -> tuple[int, bytes]:
        os.rmdir(self._path(fields))
        return self._ok()

    def _do_rename(self, fields: _Fields) -> tuple[int, bytes]:
        source, target = self._path(fields), self._path(fields)
        if self.defects.rename_taken is not None and os.path.lexists(target):
            raise _Refused(self.defects.rename_taken)
        os.rename(source, target)
        return self._ok()

    def _do_posix_rename(self, fields: _Fields) -> tuple[int, bytes]:
        os.rename(self._path(fields), self._path(fields))
        return self._ok()

    def _do_readlink(self, fields: _Fields) -> tuple[int, bytes]:
        target = os.readlink(self._path(fields))
        return _NAME, struct.pack(">I", 1) + 2 * _string(target) + struct.pack(">I", 0)

    def _do_symlink(self, fields: _Fields) -> tuple[int, bytes]:
        os.symlink(fields.string(), self._path(fields))
        return self._ok()

    def _do_fsync(self, fields: _Fields) -> tuple[int, bytes]:
        os.fstat(self._handles[fields.string()])
        return self._ok()

    def _do_limits(self, _dummy: _Fields) -> tuple[int, bytes]:
        return _EXTENDED_REPLY, struct.pack(">QQQQ", *self.defects.limits)

    def _do_statvfs(self, fields: _Fields) -> tuple[int, bytes]:
        found = os.statvfs(self._path(fields))
        free = found.f_bavail
        if self.defects.room is not None and not self.defects.quota:
            free = self.defects.room // found.f_frsize
        files = (0, 0, 0)
        if self.defects.inodes is not None:
            files = (1000, self.defects.inodes, self.defects.inodes)
        flags = int(self.defects.read_only)
        values = (
            found.f_bsize, found.f_frsize, found.f_blocks, free, free, *files, 0, flags, 255
        )  # fmt: skip
        return _EXTENDED_REPLY, struct.pack(">11Q", *values)


class Line:
    """The client's end: a ``Stream`` of the engine.

    ``window`` is how many bytes go out before the client must wait for the server to take them.
    """

    def __init__(self, server: SftpServer, window: int = 1 << 40) -> None:
        self.server = server
        self.waits = 0
        self.segments = 0
        self.closed = False
        self._window = window
        self._room = window
        self._due: list[bytes] = [server.defects.noise] if server.defects.noise else []
        self._arrived: list[bytes] = []

    def send(self, data: bytes | memoryview) -> int:
        if self.closed or self.server.ended:
            raise OSError("Socket is closed")
        if not self._room:
            self._room = self._window
        taken = bytes(data[: self._room])
        self._room -= len(taken)
        self.segments += 1
        self._due += self.server.feed(taken)
        return len(taken)

    def send_ready(self) -> bool:
        return self._room > 0

    def recv(self, size: int) -> bytes:
        if not self._arrived:
            self.waits += 1
            self._room = self._window
            self._arrived, self._due = self._due, []
            if self.server.defects.backwards:
                self._arrived.reverse()
        data = b"".join(self._arrived)
        self._arrived = []
        if not data and not self.server.ended:
            raise socket.timeout("timed out")
        return data

    def recv_ready(self) -> bool:
        return bool(self._arrived)

    def close(self) -> None:
        self.closed = True


class _Fields:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def _take(self, size: int) -> bytes:
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def u32(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def u64(self) -> int:
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        return self._take(self.u32())

    def text(self) -> str:
        return self.string().decode()


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _code(cause: OSError) -> int:
    # As OpenSSH's errno_to_portable.
    if isinstance(cause, (FileNotFoundError, NotADirectoryError)):
        return NO_SUCH_FILE
    return PERMISSION_DENIED if isinstance(cause, PermissionError) else FAILURE
