# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order a fetcher asks, and for whom it waits."""

from __future__ import annotations

import dataclasses
import queue

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import fetcher
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.source import Source
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    FileWriteError,
    HostConnectError,
)

NAMES = [f"00000001000000000000000{number}" for number in range(1, 5)]


class Repository(Source):
    """A repository that has some files; each thing that it is asked is noted."""

    def __init__(self, key, has, calls):
        self.repo = RepoOptions(key=key)
        self.has, self.calls = has, calls
        self.away = False
        self.loses = 0
        self.full = False

    @property
    def is_open(self):
        return False

    def has_started(self, name):
        return False

    def open(self, patience):
        if self.away:
            self.calls.append((self.repo.key, "wait" if patience is None else "look"))
            if patience is None:
                raise HostConnectError("no way there")
        return not self.away

    def start(self, name, cluster):
        self.calls.append((self.repo.key, name))
        if self.loses:
            self.loses -= 1
            raise HostConnectError("lost")
        return name in self.has

    def finish(self, name, destination, meanwhile):
        meanwhile()
        if self.full:
            raise FileWriteError("no room")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def repositories(calls):
    return [Repository(1, set(NAMES), calls), Repository(2, {NAMES[0]}, calls)]


@pytest.fixture
def made(tmp_path, repositories, monkeypatch):
    monkeypatch.setattr(fetcher.control, "load", lambda path: None)
    options = Options("archive-get", stanza="demo", pgs=(PgOptions(path=str(tmp_path)),))
    worker = fetcher._Fetcher(None, queue.SimpleQueue(), options, str(tmp_path), {})
    worker._sources = repositories
    return worker


def fetch(made, name, needed):
    made._take(fetcher.Wanted(name, needed))
    return made._fetch(made._begun.pop(0))


def test_who_is_away_is_not_asked_for_what_another_one_has(made, repositories, calls):
    repositories[0].away = True
    assert fetch(made, NAMES[0], True) == fetcher.Got(NAMES[0], 2, 0)
    assert calls == [(1, "look"), (2, NAMES[0])]


def test_what_is_needed_is_waited_for_before_it_is_said_to_be_absent(made, repositories, calls):
    repositories[0].away = True
    found = fetch(made, NAMES[1], True)
    assert isinstance(found, fetcher.Failed)
    assert found.failure.may_pass
    assert calls == [(1, "look"), (2, NAMES[1]), (1, "wait")]


def test_what_nobody_needs_yet_is_not_waited_for(made, repositories, calls):
    repositories[0].away = True
    found = fetch(made, NAMES[1], False)
    assert isinstance(found, fetcher.Failed)
    assert found.failure.may_pass
    assert calls == [(1, "look"), (2, NAMES[1])]


def test_a_session_that_was_lost_is_replaced_once_after_the_others_were_asked(
    made, repositories, calls
):
    repositories[0].loses = 1
    assert fetch(made, NAMES[1], True) == fetcher.Got(NAMES[1], 1, 0)
    assert calls == [(1, NAMES[1]), (2, NAMES[1]), (1, NAMES[1])]
    repositories[0].loses = 2
    assert isinstance(fetch(made, NAMES[1], True), fetcher.Failed)


@pytest.mark.parametrize("away", [True, False])
def test_what_the_spool_cannot_take_is_told_as_that_however_many_repositories_there_are(
    made, repositories, calls, away
):
    repositories[0].away = away
    for row in repositories:
        row.full = True
    made._options = dataclasses.replace(
        made._options, repos=tuple(row.repo for row in repositories)
    )
    failure = fetch(made, NAMES[0], True).failure
    assert isinstance(failure.error, FileWriteError)
    assert not failure.may_pass
    # Another repository has no other place for it.
    assert calls == ([(1, "look"), (2, NAMES[0])] if away else [(1, NAMES[0])])


def test_absent_is_what_all_of_them_say(made, calls):
    assert fetch(made, "00000009.history", True) == fetcher.Absent("00000009.history")
    assert [key for key, _name in calls] == [1, 2]


def test_what_is_needed_by_now_goes_first(made, repositories):
    for name in NAMES:
        made._take(fetcher.Wanted(name, False))
    made._take(fetcher.Needed(NAMES[2]))
    # That one was brought before.
    made._take(fetcher.Needed("00000009.history"))
    assert made._begun == [NAMES[2], NAMES[0], NAMES[1], NAMES[3]]
    repositories[0].away = True
    assert "no way there" in str(made._fetch(made._begun.pop(0)).failure.error)
