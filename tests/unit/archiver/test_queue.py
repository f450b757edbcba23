# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which a repository gets its files, and what counts as stored."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.queue import (
    FIRST_HOLD,
    REFUSAL_STANDS,
    Identity,
    Queue,
    backoff,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ArchiveDuplicateError,
)

FIRST, SECOND, THIRD = (f"0000000100000000000000{number:02X}" for number in (1, 2, 3))
NEW_TIMELINE = "000000020000000000000003"
HISTORY = "00000002.history"
FOUND = Identity(1, 2, 3)


def taken(queue, now=0.0):
    names = []
    while (name := queue.next(now)) is not None:
        names.append(name)
    return names


def test_the_oldest_goes_first():
    queue = Queue()
    queue.follow([THIRD, FIRST, f"{SECOND}.partial", SECOND], 0.0)
    assert taken(queue) == [FIRST, SECOND, f"{SECOND}.partial", THIRD]


def test_what_postgresql_waits_for_overtakes():
    queue = Queue()
    queue.follow([FIRST, SECOND, THIRD], 0.0)
    queue.ask(THIRD)
    assert taken(queue) == [THIRD, FIRST, SECOND]


def test_nothing_goes_beside_a_history_file():
    queue = Queue()
    queue.follow([FIRST, NEW_TIMELINE, HISTORY], 0.0)
    queue.ask(FIRST)
    assert taken(queue) == [HISTORY]
    queue.store(HISTORY, FOUND)
    assert taken(queue) == [FIRST, NEW_TIMELINE]


def test_a_history_file_that_is_refused_does_not_block_for_ever():
    queue = Queue()
    queue.follow([FIRST, HISTORY], 0.0)
    assert taken(queue) == [HISTORY]
    queue.refuse(HISTORY, ArchiveDuplicateError("other"), 0.0)
    assert taken(queue) == []
    assert taken(queue, FIRST_HOLD) == [FIRST]


def test_wal_of_a_timeline_waits_while_its_history_is_refused():
    """It would be WAL of another server that was promoted to the same timeline."""
    queue = Queue()
    later = "000000030000000000000003"
    queue.follow([FIRST, NEW_TIMELINE, later, HISTORY], 0.0)
    assert taken(queue) == [HISTORY]
    queue.refuse(HISTORY, ArchiveDuplicateError("other"), 0.0)
    queue.follow([FIRST, NEW_TIMELINE, later, HISTORY], FIRST_HOLD)
    assert taken(queue, FIRST_HOLD) == [FIRST]
    queue.store(FIRST, FOUND)
    assert taken(queue, FIRST_HOLD) == []
    # What PostgreSQL asks for is answered by the repository.
    queue.ask(NEW_TIMELINE)
    assert taken(queue, FIRST_HOLD) == [NEW_TIMELINE]
    assert queue.waiting == 0
    queue.ask(HISTORY)
    assert taken(queue, FIRST_HOLD) == [HISTORY]
    queue.store(HISTORY, FOUND)
    assert taken(queue, FIRST_HOLD) == [later]


def test_what_was_on_a_lost_session_is_sent_again():
    queue = Queue()
    queue.follow([FIRST, SECOND], 0.0)
    assert taken(queue) == [FIRST, SECOND]
    queue.lose([FIRST, SECOND])
    assert not queue.has(FIRST, FOUND)
    assert taken(queue) == [FIRST, SECOND]


def test_only_the_very_file_counts_as_stored():
    queue = Queue()
    queue.follow([FIRST], 0.0)
    taken(queue)
    queue.store(FIRST, FOUND)
    assert queue.has(FIRST, FOUND)
    assert not queue.has(FIRST, FOUND._replace(mtime_ns=4))
    assert taken(queue) == [FIRST]


def test_what_is_stored_is_not_sent_twice_and_forgotten_when_it_is_done():
    queue = Queue()
    queue.follow([FIRST], 0.0)
    taken(queue)
    queue.store(FIRST, FOUND)
    queue.follow([FIRST], 1.0)
    queue.ask(FIRST)
    assert queue.next(0.0) is None
    queue.answered(FIRST)
    queue.follow([], 2.0)
    assert not queue.has(FIRST, FOUND)


def test_a_refusal_stands_for_a_while_or_until_somebody_asks():
    error = ArchiveDuplicateError("other")
    queue = Queue()
    queue.follow([FIRST], 0.0)
    taken(queue)
    queue.refuse(FIRST, error, 10.0)
    assert queue.refusal(FIRST) is error
    queue.follow([FIRST], 10.0 + REFUSAL_STANDS / 2)
    assert queue.next(0.0) is None
    queue.follow([FIRST], 10.0 + REFUSAL_STANDS)
    assert queue.refusal(FIRST) is None
    assert taken(queue, 10.0 + REFUSAL_STANDS) == [FIRST]
    queue.refuse(FIRST, error, 100.0)
    queue.ask(FIRST)
    assert queue.refusal(FIRST) is None
    assert taken(queue) == [FIRST]


def test_what_was_asked_for_stays_although_it_is_not_ready_any_more():
    queue = Queue()
    queue.ask(FIRST)
    queue.follow([], 0.0)
    assert taken(queue) == [FIRST]
    queue.lose([FIRST])
    queue.answered(FIRST)
    queue.follow([], 1.0)
    assert queue.next(0.0) is None


def test_what_is_missing_is_told_oldest_first():
    queue = Queue()
    queue.follow([FIRST, SECOND, HISTORY], 0.0)
    queue.store(FIRST, FOUND)
    assert queue.missing([SECOND, FIRST, HISTORY]) == [HISTORY, SECOND]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_pauses_grow_up_to_half_a_minute(chance):
    pauses = [backoff(failures, chance) for failures in range(1, 30)]
    assert pauses[0] <= 0.5
    assert all(0.5 <= pause <= 30.0 for pause in pauses[1:])
    assert pauses == sorted(pauses)
    assert backoff(5, 0.0) < backoff(5, 1.0)


FULL = ArchiveDuplicateError("no space left")


def names(count):
    return [f"0000000100000001000000{number:02X}" for number in range(count)]


def test_a_repository_that_refuses_is_tried_with_one_file_after_longer_and_longer_pauses():
    queue = Queue()
    queue.follow(names(200), 0.0)
    for name in (queue.next(0.0), queue.next(0.0)):
        queue.refuse(name, FULL, 0.0)
    tries, now = [], 0.0
    while now < 600:
        # As the service does: refusals stand for a minute, and then all of it is ready again.
        queue.follow(names(200), now)
        name = queue.next(now)
        if name is not None:
            assert queue.next(now) is None
            tries.append(now)
            queue.refuse(name, FULL, now)
        now += 0.5
    assert tries[:6] == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0]
    assert {later - earlier for earlier, later in zip(tries[6:], tries[7:])} == {REFUSAL_STANDS}


def test_when_one_is_taken_all_others_follow():
    queue = Queue()
    queue.follow(names(4), 0.0)
    queue.refuse(queue.next(0.0), FULL, 0.0)
    probe = queue.next(1.0)
    assert queue.next(1.0) is None
    queue.store(probe, FOUND)
    assert taken(queue) == names(4)[2:]


def test_what_postgresql_asks_for_does_not_wait_for_the_pause():
    queue = Queue()
    queue.follow(names(4), 0.0)
    queue.refuse(queue.next(0.0), FULL, 0.0)
    queue.ask(names(4)[3])
    assert taken(queue) == names(4)[3:]


def test_what_may_have_been_sent_before_is_known():
    queue = Queue()
    queue.ask(SECOND)
    queue.follow([FIRST, SECOND], 0.0)
    queue.follow([FIRST, SECOND, THIRD, HISTORY, NEW_TIMELINE], 0.0)
    # When it began, whoever was there before may have sent what was ready.
    assert [name for name in (FIRST, SECOND, THIRD, NEW_TIMELINE) if queue.may_repeat(name)] == [
        FIRST,
        SECOND,
    ]
    queue.lose([THIRD])
    queue.refuse(NEW_TIMELINE, ArchiveDuplicateError("other"), 0.0)
    assert queue.may_repeat(THIRD)
    assert queue.may_repeat(NEW_TIMELINE)
    queue.store(HISTORY, FOUND)
    assert not queue.may_repeat(HISTORY)
    queue.has(HISTORY, FOUND._replace(inode=2))
    assert queue.may_repeat(HISTORY)
    # Who asks for what has been done asks anew.
    taken(queue)
    for name in (FIRST, SECOND):
        queue.store(name, FOUND)
        queue.answered(name)
    queue.follow([], 0.0)
    queue.ask(FIRST)
    assert not queue.may_repeat(FIRST)
