# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A timeline that went on after another one had forked from it."""

from __future__ import annotations

import dataclasses
import os
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    branch,
    choice,
    reach,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.goal import goal
from ansible_collections.pgsftp.backup.tests.support.wal_archive import BACKUP, SIZE, Repo

FORK = 5 * SIZE + 100


@pytest.fixture
def repo(tmp_path):
    """Timeline 2 forked from timeline 1 in segment 5, an hour ago."""
    made = Repo(tmp_path)
    made.segments(2, 3, 4, 5)
    made.history(2, (1, FORK))
    made.segments(5, 6, line=2)
    for path in made.top.glob("*/*"):
        os.utime(path, (time.time() - 3600,) * 2)
    return made


def check(repo, kind="default", target="latest", text=None, **given):
    """As a restore does it."""
    archive, aim = repo.archive, goal(kind, text)
    found = reach.Reach(reach.way(archive, BACKUP, target), reach.start_of(BACKUP, SIZE), SIZE)
    found.add(archive, aim)
    options = dataclasses.replace(Options("restore", stanza="demo"), type=kind, **given)
    choice.Choice(options, [RepoOptions(1)], {}).check(found, aim)


def test_an_ordinary_promotion_is_nothing_to_tell(repo, said):
    check(repo)
    assert said == []


def test_what_a_failover_left_behind_is_told(repo, said):
    repo.segments(6, 7)
    for path in repo.top.glob("0000000100000000/*[67]-*"):
        os.utime(path, (time.time() - 7200,) * 2)
    check(repo)
    (line,) = said
    assert "timeline 1 went on after timeline 2 had forked from it at 0/5000064: 2 WAL" in line
    assert "up to 000000010000000000000007, archived 20" in line
    assert "--target-timeline=1 recovers along that one" in line


@pytest.mark.parametrize("kind", ["default", "standby"])
def test_a_cluster_that_never_left_its_timeline_is_not_given_up_for_a_copy(repo, said, kind):
    """Somebody started a copy, which archived; the cluster is on timeline 1 to this day."""
    repo.segments(6)
    if kind == "standby":
        # It follows its primary, which alone knows.
        check(repo, kind)
        assert len(said) == 1
        return
    with pytest.raises(errors.DbMismatchError) as caught:
        check(repo)
    assert "1 WAL segment up to 000000010000000000000006" in caught.value.message
    assert "later than the last one of timeline 2" in caught.value.message
    assert "--target-timeline=1" in caught.value.hint


@pytest.mark.parametrize(
    "given", [{"target_timeline": "2"}, {"recovery_option": (("recovery-target-timeline", "2"),)}]
)
def test_who_names_a_timeline_knows_what_he_wants(repo, said, given):
    repo.segments(6)
    check(repo, target="2", **given)
    assert len(said) == 1


def test_along_the_other_one_there_is_nothing_to_tell(repo, said):
    repo.segments(6)
    check(repo, target="1", target_timeline="1")
    check(repo, "immediate")
    assert said == []


def test_where_times_are_kept_by_the_server_it_is_told_only(repo, said, monkeypatch):
    repo.segments(6)
    monkeypatch.setattr(branch, "_written", lambda found, names: None)
    check(repo)
    assert len(said) == 1
