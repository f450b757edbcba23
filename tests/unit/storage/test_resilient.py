"""Sessions that are lost, and a storage to which that does not matter."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.resilient import (
    ResilientStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sessions import Sessions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects, Line, SftpServer


class Opener:
    """Opens sessions with an in-process server; session N ends after ``cuts[N]`` requests."""

    def __init__(self, root, cuts, refusals=()):
        self._root = root
        self._cuts = list(cuts)
        self._refusals = list(refusals)
        self.opened = 0
        self.servers = []

    def open(self, generation=0):
        if self._refusals:
            error = self._refusals.pop(0)
            if error is not None:
                raise error
        cut = self._cuts[self.opened] if self.opened < len(self._cuts) else None
        self.opened += 1
        server = SftpServer(Defects(cut_after=cut))
        self.servers.append(server)
        line = Line(server, 1 << 40)
        return SftpStorage(
            Channel(line, "sftp-srv", line.close), "sftp-srv", str(self._root), generation
        )


def sessions(root, cuts=(), refusals=(), **changes):
    root.mkdir(exist_ok=True)
    return Sessions(Opener(root, cuts, refusals), sleep=lambda seconds: None, **changes)


def refused():
    return errors.HostConnectError("unable to connect to 'sftp-srv:22': connection refused")


# Sessions.


def test_a_server_that_does_not_let_us_in_is_an_error_at_once(root):
    with pytest.raises(errors.HostConnectError):
        _dummy = sessions(root, refusals=[refused()]).current


def test_a_server_that_hangs_up_is_asked_again_for_a_while(root):
    busy = errors.HostBusyError("unable to connect to 'sftp-srv:22': closed before SSH began")
    now = itertools.count(step=4)
    some = sessions(root, refusals=[busy] * 3, clock=lambda: next(now))
    assert some.current.list("") == []
    with pytest.raises(errors.HostBusyError):
        _dummy = sessions(root, refusals=[busy] * 30, clock=lambda: next(now)).current


def test_a_lost_session_is_replaced_once_however_many_find_it_lost(root, caplog):
    some = sessions(root)
    first = some.current
    for _dummy in range(3):
        some.renew(first, errors.TransportLostError("connection to sftp-srv lost"))
    assert some.current is not first
    assert some.generation == 1


def test_connecting_again_goes_on_while_the_server_is_away(root):
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(20))])
    some.renew(some.current, errors.TransportLostError("lost"))
    assert some.current.list("") == []


def test_patience_ends(root):
    now = itertools.count(step=10.0)
    some = sessions(
        root, refusals=[None, *(refused() for _dummy in range(100))], clock=lambda: next(now)
    )
    with pytest.raises(errors.HostConnectError, match="refused"):
        some.renew(some.current, errors.TransportLostError("lost"))


def test_pauses_grow_and_are_bounded(root):
    slept = []
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(12))])
    some._sleep = slept.append
    some.renew(some.current, errors.TransportLostError("lost"))
    assert slept[0] <= 0.5
    assert max(slept) <= 15.0
    # Fewer than six attempts a minute once the pauses have grown.
    assert min(slept[-3:]) >= 7.5


def test_a_key_that_is_refused_is_not_tried_again(root):
    some = sessions(root, refusals=[None, errors.ServiceError("public key refused")])
    with pytest.raises(errors.ServiceError):
        some.renew(some.current, errors.TransportLostError("lost"))


# The storage, with the session cut after every possible request of what it does.


def everything(storage):
    """Writes, lists, reads, removes; gives what it saw."""
    writers = [storage.writer(f"d/{n}", publish=Publish.RENAME) for n in range(3)]
    for number, writer in enumerate(writers):
        writer.write(bytes([number]) * 300000)
    last = None
    for writer in writers:
        last = writer.finish(after=last)
    last.wait()
    storage.write("info", b"one")
    storage.write("info", b"two")
    seen = [
        [entry.name for entry in storage.list("d")],
        [info is not None for info in storage.info_many(["d/0", "d/9", "info"])],
        storage.read("info"),
        storage.reader("d/1", offset=100, size=200000).read_all(),
        storage.reader("d/2").read_all(),
    ]
    storage.remove("d/0")
    storage.make_paths(["e/f"])
    storage.remove_tree("d")
    return seen


EXPECTED = [
    ["0", "1", "2"],
    [True, False, True],
    b"two",
    b"\1" * 200000,
    b"\2" * 300000,
]


def total_requests(root):
    some = sessions(root)
    assert everything(ResilientStorage(some)) == EXPECTED
    return len(some._opener.servers[0].requests)


def test_a_session_lost_anywhere_changes_nothing(tmp_path):
    total = total_requests(tmp_path / "whole")
    assert total > 40
    for cut in range(1, total):
        root = tmp_path / f"cut{cut}"
        some = sessions(root, cuts=[cut])
        assert everything(ResilientStorage(some)) == EXPECTED, cut
        assert some._opener.opened == 2
        left = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
        assert left == ["e", "e/f", "info"], cut


def test_many_lost_sessions_in_a_row(tmp_path):
    some = sessions(tmp_path / "r", cuts=[25, 30, 35, 28, 31, 40])
    assert everything(ResilientStorage(some)) == EXPECTED
    assert some.generation >= 3


def test_a_refusal_is_not_taken_for_a_lost_session(root):
    storage = ResilientStorage(sessions(root))
    with pytest.raises(errors.StorageMissingError):
        storage.read("nosuch")
    assert storage.sessions.generation == 0


def test_what_a_lost_session_still_does_cannot_hurt_the_file_sent_anew(root):
    some = sessions(root)
    storage = ResilientStorage(some)
    first = some.current
    lost = first.writer("x", publish=Publish.RENAME)
    lost.write(b"old" * 100000)
    first.list("")
    some.renew(first, errors.TransportLostError("lost"))
    storage.write("x", b"new")
    assert sorted(path.name for path in root.iterdir()) == ["x"]
    # The rename of the lost session arrives late at the server, and finds nothing.
    assert not (root / "x.pgbackrest.tmp").exists()
    assert storage.read("x") == b"new"


def test_a_first_session_that_is_lost_before_it_is_of_use_is_asked_for_again(root):
    # The server ends the session in the middle of the greeting.
    some = sessions(root, refusals=[errors.TransportLostError("connection to sftp-srv lost")])
    assert some.current.list("") == []
