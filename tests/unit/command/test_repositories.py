# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several repositories at once, and one after the other."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import repositories
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import RepoOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import HostConnectError

REPOS = tuple(RepoOptions(key) for key in (1, 2, 3))


def test_one_that_hangs_does_not_delay_the_others():
    others = threading.Barrier(2, timeout=30)
    released = threading.Event()

    def work(repo):
        if repo.key == 1:
            # Only what the other two do lets it go on.
            assert released.wait(30)
            return "late"
        others.wait()
        released.set()
        return "at once"

    outcomes = repositories.at_once(REPOS, work)
    assert [row.repo.key for row in outcomes] == [1, 2, 3]
    assert [row.result for row in outcomes] == ["late", "at once", "at once"]


def test_a_failure_is_an_outcome_and_a_bug_is_raised():
    def work(repo):
        if repo.key == 1:
            raise HostConnectError("down")
        if repo.key == 2:
            raise ZeroDivisionError
        return repo.key

    down, bug, fine = repositories.at_once(REPOS, work)
    assert isinstance(down.failure, HostConnectError)
    with pytest.raises(ZeroDivisionError):
        _dummy = bug.failure
    assert (fine.failure, fine.result) == (None, 3)


def test_the_next_one_is_asked_only_when_one_has_failed():
    asked = []

    def work(repo):
        asked.append(repo.key)
        if repo.key == 1:
            raise HostConnectError("down")
        return repo.key

    turn = repositories.in_turn(REPOS, work, head_start=3600)
    assert next(turn).failure is not None
    assert next(turn).result == 2
    assert asked == [1, 2]


def test_the_next_one_is_asked_when_one_is_silent():
    released = threading.Event()

    def work(repo):
        if repo.key == 1:
            assert released.wait(30)
        return repo.key

    turn = repositories.in_turn(REPOS[:2], work, head_start=0.01)
    assert next(turn).result == 2
    released.set()
    assert next(turn).result == 1
    assert list(turn) == []


def test_one_repository_takes_no_thread():
    def work(repo):
        return threading.current_thread() is threading.main_thread()

    assert [row.result for row in repositories.at_once(REPOS[:1], work)] == [True]
    assert [row.result for row in repositories.in_turn(REPOS[:1], work, head_start=1)] == [True]
