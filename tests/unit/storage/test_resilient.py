# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage to which lost sessions do not matter."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (
    Missing,
    Publish,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.resilient import (
    ResilientStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sessions import (
    MOST_LOSSES,
)
from ansible_collections.pgsftp.backup.tests.support.sessions import sessions
from ansible_collections.pgsftp.backup.tests.support.sftp_server import SftpServer

# The storage, with the session cut after every possible request of what it does.


def everything(storage):
    """Writes, lists, reads, removes; gives what it saw."""
    writers = [storage.writer(f"d/{n}", publish=Publish.RENAME) for n in range(3)]
    for number, writer in enumerate(writers):
        writer.write(bytes([number]) * 300000)
    last = []
    for writer in writers:
        last = [writer.finish(after=last)]
    last[0].wait()
    storage.writer("called later", publish=Publish.RENAME).finish(name="empty").wait()
    storage.remove("empty", missing=Missing.ERROR)
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


def test_twenty_lost_sessions_with_progress_between_them_cost_no_pause(root):
    some = sessions(root, cuts=[3] * 20)
    storage = ResilientStorage(some)
    for number in range(60):
        storage.info_many([str(number)])
    assert some.generation == 20
    assert some._opener.clock() == some._opener.asked[0]


VERBS = {
    "list": lambda storage: storage.list(""),
    "info": lambda storage: storage.info("x"),
    "remove": lambda storage: storage.remove("x"),
    "rename": lambda storage: storage.rename("x", "y"),
    "read": lambda storage: storage.read("x"),
    "write": lambda storage: storage.write("y", b"z" * 1_000_000),
    "make": lambda storage: storage.make_paths(["d"]),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("every", [0, 1])
def test_a_server_that_ends_each_session_at_the_same_request(root, verb, every):
    some = sessions(root, every=every)
    (root / "x").write_bytes(b"1")
    storage = ResilientStorage(some)
    try:
        VERBS[verb](storage)
    except errors.TransportLostError as cause:
        error = cause
    else:
        assert every == 1
        return
    assert error.message.startswith("connection to sftp-srv lost: ")
    assert error.message.endswith(", for the 8th time at the same work")
    assert error.hint is not None
    asked = some._opener.asked
    assert len(asked) == MOST_LOSSES
    # The second comes at once, the others later and later.
    pauses = [after - before for before, after in zip(asked, asked[1:], strict=False)]
    assert pauses[0] == 0
    assert pauses[1] >= 1
    assert min(pauses[5:]) >= 15
    # Whoever asks again is told so at once.
    with pytest.raises(errors.TransportLostError, match="for the 8th time"):
        storage.list("")
    assert len(asked) == MOST_LOSSES


@pytest.mark.parametrize("cut", range(1, 8))
def test_what_was_asked_ahead_is_asked_again(root, cut):
    (root / "d").mkdir(parents=True)
    (root / "d" / "x").touch()
    some = sessions(root, cuts=[cut])
    storage = ResilientStorage(some)
    rest = storage.begin_list_many(["d", "e"])
    storage.info_many(["d/x"])
    assert "opendir" in some._opener.servers[0].requests or cut == 1
    listed, missing = rest()
    assert [entry.name for entry in listed] == ["x"]
    assert isinstance(missing, errors.StorageMissingError)
    assert some._opener.opened == 2


def test_of_files_whose_names_come_in_order_each_is_given_up(root):
    some = sessions(root, every=2)
    storage = ResilientStorage(some)
    first = storage.writer("a", publish=Publish.RENAME)
    second = storage.writer("b", publish=Publish.RENAME)
    after = first.finish()
    with pytest.raises(errors.TransportLostError, match="for the 8th time"):
        second.finish(after=[after]).wait()
    assert len(some._opener.asked) <= 2 * MOST_LOSSES


@pytest.mark.parametrize("happened", [True, False])
def test_a_rename_that_a_session_was_lost_with(root, monkeypatch, happened):
    """Of the old name nothing is left, which is an error only where there is no new one either."""
    answer = SftpServer._answer

    def unheard(server, packet):
        if happened:
            answer(server, packet)
        monkeypatch.setattr(SftpServer, "_answer", answer)
        server.ended = True

    def renamed(source, target):
        some = sessions(root)
        storage = ResilientStorage(some)
        storage.list("")
        monkeypatch.setattr(SftpServer, "_answer", unheard)
        try:
            storage.rename(source, target)
        finally:
            assert some._opener.opened == 2

    root.mkdir()
    (root / "old").write_bytes(b"1")
    renamed("old", "new")
    assert [path.name for path in root.iterdir()] == ["new"]
    with pytest.raises(errors.StorageMissingError):
        renamed("old", "newer")


@pytest.mark.parametrize("cut", range(4, 16))
def test_one_of_two_twins_is_there_whichever_session_is_lost(root, monkeypatch, cut):
    """A server that replaces a file in two steps, and the twin may have been sent before it."""
    missing = set()
    names = ("info", "info.copy")
    root.mkdir()
    for name in names:
        (root / name).write_bytes(b"former")
    answer = SftpServer._answer

    def watched(server, packet):
        reply = answer(server, packet)
        missing.add(tuple(name for name in names if not (root / name).exists()))
        return reply

    monkeypatch.setattr(SftpServer, "_answer", watched)
    some = sessions(root, cuts=[cut], defects={"extensions": {}})
    storage = ResilientStorage(some)
    writers = [storage.writer(name, publish=Publish.RENAME) for name in names]
    for writer in writers:
        writer.write(b"now")
    first = writers[0].finish()
    storage.wait([first, writers[1].finish(twin=first)])
    assert [(root / name).read_bytes() for name in names] == [b"now", b"now"]
    assert names not in missing


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
    assert storage.read("x") == b"new"


def test_what_a_lost_session_had_finished_costs_nothing(root):
    some = sessions(root)
    storage = ResilientStorage(some)
    for number in range(20):
        storage.write(f"x{number}", b"old")
    for number in range(5):
        first = some.current
        begun = first.writer(f"x{number}", publish=Publish.RENAME)
        first.list("")
        some.renew(first, errors.TransportLostError("lost"))
        assert begun
    last = some._opener.servers[-1]
    assert last.count("remove") == 1
    storage.write("x0", b"new")
    assert last.count("remove") == 1
    assert len(list(root.iterdir())) == 20


def test_what_is_left_is_removed_although_the_next_session_is_lost_with_it(root):
    some = sessions(root, cuts=[None, 1])
    first = some.current
    first.writer("x", publish=Publish.RENAME).write(b"old" * 100000)
    first.list("")
    some.renew(first, errors.TransportLostError("lost"))
    assert [path.name for path in root.iterdir()] != []
    ResilientStorage(some).list("")
    assert some._opener.opened == 3
    assert [path.name for path in root.iterdir()] == []
