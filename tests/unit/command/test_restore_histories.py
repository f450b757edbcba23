# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timelines that several archives know together."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.histories import (  # noqa: E501
    Histories,
)
from ansible_collections.pgsftp.backup.tests.support.wal_archive import SIZE, Repo


@pytest.fixture
def repos(tmp_path):
    return Repo(tmp_path / "1"), Repo(tmp_path / "2")


def test_each_timeline_by_the_archive_that_knows_it(repos):
    first, second = repos
    first.history(2, (1, 5 * SIZE))
    second.history(3, (1, 5 * SIZE), (2, 6 * SIZE))
    known = Histories(repo.archive for repo in repos)
    assert sorted(known.timelines()) == [2, 3]
    assert [fork.timeline for fork in known.forks(2)] == [1]
    assert [fork.timeline for fork in known.forks(3)] == [1, 2]
    assert known.forks(4) == []


def test_none_is_asked_without_need(repos):
    first, _second = repos
    first.history(2, (1, 5 * SIZE))

    def archives():
        yield first.archive
        raise AssertionError("the first has it")

    known = Histories(archives())
    assert known.forks(1) == []
    assert [fork.timeline for fork in known.forks(2)] == [1]


@pytest.mark.parametrize("lost", [0, 1])
def test_one_that_is_lost_meanwhile_matters_when_it_is_the_first(repos, lost, monkeypatch):
    first, second = repos
    for repo in repos:
        repo.history(2, (1, 5 * SIZE))
    archives = [first.archive, second.archive]

    def gone(_timeline):
        raise errors.TransportLostError("gone")

    monkeypatch.setattr(archives[lost], "forks", gone)
    if lost == 1:
        monkeypatch.setattr(archives[0], "timelines", lambda: ())
        assert Histories(archives).forks(2) == []
    else:
        with pytest.raises(errors.TransportLostError):
            Histories(archives).forks(2)
