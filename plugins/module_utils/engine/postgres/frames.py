# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line between two nodes: frames of JSON or of plain bytes over a pair of pipes.

Both sides begin with a greeting, so that anything else that a login writes is recognised as such.
Then: one byte for the kind, four for the length (big endian), the content.
"""

from __future__ import annotations

import json
import os
import select
import struct
import typing as t

from ..errors import HostConnectError, ProtocolError

# The number rises with every change of what is said.
VERSION = 1
GREETING = b"pgsftp-node %d\n" % VERSION

JSON = 1
BYTES = 2

# More than any frame has; a larger length is no length.
LIMIT = 256 * 1024 * 1024

_HEAD = struct.Struct(">BI")
_CHUNK = 256 * 1024

Message = dict[str, t.Any]


class Line:
    """One end of the line. ``timeout`` (seconds; None: for ever) bounds every silence."""

    def __init__(self, receive: int, send: int, timeout: float | None) -> None:
        self._receive = receive
        self._send = send
        self._timeout = timeout
        self._buffer = bytearray()

    def greet(self) -> None:
        """Send the greeting."""
        self._write(GREETING)

    def expect_greeting(self) -> None:
        """Read the other side's greeting.

        Raises ProtocolError that quotes what came instead, HostConnectError when nothing came.
        """
        while len(self._buffer) < len(GREETING) and GREETING.startswith(self._buffer):
            self._fill()
        if not self._buffer.startswith(GREETING):
            text = bytes(self._buffer[:200]).decode("utf-8", "replace").strip()
            name = GREETING.split(b" ", 1)[0].decode()
            if text.startswith(name):
                raise ProtocolError(
                    f"the other side speaks '{text.splitlines()[0]}', this one '{name} {VERSION}'",
                    hint="install the same version of the engine on both hosts.",
                )
            raise ProtocolError(
                f"unexpected output instead of a greeting: '{text}'",
                hint="does a login script of that account write to standard output?",
            )
        del self._buffer[: len(GREETING)]

    def send(self, message: Message) -> None:
        """Send a JSON frame."""
        self._frame(JSON, json.dumps(message, separators=(",", ":")).encode("utf-8"))

    def send_bytes(self, data: bytes) -> None:
        """Send a frame of plain bytes."""
        self._frame(BYTES, data)

    def receive(self) -> Message | bytes | None:
        """The next frame; None when the other side ended the line between two frames.

        Raises HostConnectError when it ended within one or fell silent, ProtocolError for
        nonsense.
        """
        while len(self._buffer) < _HEAD.size:
            if not self._fill(end_allowed=not self._buffer):
                return None
        kind, length = _HEAD.unpack_from(self._buffer)
        if kind not in (JSON, BYTES) or length > LIMIT:
            raise ProtocolError(f"unexpected frame of kind {kind} and length {length}")
        end = _HEAD.size + length
        while len(self._buffer) < end:
            self._fill()
        data = bytes(memoryview(self._buffer)[_HEAD.size : end])
        del self._buffer[:end]
        if kind == BYTES:
            return data
        try:
            message = json.loads(data)
        except ValueError as cause:
            raise ProtocolError("unexpected frame that is no JSON") from cause
        if not isinstance(message, dict):
            raise ProtocolError("unexpected frame that is no object")
        return message

    def _frame(self, kind: int, data: bytes) -> None:
        self._write(_HEAD.pack(kind, len(data)) + data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._send, view) :]
        except OSError as cause:
            raise HostConnectError(f"unable to send: {cause.strerror}") from cause

    def _fill(self, *, end_allowed: bool = False) -> bool:
        """Read more; False at the end of the line."""
        bounded = self._timeout is not None
        if bounded and not any(select.select([self._receive], [], [], self._timeout)):
            raise HostConnectError(f"no answer for {self._timeout:g}s")
        try:
            data = os.read(self._receive, _CHUNK)
        except OSError as cause:
            raise HostConnectError(f"unable to receive: {cause.strerror}") from cause
        if not data:
            if end_allowed:
                return False
            raise HostConnectError("the other side ended the connection")
        self._buffer += data
        return True
