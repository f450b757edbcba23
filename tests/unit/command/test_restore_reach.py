# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the WAL that is there leads to the target: ways over timelines, gaps, ends."""

from __future__ import annotations

import dataclasses
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    choice,
    reach,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import timeline
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.goal import Goal, goal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.wal_archive import BACKUP, SIZE, Repo


@pytest.fixture
def repo(tmp_path):
    made = Repo(tmp_path)
    made.segments(2, 3, 4, 5, 6)
    return made


def lines(archive, target="latest"):
    return [stretch.timeline for stretch in reach.way(archive, BACKUP, target)]


def check(repo, aim, *, target="latest", own=(), now=None):
    archive = repo.archive
    start = reach.start_of(BACKUP, SIZE)
    found = reach.Reach(reach.way(archive, BACKUP, target), start, SIZE, own=own, now=now)
    found.add(archive, aim)
    found.check(aim)
    return found.count, found.last


def test_the_way_over_timelines(repo, said):
    assert lines(repo.archive) == [1]
    repo.history(2, (1, 5 * SIZE))
    repo.history(3, (1, 5 * SIZE), (2, 6 * SIZE))
    assert lines(repo.archive) == [1, 2, 3]
    assert lines(repo.archive, "2") == [1, 2]
    assert lines(repo.archive, "current") == lines(repo.archive, "1") == [1]
    repo.history(5, (1, 5 * SIZE))
    # As PostgreSQL looks for it.
    assert lines(repo.archive) == [1, 2, 3]
    assert any("of timeline 5, but not of timeline 4" in line for line in said)
    assert lines(repo.archive, "0x5") == [1, 5]


def test_a_timeline_that_is_no_descendant(repo):
    repo.history(2, (7, 5 * SIZE))
    with pytest.raises(errors.DbMismatchError, match="target timeline 2 does not descend"):
        lines(repo.archive)
    with pytest.raises(errors.DbMismatchError, match=r"'00000009.history' is not in the archive"):
        lines(repo.archive, "9")


def test_a_timeline_that_left_before_the_backup_was_complete(repo):
    repo.history(2, (1, 0x30000FF))
    with pytest.raises(errors.DbMismatchError, match="forked from timeline 1 at 0/30000FF"):
        lines(repo.archive)
    repo.history(2, (1, 0x3000100))
    assert lines(repo.archive) == [1, 2]


@pytest.mark.parametrize(("version", "follows"), [("11", False), ("12", True)])
def test_before_12_a_server_stays_on_its_timeline_unless_told(repo, version, follows):
    """What happened on later ones is then no reason to refuse, or to check other WAL."""
    info = BackupInfo((BackupDb(1, 6, version, 3, 4),), 1, {BACKUP.label: BACKUP})
    options = Options("restore", stanza="demo")
    chosen = choice.Choice(options, [RepoOptions(1)], {})
    chosen._archives[1, (version, 6)] = repo.archive
    repo.history(2, (1, 5 * SIZE))
    _dummy, path = chosen._reachable(RepoOptions(1), info, Goal("default"))
    assert [stretch.timeline for stretch in path] == ([1, 2] if follows else [1])


@pytest.mark.parametrize(
    ("aim", "wanted", "warned"),
    [
        (Goal("name", "early"), None, True),
        (Goal("xid", "700"), "latest", True),
        (Goal("name", "early"), BACKUP.label, False),
        (Goal("default"), None, False),
        (Goal("lsn", "0/6000000", lsn=6 * SIZE), None, False),
    ],
)
def test_a_target_that_cannot_choose_the_backup(repo, said, monkeypatch, aim, wanted, warned):
    """The newest one is taken, and a point before it is out of reach: recovery finds out late."""
    info = BackupInfo((BackupDb(1, 6, "15", 3, 4),), 1, {BACKUP.label: BACKUP})
    monkeypatch.setattr(choice.backup_info, "load", lambda *_arguments: info)
    monkeypatch.setattr(choice.manifest, "load", lambda *_arguments: None)
    monkeypatch.setattr(choice.manifest, "validate_whole", lambda _contents: None)
    options = Options("restore", stanza="demo", set=wanted, target=aim.text or None)
    chosen = choice.Choice(options, [RepoOptions(1)], {})
    chosen._archives[1, ("15", 6)] = repo.archive
    chosen._storages[1] = PosixStorage(str(repo.root))
    chosen.choose(aim)
    found = [line for line in said if "nothing but recovery can tell" in line]
    assert len(found) == warned
    if warned:
        assert aim.text in found[0]
        assert f"came after 1970-01-01 00:00:02+00, when backup set {BACKUP.label}" in found[0]
        assert "HINT: " in found[0] and "--set" in found[0]


def test_a_damaged_history(repo):
    repo.history(2, (1, 5 * SIZE))
    (repo.top / "00000002.history").write_text("nonsense")
    with pytest.raises(errors.FormatError, match=r"00000002.history' is damaged"):
        lines(repo.archive)


def test_another_cluster(repo):
    with pytest.raises(errors.RepoInvalidError, match="version 14, system-id 6"):
        repo.of_version("14")


@pytest.mark.parametrize("aim", [Goal("default"), Goal("immediate"), Goal("xid", "7")])
def test_all_of_it_is_there(repo, aim):
    # For the end of the backup later segments are of no interest.
    count, last = check(repo, aim)
    assert count == 5
    assert last == "000000010000000000000006"


def test_a_segment_of_the_backup_is_missing(tmp_path):
    repo = Repo(tmp_path)
    repo.segments(2, 4)
    # One that was never filled does not count.
    repo.segments(3, suffix=".partial")
    for kind in ("default", "immediate", "standby", "preserve"):
        with pytest.raises(errors.FileMissingError, match=r"1 is not in the archive: 0+10+3"):
            check(repo, Goal(kind))
    # The backup may have brought it itself.
    assert check(repo, Goal("default"), own=["000000010000000000000003"])[0] == 3


def test_a_gap(repo, said):
    repo.segments(9)
    with pytest.raises(
        errors.FileMissingError, match="ends at 0/7000000: 2 WAL segments"
    ) as caught:
        check(repo, Goal("default"))
    assert "--target=0/6000000" in caught.value.hint
    for kind in ("standby", "name", "xid"):
        check(repo, Goal(kind))
    assert sum("0000000000007" in line for line in said) == 3
    assert check(repo, Goal("immediate"))


def test_a_position(repo):
    assert check(repo, goal("lsn", "0/6FFFFFF"))
    with pytest.raises(errors.FileMissingError, match=r"of the 6 WAL segments .* 1 is not"):
        check(repo, goal("lsn", "0/7000000"))


def test_a_position_beyond_all_that_can_be_listed(repo):
    """What is missing is counted by what is there, in no more memory than that."""
    missing = 0xFFFFFFFF * 256 + 1 - 7
    words = f"of the {missing + 5} WAL segments .* {missing} are not in the archive"
    with pytest.raises(errors.FileMissingError, match=words) as caught:
        check(repo, goal("lsn", "FFFFFFFF/0"))
    assert f"0000000100000000000000{7:02X}, " in caught.value.message
    assert f"{9:02X} and {missing - 3} more" in caught.value.message


def test_a_time(repo, said):
    path = next(repo.top.glob("*/*06-*"))
    written = int(path.stat().st_mtime)
    now = written + 99999
    assert check(repo, Goal("time", "then", time=written), now=now)
    assert said == []
    # It may be the repository's clock.
    assert check(repo, Goal("time", "then", time=written + reach.CLOCK_SKEW), now=now)
    assert "the last WAL segment, 000000010000000000000006, was archived" in said[0]
    with pytest.raises(
        errors.ArchiveTimeoutError, match=r"the last WAL segment, 0.*6, was archived"
    ):
        check(repo, Goal("time", "then", time=written + reach.CLOCK_SKEW + 1), now=now)
    with pytest.raises(errors.ArchiveTimeoutError, match="lies in the future"):
        check(repo, Goal("time", "then", time=written), now=written - 1)


def test_a_time_by_a_clock_that_is_slow(repo, said):
    """An hour behind: then the segment came an hour later than its time says."""
    path = next(repo.top.glob("*/*06-*"))
    now = int(path.stat().st_mtime)
    label = repo.root / "backup/demo" / BACKUP.label
    label.mkdir(parents=True)
    (label / "backup.manifest").touch()
    for late in (path, label / "backup.manifest"):
        os.utime(late, (BACKUP.timestamp_stop - 3600,) * 2)
    moment = BACKUP.timestamp_stop - reach.CLOCK_SKEW
    assert check(repo, Goal("time", "then", time=moment), now=now)
    assert said == []
    with pytest.raises(errors.ArchiveTimeoutError):
        check(repo, Goal("time", "then", time=BACKUP.timestamp_stop + 3600), now=now)


def test_a_time_where_the_server_tells_none(repo, said):
    path = next(repo.top.glob("*/*06-*"))
    now = int(path.stat().st_mtime)
    os.utime(path, (0, 0))
    assert check(repo, Goal("time", "then", time=now), now=now)
    assert said == []


def test_only_what_is_on_the_way_counts(repo):
    repo.history(2, (1, 5 * SIZE + 100))
    # On the first timeline 6 belongs to the branch that was left.
    assert check(repo, Goal("default")) == (4, "000000010000000000000005")
    repo.segments(5, 6, 7, line=2)
    assert check(repo, Goal("default")) == (6, "000000020000000000000007")
    assert check(repo, Goal("default"), target="current") == (5, "000000010000000000000006")


def test_another_repository_fills_the_gap(repo, tmp_path):
    other = Repo(tmp_path / "other")
    other.segments(7, 8)
    repo.segments(9)
    found = reach.Reach(timeline.path(1, []), reach.start_of(BACKUP, SIZE), SIZE)
    found.add(repo.archive, Goal("default"))
    assert not found.is_whole(Goal("default"))
    found.add(other.archive, Goal("default"))
    assert found.is_whole(Goal("default"))
    found.check(Goal("default"))
    assert found.count == 8


def test_an_archive_without_any_wal(tmp_path):
    """As a backup leaves it that was taken without archiving."""
    empty = Repo(tmp_path)
    with pytest.raises(errors.FileMissingError, match="WAL") as raised:
        check(empty, goal("default", None))
    assert raised.value.hint


@pytest.mark.parametrize("stop", ["00000001FFFFFFFF000000FF", "000000010000000000000001"])
def test_a_backup_cannot_have_taken_all_wal_there_can_be(stop):
    entry = dataclasses.replace(BACKUP, archive_stop=stop)
    with pytest.raises(errors.FormatError, match="cannot have taken the WAL"):
        reach.start_of(entry, SIZE)
