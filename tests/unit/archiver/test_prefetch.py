# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which WAL is fetched ahead, and what is answered when it is not there."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.prefetch import (
    ABSENCE_STANDS,
    FAILURE_STANDS,
    Failure,
    Prefetch,
    ahead,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ChecksumError,
    FormatError,
    HostConnectError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import timeline, wal

SIZE = 16 * 1024 * 1024


def segment(number, line=1):
    return wal.number_name(line, number, SIZE)


def taken(rules, room):
    """What is given out now, in order."""
    found = []
    while (name := rules.next(room)) is not None:
        found.append(name)
    return found


def test_what_is_asked_for_comes_first_and_the_next_ones_follow_up_to_the_limit():
    rules = Prefetch()
    rules.ask(segment(7), SIZE, 4, 0.0)
    assert taken(rules, 4) == [segment(7), segment(8), segment(9), segment(10)]


def test_a_place_is_free_when_a_file_was_handed_over():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 3, 0.0)
    for name in taken(rules, 3):
        rules.got(name, 1)
    rules.take(segment(1))
    rules.answered(segment(1))
    rules.ask(segment(2), SIZE, 3, 1.0)
    assert rules.is_ready(segment(2))
    # Two are there, and one more may be.
    assert taken(rules, 3) == [segment(4)]


def test_what_was_handed_over_is_not_fetched_again():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 3, 0.0)
    for name in taken(rules, 3):
        rules.got(name, 1)
    # Who asked has it, but has not hung up yet.
    rules.take(segment(1))
    assert taken(rules, 3) == []
    # Somebody else waits for it, too.
    rules.wait(segment(1))
    assert taken(rules, 3) == [segment(1)]


def test_names_go_on_where_the_last_eight_digits_end():
    assert ahead("0000000100000000000000FF", SIZE, 2, ()) == ["000000010000000100000000"]


def test_the_path_leads_to_the_next_timeline():
    way = timeline.path(2, wal.history(f"1\t{wal.lsn_text(9 * SIZE + 4096)}\tpromoted\n"))
    assert ahead(segment(7), SIZE, 4, way) == [
        segment(8),
        # The one in which the new timeline begins is asked for there first.
        segment(9, 2),
        segment(9, 1),
        segment(10, 2),
    ]
    assert ahead(segment(9, 2), SIZE, 3, way) == [segment(10, 2), segment(11, 2)]


def test_a_history_that_was_given_out_is_followed_and_an_older_one_is_not():
    rules = Prefetch()
    rules.follow(
        "00000003.history", f"1\t{wal.lsn_text(3 * SIZE)}\tx\n2\t{wal.lsn_text(5 * SIZE)}\tx"
    )
    rules.follow("00000002.history", f"1\t{wal.lsn_text(3 * SIZE)}\tx\n")
    rules.ask(segment(4, 2), SIZE, 3, 0.0)
    assert taken(rules, 3)[1] == segment(5, 3)
    with pytest.raises(FormatError):
        rules.follow("00000004.history", "nonsense\n")


def test_off_the_path_a_server_stays_on_its_timeline():
    way = timeline.path(3, wal.history(f"1\t{wal.lsn_text(3 * SIZE)}\tx\n"))
    assert ahead(segment(4, 2), SIZE, 2, way) == [segment(5, 2)]


def test_not_there_is_an_answer_only_to_a_question_before_the_look():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 2, 0.0)
    assert taken(rules, 2) == [segment(1), segment(2)]
    # Asked for while it is looked for ahead: the archive may have got it in between.
    rules.ask(segment(2), SIZE, 2, 1.0)
    rules.absent(segment(2), 1.0)
    assert not rules.is_decided(segment(2))
    assert rules.is_missing()
    assert rules.next(2) == segment(2)
    rules.absent(segment(2), 2.0)
    assert rules.is_decided(segment(2))
    assert rules.answer(segment(2)) is None


def test_what_was_not_there_ahead_is_looked_for_when_it_is_asked_for():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 2, 0.0)
    taken(rules, 2)
    rules.got(segment(1), 1)
    rules.absent(segment(2), 0.0)
    rules.take(segment(1))
    rules.answered(segment(1))
    # Not again and again, while nobody waits for it ...
    assert rules.next(2) is None
    rules.ask(segment(2), SIZE, 2, 1.0)
    # ... but at once for who does.
    assert rules.next(2) == segment(2)


def test_an_absence_is_forgotten_after_a_while():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 2, 0.0)
    taken(rules, 2)
    rules.absent(segment(2), 0.0)
    rules.ask(segment(1), SIZE, 2, ABSENCE_STANDS + 1)
    assert rules.next(2) == segment(2)


def test_a_failure_is_told_to_who_asks_and_to_nobody_else():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 2, 0.0)
    taken(rules, 2)
    failure = Failure(HostConnectError("no way there"), True)
    rules.failed(segment(1), failure, 0.0)
    rules.failed(segment(2), failure, 0.0)
    assert rules.answer(segment(1)) == failure
    rules.ask(segment(2), SIZE, 2, 1.0)
    assert not rules.is_decided(segment(2))
    rules.again(segment(1))
    assert set(taken(rules, 2)) == {segment(1), segment(2)}


DAMAGED = Failure(ChecksumError("damaged"), False)


@pytest.fixture
def damaged():
    """Rules of a server at its first segment, whose third one cannot be fetched."""
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 4, 0.0)
    assert segment(3) in taken(rules, 4)
    rules.got(segment(1), 1)
    rules.failed(segment(3), DAMAGED, 1.0)
    return rules


def test_what_cannot_be_fetched_ahead_is_left_and_the_next_one_comes(damaged):
    # It is in nobody's way, and is not fetched again and again while the server is busy.
    assert damaged.next(4) is None
    damaged.take(segment(1))
    damaged.answered(segment(1))
    damaged.ask(segment(2), SIZE, 4, 2.0)
    assert taken(damaged, 4) == [segment(5)]


def test_what_cannot_be_fetched_ahead_is_tried_for_who_asks_and_again_when_he_does(damaged):
    for now in (2.0, 3.0):
        damaged.ask(segment(3), SIZE, 4, now)
        assert not damaged.is_decided(segment(3))
        assert damaged.next(4) == segment(3)
        damaged.failed(segment(3), DAMAGED, now)
        assert damaged.answer(segment(3)) == DAMAGED
        damaged.answered(segment(3))


def test_a_failure_ahead_is_forgotten_after_a_while(damaged):
    damaged.ask(segment(2), SIZE, 2, FAILURE_STANDS)
    assert damaged.next(4) is None
    damaged.ask(segment(2), SIZE, 2, 1.0 + FAILURE_STANDS)
    assert damaged.next(4) == segment(3)


def test_a_new_spool_may_take_what_the_last_one_could_not(damaged):
    damaged.forget()
    assert damaged.next(4) == segment(3)


def test_what_could_not_be_reached_is_looked_for_ahead_as_soon_as_it_may_be():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 2, 0.0)
    taken(rules, 2)
    rules.got(segment(1), 1)
    rules.failed(segment(2), Failure(HostConnectError("no way there"), True), 0.0)
    assert rules.next(2) == segment(2)


def test_what_a_lost_process_had_is_fetched_again():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 2, 0.0)
    names = taken(rules, 2)
    rules.lose(names)
    assert taken(rules, 2) == names


def test_what_the_server_will_not_ask_for_is_of_no_use():
    rules = Prefetch()
    rules.ask(segment(1), SIZE, 3, 0.0)
    for name in taken(rules, 3):
        rules.got(name, 1)
    rules.answered(segment(1))
    rules.ask(segment(3), SIZE, 3, 1.0)
    assert rules.useless() == [segment(1), segment(2)]


def test_a_history_file_brings_nothing_ahead():
    rules = Prefetch()
    rules.ask("00000002.history", SIZE, 4, 0.0)
    assert taken(rules, 4) == ["00000002.history"]
