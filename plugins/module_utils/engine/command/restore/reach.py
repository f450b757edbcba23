# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether recovery will get where it should, found out before anything is copied or removed.

The server finds out as well, but hours later, or not at all: where WAL is missing in the middle, a
recovery without a target just ends there (repository reference, section 15 step 3).
"""

from __future__ import annotations

import time
import typing as t

from ... import log
from ...errors import (
    ArchiveTimeoutError,
    DbMismatchError,
    FileMissingError,
    FormatError,
    HostConnectError,
)
from ...postgres import timeline, wal
from ...repository.archive import StoredSegment
from ...repository.cluster_archive import ClusterArchive
from ...repository.selection import utc
from . import branch, times
from .missing import Missing
from .times import CLOCK_SKEW

if t.TYPE_CHECKING:
    from ...postgres.goal import Goal
    from ...repository.backup_info import BackupEntry
    from .histories import Histories

# Types of which the archive cannot know where recovery ends, or whether there is one.
WITHOUT_RECOVERY = ("none", "preserve")

# Each segment that one backup needs is looked for: more than any has needed so far.
_MOST = 1 << 22

# How many missing segments a message names.
NAMED = 3


class Start(t.NamedTuple):
    """What recovery begins with: the WAL of the backup itself."""

    label: str
    timeline: int
    lsn_stop: int | None
    """Where the backup is complete; None for very old backups."""
    first: int
    """Number of the first segment."""
    last: int
    """Number of the last segment without which the backup is not consistent."""
    stopped: int = 0
    """When the backup ended, in epoch seconds of the database's clock; 0: not known."""


def start_of(entry: BackupEntry, segment_size: int) -> Start:
    """The WAL that an online backup needs in any case; FormatError for what none can."""
    names = entry.archive_start or "", entry.archive_stop or ""
    first, last = (wal.segment_number(name, segment_size) for name in names)
    if not 0 <= last - first < _MOST:
        raise FormatError(
            f"backup set {entry.label} cannot have taken the WAL from {names[0]} to {names[1]}",
            hint="restore another backup with --set.",
        )
    stop = None if entry.lsn_stop is None else wal.lsn_parse(entry.lsn_stop)
    return Start(
        entry.label, wal.timeline_of(names[0]), stop, first, last, entry.timestamp_stop or 0
    )


def way(archive: ClusterArchive | Histories, entry: BackupEntry, target: str) -> timeline.Path:
    """The timelines from the backup to the target timeline (``latest``, ``current``, a number).

    Raises DbMismatchError when no way leads from the backup there.
    """
    own = wal.timeline_of(entry.archive_start or "")
    stop = None if entry.lsn_stop is None else wal.lsn_parse(entry.lsn_stop)
    number = timeline.wanted(target)
    if number is None:
        number = own
        if target == timeline.LATEST:
            number = timeline.newest(own, archive.timelines())
            later = max(archive.timelines(), default=0)
            if later > number:
                log.warn(
                    "the archive has the history of timeline %d, but not of timeline %d before it:"
                    " PostgreSQL will take timeline %d for the latest\n"
                    "HINT: --target-timeline=%d recovers along the other one.",
                    later,
                    number + 1,
                    number,
                    later,
                )
    if number not in (own, 1) and number not in archive.timelines():
        raise DbMismatchError(
            f"target timeline {number} is unknown: '{number:08X}.history' is not in the archive",
            hint="timelines with a history: "
            + (", ".join(map(str, sorted(archive.timelines()))) or "none"),
        )
    found = timeline.path(number, archive.forks(number))
    stretch = timeline.stretch_of(found, own)
    if stretch is None:
        raise DbMismatchError(
            f"backup set {entry.label} is of timeline {own}, from which target timeline {number}"
            " does not descend",
            hint="name another backup with --set, or another timeline with --target-timeline.",
        )
    if stretch.end is not None and stop is not None and stretch.end < stop:
        raise DbMismatchError(
            f"target timeline {number} forked from timeline {own} at {wal.lsn_text(stretch.end)},"
            f" before backup set {entry.label} was complete at {entry.lsn_stop}",
            hint="name an older backup with --set, or another timeline with --target-timeline;"
            " was a standby promoted by mistake, or a test restore left to archive?",
        )
    return found


class Reach:
    """The WAL for one recovery: what is there, in any of the archives, and what is not."""

    def __init__(
        self,
        path: timeline.Path,
        start: Start,
        segment_size: int,
        *,
        own: t.Collection[str] = (),
        now: float | None = None,
    ) -> None:
        self._path = path
        self._start = start
        self._size = segment_size
        self._archives: list[ClusterArchive] = []
        self._found: dict[str, tuple[ClusterArchive, StoredSegment]] = {}
        self._there: dict[int, str] = {}
        for name in own:
            self._count(name)
        self._now = time.time() if now is None else now

    @property
    def count(self) -> int:
        """Segments from the start of the backup to the last one that is there without a gap."""
        return self._end() - self._start.first + 1

    @property
    def last(self) -> str:
        """The last segment that is there without a gap."""
        number = self._end()
        return self._there.get(number) or wal.number_name(self._start.timeline, number, self._size)

    def add(self, archive: ClusterArchive, goal: Goal) -> None:
        """Count what this archive has. The first archive that has a segment counts."""
        low = self._start.first
        high: int | None = None
        if goal.kind == "immediate":
            high = self._start.last
        elif goal.lsn is not None:
            high = max(goal.lsn // self._size, self._start.last)
        per_id = 0x100000000 // self._size
        timelines = {stretch.timeline for stretch in self._path}

        def within(directory: str) -> bool:
            position = int(directory[8:16], 16)
            return (
                int(directory[:8], 16) in timelines
                and position >= low // per_id
                and (high is None or position <= high // per_id)
            )

        for name, segment in archive.segments(within).items():
            self._found.setdefault(name, (archive, segment))
            self._count(name)
        self._archives.append(archive)

    def _count(self, name: str) -> None:
        number = wal.segment_number(name, self._size)
        names = timeline.holders(self._path, number, self._size)
        if name in names:
            known = self._there.get(number)
            if known is None or names.index(name) < names.index(known):
                self._there[number] = name

    def is_whole(self, goal: Goal) -> bool:
        """Whether another archive could not add anything that is missed."""
        known = self._known_end()
        if goal.time is not None:
            # One that was away for the last hours has no gap, and does not reach the target.
            written = self._written_at(known)
            if written is None or written < goal.time:
                return False
        if goal.lsn is not None:
            known = max(known, goal.lsn // self._size)
        return not self._missing(self._start.first, known)

    def check(self, goal: Goal) -> None:
        """Raise when recovery cannot reach the goal.

        FileMissingError names the segments that are not there; ArchiveTimeoutError says that the
        target is later than all WAL.
        """
        missing = self._missing(self._start.first, self._start.last)
        if missing:
            raise FileMissingError(
                f"backup set {self._start.label} cannot be made consistent: of its"
                f" {self._start.last - self._start.first + 1} WAL segments {len(missing)}"
                f" {_are(missing)} not in the archive: {self._names(missing)}",
                hint="restore another backup with --set; the verify command says which are whole.",
            )
        if goal.kind in ("immediate", *WITHOUT_RECOVERY):
            return
        if goal.lsn is not None:
            self._check_lsn(goal, goal.lsn)
            return
        gap = self._missing(self._start.last + 1, self._known_end())
        if goal.time is not None:
            self._check_time(goal, goal.time, gap)
        elif gap:
            self._refuse_gap(goal, gap)

    def check_branches(self, goal: Goal, *, named: bool) -> None:
        """Tell of timelines that went on where recovery leaves them; see ``branch.check``."""
        own = self._start.timeline
        path = tuple(row for row in self._path if row.timeline >= own)
        written = {name: segment.written_at for name, (_dummy, segment) in self._found.items()}
        last = wal.number_name(own, self._start.last, self._size)
        trusted = times.trusted(written, last, self._start.stopped)
        view = branch.View(path, written, self._began, trusted, self._size)
        branch.check(view, goal, named=named)

    def _began(self, number: int) -> int | None:
        known = []
        for archive in self._archives:
            try:
                known.append(archive.began(number))
            except HostConnectError as cause:
                # Of one that was not needed.
                if archive is self._archives[0]:
                    raise
                log.warn("%s", cause.message)
        return min((moment for moment in known if moment is not None), default=None)

    def _check_lsn(self, goal: Goal, lsn: int) -> None:
        missing = self._missing(self._start.last + 1, lsn // self._size)
        if missing:
            raise FileMissingError(
                f"target '{goal.text}' cannot be reached: of the"
                f" {lsn // self._size - self._start.first + 1} WAL segments from backup set"
                f" {self._start.label} on {len(missing)} {_are(missing)} not in the archive:"
                f" {self._names(missing)}",
                hint=f"the WAL reaches to {self._reach_text()}.",
            )

    def _check_time(self, goal: Goal, moment: int, gap: t.Sequence[int]) -> None:
        if moment > self._now:
            raise ArchiveTimeoutError(
                f"target '{goal.text}' cannot be reached: it lies in the future",
                hint=f"it is {utc(int(self._now))} now; is the offset of the time right?",
            )
        written = self._written_at(self._end())
        if written is not None and written < moment:
            written += self._clock_lag(self._end())
        if written is not None and written < moment:
            # What came into the archive before the target holds nothing that happened after it.
            what = (
                f"target '{goal.text}' cannot be reached: the last WAL segment"
                f"{' before a gap' if gap else ''}, {self.last}, was archived {utc(written)}"
            )
            if gap:
                what += f", and {len(gap)} {_are(gap)} missing after it: {self._names(gap)}"
            if written + CLOCK_SKEW < moment:
                raise ArchiveTimeoutError(
                    what, hint="take an earlier target, or --type=default for all that there is."
                )
            log.warn("%s; unless the repository's clock is slow, recovery will fail", what)
        elif gap:
            log.warn(
                "WAL is missing in the archive: %s; a target after %s cannot be reached",
                self._names(gap),
                self._reach_text(),
            )

    def _refuse_gap(self, goal: Goal, gap: t.Sequence[int]) -> None:
        what = (
            f"recovery from backup set {self._start.label} ends at {self._reach_text()}:"
            f" {len(gap)} WAL {'segment is' if len(gap) == 1 else 'segments are'} missing in the"
            f" archive, {self._names(gap)}, before the last one"
        )
        if goal.kind != "default":
            # A standby may get them from its primary; for a name or a transaction that is not
            # found the server fails.
            log.warn("%s", what)
            return
        raise FileMissingError(
            what,
            hint="restore a later backup; or take all that there is up to the gap with --type=lsn"
            f" --target={self._before_gap()}, or the backup alone with --type=immediate.",
        )

    def _missing(self, first: int, last: int) -> Missing:
        return Missing(first, last, self._there)

    def _known_end(self) -> int:
        """The number of the last segment on the path, whatever is missing before it."""
        return max([self._start.last, *self._there])

    def _end(self) -> int:
        """The number of the last segment that recovery gets to."""
        end = self._start.last
        while end + 1 in self._there:
            end += 1
        return end

    def _written_at(self, number: int) -> int | None:
        name = self._there.get(number, "")
        if name not in self._found:
            return None
        _archive, segment = self._found[name]
        return segment.written_at

    def _clock_lag(self, number: int) -> int:
        archive, _segment = self._found[self._there[number]]
        return archive.clock_lag(self._start.label, self._start.stopped)

    def _reach_text(self) -> str:
        return wal.lsn_text((self._end() + 1) * self._size)

    def _before_gap(self) -> str:
        """A position in the last segment before the gap; its records begin after this one."""
        return wal.lsn_text(self._end() * self._size)

    def _names(self, numbers: t.Sequence[int]) -> str:
        names = []
        for number in numbers[:NAMED]:
            found = timeline.holders(self._path, number, self._size)
            names.append(found[0] if found else str(number))
        more = len(numbers) - len(names)
        return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _are(items: t.Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"
