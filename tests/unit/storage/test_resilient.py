# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that are lost, and a storage to which that does not matter."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.resilient import (
    ResilientStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sessions import (
    MOST_LOSSES,
    Sessions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.turns import Turns
from ansible_collections.pgsftp.backup.tests.support.clock import Clock
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects, Line, SftpServer


class Opener:
    """Opens sessions with an in-process server; session N ends after ``cuts[N]`` requests, all that
    have no number after ``every``. ``asked`` has the time of each attempt.
    """

    def __init__(self, root, cuts, refusals, every):
        self.clock = Clock()
        self.turns = Turns(clock=self.clock, sleep=self.clock.sleep)
        self.asked = []
        self._every = every
        self._root = root
        self._cuts = list(cuts)
        self._refusals = list(refusals)
        self.opened = 0
        self.servers = []

    def open(self, generation=0):
        self.asked.append(self.clock())
        if self._refusals:
            error = self._refusals.pop(0)
            if error is not None:
                raise error
        cut = self._cuts[self.opened] if self.opened < len(self._cuts) else self._every
        self.opened += 1
        server = SftpServer(Defects(cut_after=cut))
        self.servers.append(server)
        line = Line(server, 1 << 40)
        return SftpStorage(
            Channel(line, "sftp-srv", line.close), "sftp-srv", str(self._root), generation
        )


def sessions(root, cuts=(), refusals=(), every=None, **changes):
    root.mkdir(exist_ok=True)
    return Sessions(Opener(root, cuts, refusals, every), **changes)


def refused():
    return errors.HostConnectError("unable to connect to 'sftp-srv:22': connection refused")


# Sessions.


def test_a_server_that_does_not_let_us_in_is_an_error_at_once(root):
    with pytest.raises(errors.HostConnectError):
        _dummy = sessions(root, refusals=[refused()]).current


def test_a_server_that_hangs_up_is_asked_again_for_a_while(root):
    busy = errors.HostBusyError("unable to connect to 'sftp-srv:22': closed before SSH began")
    some = sessions(root, refusals=[busy] * 3)
    assert some.current.list("") == []
    some = sessions(root, refusals=[busy] * 30)
    with pytest.raises(errors.HostBusyError):
        _dummy = some.current
    assert some._opener.clock() < 1060


def test_a_lost_session_is_replaced_once_however_many_find_it_lost(root, caplog):
    some = sessions(root)
    first = some.current
    for _dummy in range(3):
        some.renew(first, errors.TransportLostError("connection to sftp-srv lost"))
    assert some.current is not first
    assert some.generation == 1


def test_connecting_again_goes_on_while_the_server_is_away(root):
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(10))])
    some.renew(some.current, errors.TransportLostError("lost"))
    assert some.current.list("") == []


def test_patience_ends(root):
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(100))])
    with pytest.raises(errors.HostConnectError, match="refused"):
        some.renew(some.current, errors.TransportLostError("lost"))
    assert 1200 < some._opener.clock() <= 1301


def test_a_server_that_refuses_is_asked_less_than_six_times_a_minute(root):
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(100))])
    with pytest.raises(errors.HostConnectError):
        some.renew(some.current, errors.TransportLostError("lost"))
    asked = some._opener.asked[1:]
    assert len(asked) > 10
    for begin in asked:
        assert sum(begin <= moment < begin + 60 for moment in asked) < 6


def test_patience_with_a_server_does_not_begin_anew_as_long_as_nothing_is_achieved(root):
    away = [refused() for _dummy in range(10)]
    some = sessions(root, cuts=[0] * 9, refusals=[None, *([*away, None] * 9)])
    with pytest.raises(errors.HostConnectError):
        ResilientStorage(some).list("")
    assert some._opener.clock() < 1330


class Others:
    """Time that passes while others of the command achieve something, until ``end``."""

    def __init__(self, some, end):
        self._turns = some._opener.turns
        self._clock = some._opener.clock
        self._end = end
        self._turns.sleep = self

    def __call__(self, seconds):
        self._clock.sleep(seconds)
        if self._clock() <= self._end:
            # With what only they know: what was said by us is not said again so soon.
            self._turns._said_at = 0.0
            self._turns.achieved()


def lose(some):
    some.renew(some.current, errors.TransportLostError("lost"))


def test_a_second_loss_is_waited_for_as_long_as_others_get_on(root):
    """It took 400 seconds, beyond all patience, to have a session again, and that is lost, too."""
    away = [refused() for _dummy in range(20)]
    some = sessions(root, refusals=[None, *away, None, *away, None])
    Others(some, end=2000)
    lose(some)
    assert some._opener.clock() > 1350
    lose(some)
    assert some._opener.clock() > 1700


def test_after_what_others_achieved_patience_is_whole_again(root):
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(100))])
    Others(some, end=1200)
    with pytest.raises(errors.HostConnectError):
        lose(some)
    assert 1450 < some._opener.clock() <= 1501


def test_what_others_achieve_while_there_is_a_session_counts_too(root):
    away = [refused() for _dummy in range(12)]
    some = sessions(root, refusals=[None, *away, None, *(refused() for _dummy in range(100))])
    lose(some)
    waited = some._opener.clock() - 1000
    assert 200 < waited < 290
    some._opener.turns.achieved()
    lost_at = some._opener.clock()
    with pytest.raises(errors.HostConnectError):
        lose(some)
    assert some._opener.clock() > lost_at + 270


def test_of_what_nobody_achieved_all_time_counts(root):
    """Also that which is spent after the last thing that others achieved."""
    away = [refused() for _dummy in range(19)]
    some = sessions(root, refusals=[None, *away, None, *(refused() for _dummy in range(100))])
    Others(some, end=1150)
    lose(some)
    used = some._opener.clock() - 1150
    assert 180 < used < 290
    lost_at = some._opener.clock()
    with pytest.raises(errors.HostConnectError):
        lose(some)
    assert some._opener.clock() < lost_at + 300 - used + 26


def test_a_key_that_is_refused_is_not_tried_again(root):
    some = sessions(root, refusals=[None, errors.ServiceError("public key refused")])
    with pytest.raises(errors.ServiceError):
        some.renew(some.current, errors.TransportLostError("lost"))


def test_a_borrowed_session_that_never_answered_is_no_reason_for_patience(root):
    some = sessions(root, refusals=[None, refused()])
    borrowed = SftpStorage(some.current.channel, "sftp-srv", str(root), borrowed=True)
    assert not borrowed.answered
    some._storage = borrowed
    with pytest.raises(errors.HostConnectError, match="refused"):
        some.renew(borrowed, errors.TransportLostError("lost"))


def test_a_worker_waits_for_the_server_also_when_it_had_borrowed_in_vain(root):
    """Its parent knows that the server is there; all others do their work meanwhile."""
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(5))])
    some.patient()
    borrowed = SftpStorage(some.current.channel, "sftp-srv", str(root), borrowed=True)
    some._storage = borrowed
    some.renew(borrowed, errors.TransportLostError("lost"))
    assert some.current.list("") == []


def test_one_that_answered_is_worth_waiting_for(root):
    some = sessions(root, refusals=[None, refused()])
    borrowed = SftpStorage(some.current.channel, "sftp-srv", str(root), borrowed=True)
    borrowed.list("")
    assert borrowed.answered
    some._storage = borrowed
    some.renew(borrowed, errors.TransportLostError("lost"))
    assert some.current.list("") == []


# A session at once, or none.


def test_at_once_is_one_attempt_and_no_wait(root):
    some = sessions(root, refusals=[None, *(refused() for _dummy in range(3))])
    storage = ResilientStorage(some)
    some.current.close()
    for attempts in (1, 1):
        with pytest.raises(errors.TransportLostError), storage.at_once():
            storage.list("")
        # While the server refuses, a turn is none of the first moment.
        assert len(some._opener.asked) == 1 + attempts
        assert some._opener.clock() < 1001
        assert storage.ended
    assert some.generation == 1
    # Afterwards it is waited for.
    assert storage.list("") == []
    assert some._opener.clock() > 1001


def test_at_once_a_session_that_is_to_be_had_is_taken(root):
    some = sessions(root)
    storage = ResilientStorage(some)
    some.current.close()
    with storage.at_once():
        storage.write("x", b"new")
    assert not storage.ended
    assert storage.read("x") == b"new"
    assert some._opener.clock() == 1000


def test_at_once_a_server_that_ends_each_session_has_two_and_no_more(root):
    some = sessions(root, every=1)
    storage = ResilientStorage(some)
    for opened in (2, 3, 4):
        with pytest.raises(errors.TransportLostError, match="lost"), storage.at_once():
            storage.write("x", b"new")
        assert some._opener.opened == opened
    assert some._opener.clock() == 1000


def test_what_a_file_is_waited_for_at_once_is_as_good_as_before(root):
    """It is given up for the moment, however often, and then sent anew."""
    some = sessions(root, cuts=[2], refusals=[None, *(refused() for _dummy in range(50))])
    storage = ResilientStorage(some)
    writer = storage.writer("x", publish=Publish.RENAME)
    writer.write(b"new" * 100)
    with storage.at_once():
        for _dummy in range(20):
            with pytest.raises(errors.TransportLostError):
                writer.finish().wait()
    some._opener._refusals.clear()
    writer.finish().wait()
    assert storage.read("x") == b"new" * 100


def test_at_once_leaves_the_way_to_who_lost_a_session(root):
    some = sessions(root)
    storage = ResilientStorage(some)
    some.current.close()
    turns = some._opener.turns
    turns.refused(turns.clock())
    some._opener.clock.sleep(10)
    with turns._hurry(), pytest.raises(errors.TransportLostError), storage.at_once():
        storage.list("")
    assert some._opener.opened == 1
    with storage.at_once():
        assert storage.list("") == []


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


def test_of_files_whose_names_come_in_order_each_is_given_up(root):
    some = sessions(root, every=2)
    storage = ResilientStorage(some)
    first = storage.writer("a", publish=Publish.RENAME)
    second = storage.writer("b", publish=Publish.RENAME)
    after = first.finish()
    with pytest.raises(errors.TransportLostError, match="for the 8th time"):
        second.finish(after=[after]).wait()
    assert len(some._opener.asked) <= 2 * MOST_LOSSES


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
