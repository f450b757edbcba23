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
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import timeline, wal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.goal import goal
from ansible_collections.pgsftp.backup.tests.support.wal_archive import BACKUP, SIZE, Repo

FORK = 5 * SIZE + 100
HOUR = 3600
NOON = int(time.time()) // HOUR * HOUR - 24 * HOUR
# Complete when the archive of the fixture has its segments.
ENTRY = dataclasses.replace(BACKUP, timestamp_stop=NOON - 20)


def came(repo, moment, pattern="*/*"):
    for path in repo.top.glob(pattern):
        os.utime(path, (moment, moment))


@pytest.fixture
def repo(tmp_path):
    """Timeline 2 forked from timeline 1 in segment 5, at noon."""
    made = Repo(tmp_path)
    made.segments(2, 3, 4, 5)
    made.history(2, (1, FORK))
    made.segments(5, 6, line=2)
    came(made, NOON)
    came(made, NOON, "*.history")
    return made


def check(repo, kind="default", target="latest", text=None, entry=ENTRY, **given):
    """As a restore does it."""
    archive, aim = repo.archive, goal(kind, text)
    found = reach.Reach(reach.way(archive, entry, target), reach.start_of(entry, SIZE), SIZE)
    found.add(archive, aim)
    options = dataclasses.replace(Options("restore", stanza="demo"), type=kind, **given)
    choice.Choice(options, [RepoOptions(1)], {}).check(found, aim)


def at(moment):
    """A target as the command line has it."""
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(moment))


def test_each_timeline_that_went_on_and_the_one_that_is_followed_from_there():
    """The segment of the fork itself is on both."""
    path = timeline.path(3, [wal.Fork(1, FORK, ""), wal.Fork(2, FORK + SIZE, "")])
    names = [wal.number_name(line, number, SIZE) for line in (1, 2, 3) for number in (5, 6, 7)]
    found = branch.left(path, reversed(names), SIZE)
    assert [(row.stretch.timeline, row.child.timeline) for row in found] == [(1, 2), (2, 3)]
    assert [row.names for row in found] == [tuple(names[1:3]), tuple(names[5:6])]
    assert branch.left(path[1:], names[:3], SIZE) == []


def test_an_ordinary_promotion_is_nothing_to_tell(repo, said):
    check(repo)
    assert said == []


def test_what_a_failover_left_behind_is_told(repo, said):
    repo.segments(6, 7)
    came(repo, NOON - 5, "0000000100000000/*[67]-*")
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


def test_where_times_are_kept_by_the_server_it_is_told_only(repo, said):
    repo.segments(6)
    came(repo, 0)
    check(repo)
    (line,) = said
    assert "archived" not in line


@pytest.mark.parametrize("later", [2 * HOUR, -2 * HOUR])
def test_the_times_of_a_repository_that_was_copied_decide_nothing(repo, said, later):
    """In whatever order the copy was made, which began long after the backup had ended."""
    repo.segments(6)
    came(repo, NOON + later)
    came(repo, NOON + later + 10, "00000001*/*06-*")
    check(repo)
    (line,) = said
    assert "archived" not in line


def test_a_timeline_that_was_left_before_the_backup_is_no_alternative(repo, said):
    """A primary of before the failover that archives again; the backup is of after it."""
    entry = dataclasses.replace(
        ENTRY,
        archive_start="000000020000000000000006",
        archive_stop="000000020000000000000006",
        lsn_start="0/6000028",
        lsn_stop="0/6000100",
    )
    repo.segments(6, 7, 8)
    check(repo, entry=entry)
    assert said == []


@pytest.fixture
def corrected(repo):
    """Timeline 1 ran for two hours after noon; at three it was taken back to noon."""
    repo.segments(6, 7, 8)
    for number, moment in ((5, NOON), (6, NOON + 60), (7, NOON + HOUR), (8, NOON + 2 * HOUR)):
        came(repo, moment, f"00000001*/*{number:02}-*")
    came(repo, NOON + 3 * HOUR, "00000002*/*")
    came(repo, NOON + 3 * HOUR, "*.history")
    return repo


@pytest.mark.parametrize("after", [1, HOUR, 3 * HOUR - 1])
def test_a_time_in_what_a_recovery_has_left(corrected, after):
    """Along the newest timeline the server would stop with the state of noon, and say nothing."""
    with pytest.raises(
        errors.DbMismatchError, match="lies before the history of timeline 2"
    ) as caught:
        check(corrected, "time", text=at(NOON + after))
    assert "timeline 1 went on after timeline 2 had forked from it at 0/5000064" in (
        caught.value.message
    )
    assert "--target-timeline=1 recovers along that one" in caught.value.hint


@pytest.mark.parametrize("after", [0, 3 * HOUR])
def test_a_time_that_the_newest_timeline_has(corrected, said, after):
    check(corrected, "time", text=at(NOON + after))
    assert len(said) == 1


def test_a_time_along_a_timeline_that_is_named(corrected, said):
    moment = at(NOON + HOUR)
    check(corrected, "time", target="1", text=moment, target_timeline="1")
    assert said == []
    check(corrected, "time", target="2", text=moment, target_timeline="2")
    assert len(said) == 1


def test_a_time_in_a_repository_that_was_copied(corrected, said):
    entry = dataclasses.replace(ENTRY, timestamp_stop=NOON - 3 * HOUR)
    check(corrected, "time", text=at(NOON + HOUR), entry=entry)
    assert len(said) == 1
