# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on an SFTP server of their own process, which counts, kills them, or has no room.

Each command runs in a process group of its own. The server serves every worker process and works
on the repository's directory, so that what lies there is exactly what the requests made that it
served; nothing depends on time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import pwd
import shutil
import signal
import traceback
import typing as t

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import (
    archive_push,
    check,
    expire,
    info,
    stanza,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    run as backup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    run as restore,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify import (
    run as verify,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import EngineError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import open as opening
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.lanes import Lanes
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.server import (
    MOST_READ_AHEAD,
    Budget,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)

from .engine import Site, own
from .outcome import posix_view
from .postgres import OWNER
from .sftp_server import (
    EXTENDED,
    FAILURE,
    NAMES,
    PERMISSION_DENIED,
    Defects,
    Line,
    SftpServer,
    _Refused,
)
from .sshd import keygen

COMMANDS = {
    "archive-push": archive_push.run,
    "backup": backup.run,
    "check": check.run,
    "expire": expire.run,
    "info": info.run,
    "restore": restore.run,
    "stanza-create": stanza.run,
    "verify": verify.run,
}


# Requests that a server refuses whose files may no longer be changed.
CHANGES = dict.fromkeys(
    ("write", "mkdir", "rename", "posix-rename@openssh.com", "remove", "rmdir"), PERMISSION_DENIED
)

# What the engine imports when it needs it.
LIBRARIES = ("email.parser", "encodings.ascii", "paramiko", "psycopg2", "zstandard", "numpy")


def as_owner(work: t.Callable[[], object]) -> None:
    """Call it in a process of the owner of the cluster, which may replace what it likes of the
    engine; it must return.
    """
    become = os.geteuid() == 0
    for name in LIBRARIES if become else ():
        importlib.import_module(name)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if become:
                _become_owner()
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _become_owner() -> None:
    owner = pwd.getpwnam(OWNER)
    os.setgroups([])
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)


class Outcome(t.NamedTuple):
    """How a command ended: one of the three."""

    result: t.Any = None
    error: str | None = None
    killed: bool = False


class Shared:
    """What all processes of a command count together."""

    def __init__(
        self,
        kill_at: int | None,
        room: int | None,
        deny_at: int | None = None,
        defects: t.Mapping[str, t.Any] | None = None,
        counted: t.Container[str] | None = None,
        read_only: bool = False,
    ) -> None:
        self.kill_at, self.room, self.deny_at = kill_at, room, deny_at
        self.counted, self.read_only = counted, read_only
        self.defects = dict(defects or {})
        self.requests = multiprocessing.Value("q", 0)
        self.written = multiprocessing.Value("q", 0)
        # Round trips after the greeting: of the command's own process, and of its workers.
        self.trips = (multiprocessing.Value("q", 0), multiprocessing.Value("q", 0))
        self.parent = 0

    @property
    def round_trips(self) -> int:
        """One after another: the parent's and, with one worker, that one's."""
        return sum(value.value for value in self.trips)


class _Server(SftpServer):
    """The server of one session."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(Defects(**shared.defects))
        self._shared = shared

    def _answer(self, packet: bytes) -> bytes | None:
        requests = self._shared.requests
        counted = self._shared.counted
        if counted is None or _name(packet) in counted:
            with requests.get_lock():
                requests.value += 1
                if requests.value == self._shared.kill_at:
                    os.killpg(os.getpgid(0), signal.SIGKILL)
        deny_at = self._shared.deny_at
        if deny_at is not None and requests.value >= deny_at:
            if self._shared.read_only:
                self.defects.read_only = True
            else:
                self.defects.refuse = CHANGES
        free = self._free()
        self.defects.room = None if free is None else max(0, free)
        return super()._answer(packet)

    def _free(self) -> int | None:
        room = self._shared.room
        return None if room is None else room - self._shared.written.value

    def _use(self, size: int) -> None:
        written = self._shared.written
        with written.get_lock():
            free = self._free()
            if free is not None and size > free:
                # What fits is taken, as a file system does it, and nothing is left.
                written.value += max(0, free)
                raise _Refused(FAILURE)
            written.value += size


def _name(packet: bytes) -> str:
    if packet[0] != EXTENDED:
        return NAMES.get(packet[0], "")
    size = int.from_bytes(packet[5:9], "big")
    return packet[9 : 9 + size].decode()


class _Line(Line):
    """A line that counts when distance would be paid for."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(_Server(shared))
        self._shared = shared

    def recv(self, size: int) -> bytes:
        before = self.waits
        data = super().recv(size)
        if before and self.waits > before:
            value = self._shared.trips[os.getpid() != self._shared.parent]
            with value.get_lock():
                value.value += 1
        return data


class Repository:
    """A site whose commands have the server in their process.

    Without ``online`` its cluster does not run. With it the commands run as its owner, and WAL goes
    to the directory itself.
    """

    def __init__(self, site: Site, *, online: bool = False) -> None:
        self._online = online
        self.site = site
        self.path = site.repo
        self.defects: dict[str, t.Any] = {}
        """What every server of this repository does worse than OpenSSH; with a ``chroot`` of True
        it sees nothing but the repository."""
        self.shared = Shared(None, None)
        """Of the command that ran last."""
        self.before: t.Callable[[], object] = lambda: None
        """What the process of a command does first; it may replace what it likes of the engine."""
        self._kept = site.root / "kept"
        if not online:
            site.cluster.stop()
        keygen(site.root / "id", "ed25519")
        site.configure(
            process_max="1",
            compress_level="1",
            repo1_type="sftp",
            repo1_sftp_host="sftp-srv",
            repo1_sftp_host_user="demo",
            repo1_sftp_host_key_hash_type="sha256",
            repo1_sftp_private_key_file=str(site.root / "id"),
        )
        self.path.mkdir()
        if online:
            own(self.path)
            own(site.root / "id")
            view = posix_view(site)
            push = f"{site.command} --config={view.config} --stanza=demo archive-push %p"
            site.cluster.configure(archive_mode="on", archive_command=push)
            site.cluster.restart()

    def keep(self) -> None:
        """Keep what the repository is set back to."""
        shutil.copytree(self.path, self._kept)

    def set_back(self) -> None:
        """Back to what was kept, or to nothing."""
        shutil.rmtree(self.path)
        if self._kept.exists():
            shutil.copytree(self._kept, self.path)
        else:
            self.path.mkdir()

    def run(self, command: str, *arguments: str) -> t.Any:
        """What the command gives as data; it must succeed."""
        outcome = self.outcome(command, *arguments)
        assert outcome.error is None, f"{command}: {outcome.error}"
        return outcome.result

    def outcome(
        self,
        command: str,
        *arguments: str,
        kill_at: int | None = None,
        room: int | None = None,
        deny_at: int | None = None,
        defects: t.Mapping[str, t.Any] | None = None,
        counted: t.Container[str] | None = None,
        read_only: bool = False,
    ) -> Outcome:
        """Run a command; kill it instead of serving request ``kill_at`` (of those that are
        ``counted`` by name, or of all); have ``room`` bytes; let nothing be changed from request
        ``deny_at`` on, forbidden or on a file system that is ``read_only``; have the server's
        ``defects``.
        """
        config = [f"--config={self.site.config}", "--stanza=demo"]
        options = load(command, [*config, *arguments], {})
        wrong = {**self.defects, **(defects or {})}
        shared = self.shared = Shared(kill_at, room, deny_at, wrong, counted, read_only)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            if self._online and os.geteuid() == 0:
                # The interpreter of the tests may be where only root can read.
                for name in LIBRARIES:
                    importlib.import_module(name)
                _become_owner()
            root = str(self.path)
            if shared.defects.get("chroot"):
                shared.defects["chroot"], root = root, "/"
            self.before()
            _life(write, lambda: COMMANDS[command](options), root, shared)
        os.close(write)
        with open(read, encoding="utf-8") as stream:
            said = stream.read()
        _dummy, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return Outcome(killed=True)
        assert status in (0, 256), f"{command}: status {status}: {said}"
        return Outcome(json.loads(said)) if status == 0 else Outcome(error=said)

    def names(self) -> list[str]:
        """Everything that is there."""
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*"))


def _life(write: int, work: t.Callable[[], t.Any], root: str, shared: Shared) -> t.NoReturn:
    """The child's, which ends in here."""
    code = 2
    try:
        os.setpgid(0, 0)
        shared.parent = os.getpid()

        def channel() -> Channel:
            line = _Line(shared)
            return Channel(line, "sftp-srv", line.close)

        def lane() -> Channel:
            made = channel()
            made.greet()
            return made

        def connect(opener: t.Any, generation: int = 0) -> SftpStorage:
            lanes = Lanes(lane, opener._lanes) if opener._lanes else None
            storage = SftpStorage(channel(), "sftp-srv", root, generation, lanes)
            # Far away, where it matters how often somebody waits.
            storage.server.read_ahead = Budget(MOST_READ_AHEAD)
            return storage

        opening._SftpOpener.open = connect
        said = json.dumps(work().as_dict(), default=str)
        code = 0
    except EngineError as cause:
        said, code = str(cause), 1
    except BaseException:
        said = traceback.format_exc()
    with contextlib.suppress(OSError), open(write, "w", encoding="utf-8") as stream:
        stream.write(said)
    os._exit(code)
