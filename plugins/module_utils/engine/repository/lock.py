# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks and stop files on the host (repository reference, section 19).

They are pgBackRest's own: same directory, names and content, so that the two tools exclude each
other. A lock is an ``flock``: it ends with its process, and a file that is left behind locks
nothing.

A lock is of one repository. Before 2.53 pgBackRest had one for all of them, under a name without a
number: that one is taken, too, and shared, so that it keeps only such a pgBackRest away.

A host's locks say nothing to another host. A command that works with several hosts of a cluster
states its `Locks.claim` to those, and each takes the same locks (`granted`) for as long as it is
connected.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import fcntl
import json
import os
import re
import secrets
import signal
import time
import typing as t

from .. import log
from ..errors import EngineError, FileOpenError, LockAcquireError, ProtocolError, StopError
from .infofile import dump

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config.options import Options

_LOCK_FILE = re.compile(r"(?P<stanza>.+)-(?:archive|backup|restore)(?:-[0-9]+)?\.lock")

_DIRECTORY_MODE = 0o770
_FILE_MODE = 0o640

# Whoever reads the state of a lock takes it for a moment: `info` must not make a backup fail.
_ATTEMPTS = 5
_PAUSE = 0.02


class LockType(enum.Enum):
    """What a lock protects."""

    ARCHIVE = "archive"
    BACKUP = "backup"
    RESTORE = "restore"


ALL = tuple(LockType)

# Numbers of repositories.
_KEYS = range(1, 257)
_EXEC_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class LockState(t.NamedTuple):
    """What a lock file tells somebody else; sizes in bytes."""

    held: bool
    pid: int | None = None
    size: int | None = None
    """What a copy has to do; None outside of one."""
    size_complete: int | None = None


def lock_file(directory: str, stanza: str, lock_type: LockType, repo_key: int) -> str:
    """The path of a lock; ``directory`` is the option ``lock-path``."""
    return os.path.join(directory, f"{stanza}-{lock_type.value}-{repo_key}.lock")


def shared_lock_file(directory: str, stanza: str, lock_type: LockType) -> str:
    """The path of the lock that pgBackRest before 2.53 takes, whatever the repository."""
    return os.path.join(directory, f"{stanza}-{lock_type.value}.lock")


def new_exec_id() -> str:
    """Names one run of a command, helpers included."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


@dataclasses.dataclass(frozen=True)
class _Held:
    path: str
    descriptor: int
    shared: bool


class Locks:
    """The locks that one command holds, until ``release`` or the end of the ``with`` block.

    Worker processes inherit them: the locks last until the last of them has ended.
    """

    def __init__(self, exec_id: str | None = None) -> None:
        self.exec_id = new_exec_id() if exec_id is None else exec_id
        self.claim: Claim | None = None
        """What other hosts are asked for: everything that was taken here."""
        self._held: list[_Held] = []

    def acquire(
        self,
        directory: str,
        stanza: str,
        lock_types: Iterable[LockType],
        repo_keys: Iterable[int],
    ) -> Locks:
        """Take all of these locks or none; raises LockAcquireError."""
        keys, kinds = tuple(repo_keys), tuple(lock_types)
        try:
            os.makedirs(directory, _DIRECTORY_MODE, exist_ok=True)
            for lock_type in kinds:
                for key in keys:
                    self._acquire(lock_file(directory, stanza, lock_type, key))
                self._acquire(shared_lock_file(directory, stanza, lock_type), shared=True)
        except OSError as cause:
            self.release()
            raise _refused(cause.filename or directory, cause) from cause
        except EngineError:
            self.release()
            raise
        self.claim = Claim(self.exec_id, tuple(kind.value for kind in kinds), keys)
        return self

    def _acquire(self, path: str, *, shared: bool = False) -> None:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _FILE_MODE
            )
            try:
                fcntl.flock(
                    descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
                )
            except OSError as cause:
                busy = _read(descriptor)
                os.close(descriptor)
                if cause.errno != errno.EWOULDBLOCK:
                    raise
                if busy.get("execId") == self.exec_id:
                    # Another process of the same run has it: that is as good.
                    return
                refusal = cause
                continue
            if _is_current(path, descriptor):
                self._held.append(_Held(path, descriptor, shared))
                _write(descriptor, {"execId": self.exec_id, "pid": os.getpid()})
                return
            # Its former holder removed the file between our open and our lock.
            os.close(descriptor)
            refusal = OSError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        raise _refused(path, refusal) from refusal

    def progress(self, size: int, size_complete: int) -> None:
        """Say how far a copy is, in bytes, for ``info``."""
        percent = 10000 * size_complete // size if size else 10000
        for held in self._held:
            if held.shared:
                continue
            # The lock is held whatever the file says: where its disk is full, `info` tells less.
            with contextlib.suppress(OSError):
                _write(
                    held.descriptor,
                    {
                        "execId": self.exec_id,
                        "pctCplt": percent,
                        "pid": os.getpid(),
                        "sz": size,
                        "szCplt": size_complete,
                    },
                )

    def release(self) -> None:
        """Let go of everything; the files go too."""
        while self._held:
            held = self._held.pop()
            with contextlib.suppress(OSError):
                if held.shared:
                    # Somebody else may have it, too: then the file has to stay.
                    fcntl.flock(held.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(held.path)
            os.close(held.descriptor)

    def __enter__(self) -> Locks:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()


class Claim(t.NamedTuple):
    """Locks of a command, as other hosts are told of them: types by their names."""

    exec_id: str
    types: tuple[str, ...]
    repos: tuple[int, ...]


def granted(options: Options, claim: object) -> Locks:
    """Take on this host what a command on another one claims, a `Claim` that came through JSON.

    Raises StopError when commands have been stopped here, LockAcquireError when somebody else has
    one of the locks, ProtocolError when that is no claim.
    """
    try:
        exec_id, types, repos = t.cast("tuple[str, list[str], list[int]]", claim)
        kinds = [LockType(name) for name in types]
        keys = [_KEYS[_KEYS.index(key)] for key in repos]
        if not _EXEC_ID.fullmatch(exec_id):
            raise ValueError(exec_id)
    except (TypeError, ValueError) as cause:
        raise ProtocolError(f"'{claim}' is no claim of locks") from cause
    stanza = options.require_stanza()
    check_stop(options.lock_path, stanza)
    return Locks(exec_id).acquire(options.lock_path, stanza, kinds, keys)


def acquire(options: Options, *lock_types: LockType) -> Locks:
    """Take locks of these types for the stanza and every repository of a command.

    Raises LockAcquireError when somebody else has one of them.
    """
    keys = [repo.key for repo in options.repos]
    return Locks().acquire(options.lock_path, options.require_stanza(), lock_types, keys)


def read_state(directory: str, stanza: str, lock_type: LockType, repo_key: int) -> LockState:
    """Whether somebody on this host holds a lock, and how far they are. Never fails."""
    state = _state(lock_file(directory, stanza, lock_type, repo_key))
    # Held by one alone it is an older pgBackRest's.
    return state if state.held else _state(shared_lock_file(directory, stanza, lock_type))


def _state(path: str) -> LockState:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return LockState(held=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        content = _read(descriptor)
        return LockState(
            True, _number(content, "pid"), _number(content, "sz"), _number(content, "szCplt")
        )
    finally:
        os.close(descriptor)
    return LockState(held=False)


def _number(content: t.Mapping[str, object], key: str) -> int | None:
    value = content.get(key)
    return value if isinstance(value, int) else None


def _refused(path: str, cause: OSError) -> LockAcquireError:
    hint = f"does '{path}' belong to another user?"
    if cause.errno == errno.EWOULDBLOCK:
        hint = "is another pgsftp or pgBackRest process running?"
    return LockAcquireError(f"unable to acquire lock on file '{path}': {cause.strerror}", hint=hint)


def _is_current(path: str, descriptor: int) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _read(descriptor: int) -> dict[str, object]:
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(descriptor: int, content: dict[str, object]) -> None:
    data = dump(content).encode("ascii")
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def terminate_holders(directory: str, stanza: str | None) -> list[int]:
    """Ask every process that holds a lock of the stanza (None: of any) to end; their ids."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    asked: list[int] = []
    for name in names:
        match = _LOCK_FILE.fullmatch(name)
        if match is None or stanza not in (None, match["stanza"]):
            continue
        state = _state(os.path.join(directory, name))
        if state.held and state.pid is not None and state.pid not in asked:
            try:
                os.kill(state.pid, signal.SIGTERM)
            except (ProcessLookupError, PermissionError) as cause:
                log.warn("unable to send term signal to process %d: %s", state.pid, cause.strerror)
                continue
            asked.append(state.pid)
    return asked


# --- stop files ------------------------------------------------------------------------------


def stop_file(directory: str, stanza: str | None) -> str:
    """The path of a stop file; no stanza means all of them."""
    return os.path.join(directory, f"{'all' if stanza is None else stanza}.stop")


def check_stop(directory: str, stanza: str) -> None:
    """Raise StopError when commands for this stanza, or for all, have been stopped."""
    for name, whom in ((None, "all stanzas"), (stanza, f"stanza {stanza}")):
        if os.path.exists(stop_file(directory, name)):
            raise StopError(
                f"stop file exists for {whom}", hint="the start command allows them again."
            )


def create_stop(directory: str, stanza: str | None) -> bool:
    """Stop commands; False when they were stopped already."""
    path = stop_file(directory, stanza)
    if os.path.exists(path):
        return False
    try:
        os.makedirs(directory, _DIRECTORY_MODE, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, _FILE_MODE))
    except OSError as cause:
        raise FileOpenError(
            f"unable to create '{path}': {cause.strerror}",
            hint="may the user who runs this write to lock-path?",
        ) from cause
    return True


def remove_stop(directory: str, stanza: str | None) -> bool:
    """Allow commands again; False when they were allowed already."""
    path = stop_file(directory, stanza)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as cause:
        raise FileOpenError(
            f"unable to remove '{path}': {cause.strerror}",
            hint="may the user who runs this write to lock-path?",
        ) from cause
    return True
