# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether WAL was lost since the last backup, or is only late."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path
from unittest import mock

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import gap
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.source import (
    OnlineSource,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.wal import number_name
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    layout,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive import (
    WalRange,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

SIZE = 16 * 1024 * 1024
TIMEOUT = 60.0


def name(number: int) -> str:
    return number_name(1, number, SIZE)


class Archiving:
    """An archive that is filled while somebody waits; its clock stands still meanwhile."""

    def __init__(self, root: Path, arrivals: t.Mapping[int, float]) -> None:
        self.storage = PosixStorage(str(root))
        self.now = 0.0
        self._root = root
        self._arrivals = dict(arrivals)
        self.sleep(0.0)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for number, when in list(self._arrivals.items()):
            if when <= self.now:
                path = self._root / layout.segment_path("demo", "15-1", name(number), 40 * "a")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                del self._arrivals[number]


@pytest.fixture
def find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> t.Callable[[t.Mapping[int, float]], WalRange | None]:
    """What is missing between segments 1 and 5, by the seconds after which each of them arrives.

    The server knows nothing of what it archived, or has all before a segment for that.
    """

    def found(arrivals: t.Mapping[int, float], archived: int | None = None) -> WalRange | None:
        archiving = Archiving(tmp_path, arrivals)
        monkeypatch.setattr(time, "monotonic", archiving.monotonic)
        monkeypatch.setattr(time, "sleep", archiving.sleep)
        last = BackupEntry("20261122-193512F", "full", 1, 0, 1, 1, 1, 1, 1, name(1), name(1))
        return gap.find(
            archiving.storage,
            "demo",
            "15-1",
            last,
            name(5),
            archived=None if archived is None else name(archived),
            size=SIZE,
            timeout=TIMEOUT,
        )

    return found


def test_all_is_there(find):
    assert find({2: 0, 3: 0, 4: 0}) is None


def test_what_does_not_come_is_lost(find):
    assert find({2: 0, 4: 0}) == WalRange(name(3), name(3))


@pytest.mark.parametrize("archived", [None, 2])
def test_what_has_not_come_yet_is_no_hole(find, archived):
    assert find({2: 0, 3: 9 * TIMEOUT, 4: 9 * TIMEOUT}, archived) is None


def test_what_was_dropped_is_lost_although_nothing_came_after_it(find):
    assert find({}, 4) == WalRange(name(2), name(4))
    assert find({2: 0}, 3) == WalRange(name(3), name(3))


def test_what_was_archived_and_is_there_is_no_hole(find):
    assert find({2: 0, 3: 0, 4: 0}, 4) is None
    assert find({2: 0, 3: 0.5 * TIMEOUT}, 3) is None


@pytest.mark.parametrize(
    ("file", "segment"),
    [
        (name(7), name(7)),
        # A label is archived after the segment in which its backup began.
        (f"{name(7)}.00000028.backup", name(7)),
        ("00000002.history", None),
        (None, None),
    ],
)
def test_the_segment_of_what_was_archived_last(file, segment):
    assert gap._segment_of(file) == segment


def test_holes_that_are_filled_one_after_another_are_waited_for(find):
    assert find({4: 0, 2: 0.9 * TIMEOUT, 3: 1.8 * TIMEOUT}) is None


def test_a_hole_that_stays_when_another_was_filled_is_found(find):
    assert find({4: 0, 2: 0.9 * TIMEOUT, 3: 3.0 * TIMEOUT}) == WalRange(name(3), name(3))


SECOND = 2  # a timeline


def on(timeline: int, number: int) -> str:
    return number_name(timeline, number, SIZE)


class Db:
    """A server that writes segment 5 of the second timeline."""

    def __init__(self, archived: str | None) -> None:
        self.archived_wal = lambda: archived
        self.current_wal_segment = lambda: on(SECOND, 5)


@pytest.fixture
def wanted(tmp_path: Path) -> t.Callable[..., str]:
    """The type of a backup after one on the first timeline that ended in segment 1."""

    def found(there: t.Iterable[str], archived: str | None, history: bytes | None = HISTORY) -> str:
        info = archive_info.create(1, "15", None)
        top = tmp_path / "archive/demo/15-1"
        top.mkdir(parents=True)
        if history is not None:
            (top / "00000002.history").write_bytes(history)
        for segment in there:
            path = tmp_path / layout.segment_path("demo", "15-1", segment, 40 * "a")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        last = BackupEntry("20261122-193512F", "full", 1, 0, 1, 1, 1, 1, 1, name(1), name(1))
        backups = mock.Mock(backups={last.label: last}, current_id=1)
        source = mock.Mock(spec=OnlineSource)
        source.cluster = mock.Mock()
        source.cluster.primary.db = Db(archived)
        source.facts = mock.Mock(wal_segment_size=SIZE)
        options = Options(command="backup", stanza="demo", archive_timeout=0.0)
        storage = PosixStorage(str(tmp_path))
        return gap.type_after(storage, options, source, info, backups, "incr")

    return found


# Segment 3 of the first timeline is the one in which the second began.
HISTORY = b"1\t0/3000028\tno recovery target specified\n"


def test_a_promotion_since_the_last_backup_alone_makes_none_a_full_one(wanted):
    there = [on(1, 2), *(on(SECOND, number) for number in (3, 4))]
    assert wanted(there, on(SECOND, 4)) == "incr"


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ([on(SECOND, 3), on(SECOND, 4)], f"WAL from {on(1, 2)} to {on(1, 2)} since"),
        ([on(1, 2), on(SECOND, 4)], f"WAL from {on(SECOND, 3)} to {on(SECOND, 3)} since"),
        ([on(1, 2)], f"WAL from {on(SECOND, 3)} to {on(SECOND, 4)} since"),
    ],
)
def test_what_was_dropped_around_a_promotion_makes_the_next_backup_a_full_one(
    wanted, caplog, there, said
):
    with caplog.at_level("WARNING"):
        assert wanted(there, on(SECOND, 4)) == "full"
    assert said in caplog.text


def test_a_history_past_which_no_recovery_gets_makes_the_next_backup_a_full_one(wanted, caplog):
    there = [on(1, 2), *(on(SECOND, number) for number in (3, 4))]
    with caplog.at_level("WARNING"):
        assert wanted(there, None, b"no history") == "full"
    assert "00000002.history' is damaged" in caplog.text
    assert "incr backup has been changed to full" in caplog.text


def test_a_history_that_was_dropped_makes_the_next_backup_a_full_one(wanted, caplog):
    """Recovery from what is before it ends there, although all segments are in the archive."""
    there = [on(1, 2), *(on(SECOND, number) for number in (3, 4))]
    with caplog.at_level("WARNING"):
        assert wanted(there, on(SECOND, 4), None) == "full"
    assert "incr backup has been changed to full: the archive has no history of" in caplog.text


def test_a_history_that_is_late_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "archive/demo/15-1/00000002.history"
    path.parent.mkdir(parents=True)
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds
        if now[0] > TIMEOUT / 2:
            path.write_bytes(HISTORY)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    options = Options(command="backup", stanza="demo", archive_timeout=TIMEOUT)
    last = BackupEntry("20261122-193512F", "full", 1, 0, 1, 1, 1, 1, 1, name(1), name(1))
    info = archive_info.create(1, "15", None)
    way = gap._way(PosixStorage(str(tmp_path)), options, info, last, on(SECOND, 5))
    assert [stretch.timeline for stretch in way] == [1, SECOND]
    assert TIMEOUT / 2 < now[0] < TIMEOUT


@pytest.mark.parametrize("own", [HISTORY, b"1\t0/2000000\tno recovery target specified\n"])
def test_a_history_that_another_server_has_archived(tmp_path, own):
    """This server's was refused, and dropped when too much waited behind it."""
    (tmp_path / "archive/demo/15-1").mkdir(parents=True)
    (tmp_path / "archive/demo/15-1/00000002.history").write_bytes(HISTORY)
    (tmp_path / "data/pg_wal").mkdir(parents=True)
    (tmp_path / "data/pg_wal/00000002.history").write_bytes(own)
    pgs = (PgOptions(path=str(tmp_path / "data")),)
    options = Options(command="backup", stanza="demo", archive_timeout=0.0, pgs=pgs)
    last = BackupEntry("20261122-193512F", "full", 1, 0, 1, 1, 1, 1, 1, name(1), name(1))
    info = archive_info.create(1, "15", None)
    storage = PosixStorage(str(tmp_path))
    if own == HISTORY:
        assert gap._way(storage, options, info, last, on(SECOND, 5))
    else:
        with pytest.raises(FormatError, match="the archive has another history of timeline 2"):
            gap._way(storage, options, info, last, on(SECOND, 5))


def test_the_first_timeline_comes_from_no_other(tmp_path):
    options = Options(command="backup", stanza="demo", archive_timeout=TIMEOUT)
    last = BackupEntry("20261122-193512F", "full", 1, 0, 1, 1, 1, 1, 1, on(2, 1), on(2, 1))
    info = archive_info.create(1, "15", None)
    with pytest.raises(FormatError, match="timeline 1, on which the server is, does not come from"):
        gap._way(PosixStorage(str(tmp_path)), options, info, last, on(1, 5))
