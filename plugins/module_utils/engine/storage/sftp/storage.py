# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a storage over SFTP."""

from __future__ import annotations

import contextlib
import typing as t

from ...errors import EngineError, TransportLostError
from ..base import Features, FileInfo, Publish, Storage
from ..base import Reader as BaseReader
from ..base import Writer as BaseWriter
from ..survey import Survey
from . import protocol
from .channel import Batch, Channel, Reply
from .lanes import Lanes
from .look import look
from .paths import Paths
from .protocol import Status
from .reader import Reader
from .rename import rename
from .server import Server
from .survey import Surveyor
from .tree import Listing, Removal
from .writer import Writer

_MISSING = (protocol.NO_SUCH_FILE, protocol.NO_SUCH_PATH)


class SftpStorage(Storage):
    """The verbs on directory ``root`` of server ``name``, through one session.

    Repositories get no symbolic links over SFTP, as pgBackRest has it (repository reference,
    section 1), although ``link`` makes one when asked.
    """

    features = Features(symlink=False)

    def __init__(
        self,
        channel: Channel,
        name: str,
        root: str,
        generation: int = 0,
        lanes: Lanes | None = None,
        *,
        borrowed: bool = False,
    ) -> None:
        self._channel = channel
        self._borrowed = borrowed
        self._lanes = lanes
        self.server = Server(channel, name, root, generation, lanes)
        self.location = self.server.location
        self._paths = Paths(self.server)
        self.server.begin()

    @property
    def ended(self) -> bool:
        """See Storage."""
        return self._channel.ended

    @property
    def answered(self) -> bool:
        """See Storage. The greeting of a borrowed session is one of before."""
        return not self._borrowed or self.round_trips > 0

    @property
    def unfinished(self) -> frozenset[str]:
        """See Storage."""
        return frozenset(self.server.unfinished)

    @property
    def channel(self) -> Channel:
        """What the session is made of, for who lends parts of it."""
        return self._channel

    @property
    def round_trips(self) -> int:
        """How often distance was paid for; see Channel."""
        return self._channel.round_trips

    def reader(self, path: str, *, offset: int = 0, size: int | None = None) -> BaseReader:
        """See Storage."""
        return Reader(self.server, path, offset, size)

    def writer(self, path: str, *, publish: Publish, most: int = 0) -> BaseWriter:
        """See Storage."""
        return Writer(self.server, self._paths, path, publish, most)

    def list_many(self, paths: t.Iterable[str]) -> list[list[FileInfo] | EngineError]:
        """See Storage."""
        return self.begin_list_many(paths)()

    def begin_list_many(
        self, paths: t.Iterable[str]
    ) -> t.Callable[[], list[list[FileInfo] | EngineError]]:
        """See Storage."""
        wanted = list(paths)
        listings: dict[int, list[FileInfo] | EngineError] = {}
        batch = Batch(self._channel)
        for number, path in enumerate(wanted):

            def listed(entries: list[FileInfo] | EngineError, number: int = number) -> None:
                listings[number] = entries

            Listing(self.server, batch, path, listed)

        def rest() -> list[list[FileInfo] | EngineError]:
            self._channel.wait_until(lambda: len(listings) == len(wanted))
            return [listings[number] for number in range(len(wanted))]

        return rest

    def info_many(self, paths: t.Iterable[str]) -> list[FileInfo | None]:
        """See Storage."""
        wanted = list(paths)
        found: list[FileInfo | None] = [None] * len(wanted)
        errors: list[EngineError] = []
        remaining = len(wanted)
        batch = Batch(self._channel)
        for number, path in enumerate(wanted):

            def answered(entry: FileInfo | EngineError | None, number: int = number) -> None:
                nonlocal remaining
                remaining -= 1
                if isinstance(entry, EngineError):
                    errors.append(entry)
                else:
                    found[number] = entry

            look(self.server, batch, path, answered)
        self._channel.wait_until(lambda: not remaining)
        if errors:
            raise errors[0]
        return found

    def remove_many(self, paths: t.Iterable[str]) -> int:
        """See Storage."""
        removed = 0
        refused: list[tuple[str, Status]] = []
        batch = Batch(self._channel)
        for path in paths:

            def answered(reply: Reply, path: str = path) -> None:
                nonlocal removed
                if reply.is_ok():
                    removed += 1
                    return
                status = reply.status()
                if status.code not in _MISSING:
                    refused.append((path, status))

            batch.request(protocol.REMOVE, protocol.string(self.server.path(path)), answered)
        self._channel.wait_until(batch.ended)
        if refused:
            errors: list[EngineError] = []
            self.server.explain("remove", *refused[0], errors.append, takes_room=False)
            self._channel.wait_until(lambda: bool(errors))
            raise errors[0]
        return removed

    def remove_tree(self, path: str) -> None:
        """See Storage."""
        self._paths.forget(path)
        removal = Removal(self.server, path)
        self._channel.wait_until(removal.ended)
        if removal.error is not None:
            raise removal.error

    def make_paths(self, paths: t.Iterable[str]) -> None:
        """See Storage."""
        remaining = [path for path in paths if not self._paths.is_made(path)]
        errors: list[EngineError | None] = []
        for path in remaining:
            self._paths.make(path, errors.append)
        self._channel.wait_until(lambda: len(errors) == len(remaining))
        for error in errors:
            if error is not None:
                raise error

    def expect_paths(self, paths: t.Iterable[str]) -> None:
        """See Storage."""
        for path in paths:
            if not self._paths.is_made(path):
                self._paths.make(path, _whatever)

    def rename(self, source: str, target: str) -> None:
        """See Storage."""
        ended: list[EngineError | None] = []
        rename(self.server, source, target, lambda error, _: ended.append(error))
        self._channel.wait_until(lambda: bool(ended))
        if ended[0] is not None:
            raise ended[0]

    def sync_path(self, path: str) -> None:
        """Nothing: SFTP has no such request; see ``features``."""

    def link(self, target: str, path: str) -> None:
        """See Storage. Arguments go in OpenSSH's order, which is the reverse of the draft's."""
        fields = protocol.string(protocol.encode(target)) + protocol.string(self.server.path(path))
        reply = self._ask(protocol.SYMLINK, fields)
        if not reply.is_ok():
            raise self.server.error("link", path, reply.status())

    def free_size(self) -> int | None:
        """See Storage."""
        if not self.server.statvfs:
            return None
        replies: list[Reply] = []
        self.server.ask_space(replies.append)
        self._channel.wait_until(lambda: bool(replies))
        if replies[0].kind != protocol.EXTENDED_REPLY:
            return None
        return protocol.parse_space(replies[0].body).free

    def survey(self, scratch: str) -> Survey:
        """See Storage."""
        surveyor = Surveyor(self.server, scratch)
        return surveyor.run(software=self._channel.software, cipher=self._channel.cipher)

    def _ask(self, kind: int, fields: bytes) -> Reply:
        replies: list[Reply] = []
        self._channel.request(kind, fields, replies.append)
        self._channel.wait_until(lambda: bool(replies))
        return replies[0]

    def close(self) -> None:
        """See Storage."""
        with contextlib.suppress(EngineError):
            self._channel.wait_until(self.server.is_clean)
        if self._lanes is not None:
            self._lanes.close()
        self._channel.give_up(TransportLostError(f"connection to {self.server.name} is closed"))


def _whatever(_error: EngineError | None) -> None:
    """Nothing: it is told elsewhere."""
