# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an archiver is found: its lock, its socket, and what it tells the service manager."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time

from .. import resident
from ..errors import FileOpenError, LockAcquireError
from .settings import Settings

# How long a new service waits for what is left of a former one, in seconds.
LEGACY = 60.0


def only_one(settings: Settings) -> int:
    """Take the archiver's lock, which its workers share; gives its descriptor.

    Waits for workers of a service that was killed; raises LockAcquireError when another one runs.
    """
    path = os.path.join(settings.directory, f"{settings.stanza}.lock")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as cause:
        raise FileOpenError(
            f"unable to open '{path}': {cause.strerror}",
            hint="pgsftp-archiver.service makes the directory; else set archiver-path.",
        ) from cause
    deadline = time.monotonic() + LEGACY
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as cause:
            if cause.errno == errno.EWOULDBLOCK and _is_answered(settings):
                deadline = 0.0
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise LockAcquireError(
                    f"unable to acquire lock on file '{path}': {cause.strerror}",
                    hint=f"is another archiver of stanza {settings.stanza} running?",
                ) from cause
        time.sleep(0.1)
    return descriptor


def _is_answered(settings: Settings) -> bool:
    """Whether a service listens, as opposed to what a killed one left."""
    try:
        resident.Line(settings.directory, settings.stanza).close()
    except resident.Alone:
        return False
    return True


def listen(settings: Settings) -> socket.socket:
    """The socket that archive-push asks at, for its owner alone; raises FileOpenError."""
    path = resident.socket_path(settings.directory, settings.stanza)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        listener.listen(64)
    except OSError as cause:
        listener.close()
        raise FileOpenError(
            f"unable to listen at '{path}': {cause.strerror or cause}",
            hint="archiver-path must be a short path of a directory that this user can write to.",
        ) from cause
    finally:
        os.umask(mask)
    listener.setblocking(False)
    return listener


def tell_systemd(text: str) -> None:
    """sd_notify(3); nothing where systemd did not start us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(text.encode(), address)
