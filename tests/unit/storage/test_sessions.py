# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that are lost, and how long one waits for the next."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.resilient import (
    ResilientStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.tests.support.sessions import refused, sessions


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
