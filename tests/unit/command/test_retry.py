# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs are done again when their session is lost, and their results count once."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.retry import Retrying
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sessions import (
    MOST_LOSSES,
    Sessions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.turns import Turns
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker.serve import Done
from ansible_collections.pgsftp.backup.tests.support.clock import Clock


class Session:
    location = "sftp-srv:/repo"
    unfinished = frozenset()
    answered = True

    def __init__(self, number):
        self.number = number
        self.closed = False

    def close(self):
        self.closed = True


class Opener:
    def __init__(self):
        self.sessions = []
        self.clock = Clock()
        self.turns = Turns(clock=self.clock, sleep=self.clock.sleep)

    def open(self, generation=0):
        self.sessions.append(Session(generation))
        return self.sessions[-1]


def lost():
    return errors.TransportLostError("connection to sftp-srv lost")


class Late:
    """Answers that are lost as long as the session is an early one."""

    def __init__(self, session, job, bad):
        self.session, self.job, self.bad = session, job, bad

    def ready(self):
        return False

    def result(self):
        if self.session.number < self.bad:
            raise lost()
        return self.job, self.session.number


@pytest.fixture
def opener():
    return Opener()


def retrying(opener, handler):
    return Retrying(Sessions(opener), lambda s: lambda job: handler(s, job))


def test_a_job_goes_through(opener):
    assert retrying(opener, lambda s, job: Done(job))(7).result() == 7


def test_a_session_lost_while_sending(opener):
    def handler(session, job):
        if session.number < 3:
            raise lost()
        return Done((job, session.number))

    assert retrying(opener, handler)(7).result() == (7, 3)
    assert [session.closed for session in opener.sessions] == [True, True, True, False]


def test_a_session_lost_while_answers_are_awaited(opener):
    handler = retrying(opener, lambda s, job: Late(s, job, 2))
    assert handler(7).result() == (7, 2)


def test_all_jobs_of_a_lost_session_are_done_again_on_one_new_session(opener):
    handler = retrying(opener, lambda s, job: Late(s, job, 1))
    deferred = [handler(job) for job in range(3)]
    assert [row.result() for row in deferred] == [(0, 1), (1, 1), (2, 1)]
    assert len(opener.sessions) == 2


def test_any_other_error_is_raised(opener):
    def handler(session, job):
        raise errors.StorageFullError("no room")

    with pytest.raises(errors.StorageFullError):
        retrying(opener, handler)(7)


@pytest.mark.parametrize("when", ["while it is sent", "while answers are awaited"])
def test_a_job_that_ends_every_session_is_given_up(opener, when):
    """As a server that falls silent at the same fsync each time."""

    def handler(session, job):
        if when == "while it is sent":
            raise lost()
        return Late(session, job, 10**9)

    with pytest.raises(errors.TransportLostError, match="lost, for the 8th time at the same work"):
        retrying(opener, handler)(7).result()
    assert len(opener.sessions) == MOST_LOSSES
    assert opener.clock() > 1000 + 50


def test_twenty_losses_with_progress_between_them(opener):
    handler = retrying(opener, lambda s, job: Late(s, job, job))
    assert [handler(job).result() for job in range(1, 21)] == [(job, job) for job in range(1, 21)]
    assert opener.clock() == 1000
