# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention keeps and what it removes, with a reason for each (repository reference, 16).

Nothing here touches a repository: the rules take what backup.info says and give a verdict, which
``expire`` carries out and a dry run shows.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .backup_info import BackupEntry, dependents
from .label import DIFF, FULL, full_of, is_label

DAY = 86400


@dataclass(frozen=True)
class RetentionRule:
    """The retention options of a repository; None means not set."""

    full: int | None = None
    full_type: str = "count"  # count, time (days)
    diff: int | None = None
    archive: int | None = None
    archive_type: str = FULL  # full, diff, incr


class Verdict(t.NamedTuple):
    """What happens to one backup, and why."""

    label: str
    remove: bool
    reason: str


class WalRange(t.NamedTuple):
    """Segments from ``start`` to ``stop``; None is open to that side."""

    start: str
    stop: str | None
    reason: str


class ArchiveVerdict(t.NamedTuple):
    """What stays of the WAL of one cluster; everything outside of the ranges goes.

    ``ranges`` None means that nothing is removed, for the reason given.
    """

    ranges: tuple[WalRange, ...] | None
    reason: str


Backups = t.Mapping[str, BackupEntry]


def backups(current: Backups, rule: RetentionRule, *, now: int) -> list[Verdict]:
    """A verdict for each backup, by label; ``now`` in epoch seconds counts for ``time`` only.

    A backup goes with everything that depends on it. The newest full backup always stays, and so
    does the newest backup without damaged pages: it may be the only one that can be used.
    """
    doomed: dict[str, str] = {}
    fulls = [name for name in sorted(current) if current[name].backup_type == FULL]
    for name, reason in _expired_fulls(current, fulls, rule, now):
        for dependent in dependents(current, name):
            doomed[dependent] = reason if dependent == name else f"depends on {name}"
    if rule.diff is not None:
        counted = [
            name
            for name in sorted(current)
            if current[name].backup_type in (FULL, DIFF) and name not in doomed
        ]
        for name in counted[: max(0, len(counted) - rule.diff)]:
            if current[name].backup_type == DIFF:
                for dependent in dependents(current, name):
                    doomed.setdefault(
                        dependent,
                        f"older than the newest {rule.diff} full and diff backups"
                        if dependent == name
                        else f"depends on {name}",
                    )
    good = _last_good(current)
    saved = [] if good not in doomed else _chain(current, good)
    for name in saved:
        doomed.pop(name, None)
    return [
        Verdict(
            name,
            name in doomed,
            doomed.get(name)
            or (_needed(current, good) if name in saved else _kept(current[name], rule)),
        )
        for name in sorted(current)
    ]


def _last_good(current: Backups) -> str:
    """The newest backup in which no page was damaged; empty when there is none."""
    return max((name for name, entry in current.items() if not entry.error), default="")


def _needed(current: Backups, good: str) -> str:
    """Why what ``good`` depends on stays, itself included."""
    if good == max(current):
        return f"{good} is the newest backup"
    return "newer backups have damaged pages"


def _chain(current: Backups, label: str) -> list[str]:
    """A backup and everything that it depends on."""
    chain: list[str] = []
    step: str | None = label
    while step is not None and step in current:
        chain.append(step)
        step = current[step].prior
    return chain


def oldest(current: Backups, rule: RetentionRule) -> RetentionRule:
    """The rule for one run by which the oldest full backup goes; the last one never does."""
    fulls = sum(1 for entry in current.values() if entry.backup_type == FULL)
    return replace(rule, full=max(1, fulls - 1), full_type="count")


def history(names: t.Iterable[str], current: Backups, first: str) -> list[str]:
    """Which manifests of former backups stay: of what is listed, and from ``first`` on.

    ``names`` are those of files; ``first`` is the beginning of a label. Other files stay, too.
    """
    kept = []
    for name in names:
        label = name.split(".", 1)[0]
        if not is_label(label) or label in current or label >= first:
            kept.append(name)
    return kept


def _expired_fulls(
    current: Backups, fulls: list[str], rule: RetentionRule, now: int
) -> t.Iterator[tuple[str, str]]:
    if rule.full is None:
        return
    if rule.full_type == "count":
        for name in fulls[: max(0, len(fulls) - rule.full)]:
            yield name, f"older than the newest {rule.full} full backups"
        return
    # The newest full that is old enough is still needed to reach back as far as promised.
    old = outdated(current, rule, now=now)
    for name in old[:-1]:
        yield name, f"older than {rule.full} days, as is {old[-1]}"


def outdated(current: Backups, rule: RetentionRule, *, now: int) -> list[str]:
    """The full backups that retention by time has no need of but for the newest of them."""
    if rule.full is None or rule.full_type == "count":
        return []
    limit = now - rule.full * DAY
    return [
        name
        for name, entry in sorted(current.items())
        if entry.backup_type == FULL and entry.timestamp_stop < limit
    ]


def _kept(entry: BackupEntry, rule: RetentionRule) -> str:
    if rule.full is None:
        return "no retention of full backups is set"
    if entry.backup_type == FULL:
        unit = "days" if rule.full_type == "time" else "newest full backups"
        return f"within {rule.full} {unit}"
    return f"its full backup {full_of(entry.label)} stays"


def archive(
    remaining: Backups,
    rule: RetentionRule,
    db_id: int,
    *,
    current_id: int,
    too_old: t.Collection[str] = (),
) -> ArchiveVerdict:
    """Which WAL of the cluster ``db_id`` stays, given the backups that remain.

    ``too_old`` are the full backups that ``outdated`` named before any was removed.
    """
    keep = _archive_retention(remaining, rule, too_old)
    if keep is None:
        return ArchiveVerdict(None, "retention of WAL is not set")
    types = {FULL: (FULL,), DIFF: (FULL, DIFF)}.get(rule.archive_type)
    # Also those of a cluster that was stopped, which others may depend on.
    candidates = [
        entry
        for name, entry in sorted(remaining.items())
        if types is None or entry.backup_type in types
    ]
    if keep > len(candidates):
        return ArchiveVerdict(None, f"there are fewer than {keep} backups")
    mine = {name: entry for name, entry in remaining.items() if entry.db_id == db_id}
    own = [entry for entry in candidates if entry.db_id == db_id]
    if not mine:
        if db_id == current_id:
            return ArchiveVerdict(None, "no backup of the current cluster remains")
        return ArchiveVerdict((), "no backup of this former cluster remains")
    if not own:
        return ArchiveVerdict(None, f"no {rule.archive_type} backup of this cluster remains")
    newest = [entry for entry in candidates[-keep:] if entry.db_id == db_id]
    first = newest[0] if newest else own[-1]
    # A backup with damaged pages keeps no other one from being needed, up to now.
    good = _last_good(mine)
    if good and good < first.label:
        first = mine.get(full_of(good), mine[good])
    if first.archive_start is None:
        return ArchiveVerdict(None, f"{first.label} does not tell where the WAL after it begins")
    begin, whose = _begin(mine, first.label, first.archive_start)
    ranges = [
        WalRange(entry.archive_start, entry.archive_stop, f"needed to restore {name}")
        for name, entry in sorted(mine.items())
        if entry.archive_start is not None and entry.archive_start < begin
    ]
    ranges.append(WalRange(begin, None, f"from {whose} on"))
    return ArchiveVerdict(tuple(ranges), f"WAL from {whose} on is kept")


def _begin(mine: Backups, label: str, start: str) -> tuple[str, str]:
    """Where the WAL begins that leads on from a backup and from each newer one, and whose it is.

    A newer one has lower names where the older is of a copy that was promoted, and has archived a
    timeline of its own: the cluster has never left the lower one.
    """
    lower = [
        (entry.archive_start, name)
        for name, entry in mine.items()
        if name > label and entry.archive_start is not None and entry.archive_start < start
    ]
    return min(lower, default=(start, label))


def _archive_retention(
    remaining: Backups, rule: RetentionRule, too_old: t.Collection[str]
) -> int | None:
    if rule.archive is not None:
        return rule.archive
    if rule.archive_type == FULL:
        if rule.full is None:
            return None
        if rule.full_type == "count":
            return rule.full
        # Until a full backup is too old, all WAL is young enough to stay.
        if not too_old:
            return None
        return sum(1 for entry in remaining.values() if entry.backup_type == FULL)
    return rule.diff if rule.archive_type == DIFF else None


def keeps(verdict: ArchiveVerdict, name: str) -> bool:
    """Whether a WAL file (its name, of at least 24 digits) stays."""
    if verdict.ranges is None:
        return True
    segment = name[:24]
    return any(
        row.start <= segment and (row.stop is None or segment <= row.stop) for row in verdict.ranges
    )


def keeps_directory(verdict: ArchiveVerdict, name: str) -> bool:
    """Whether anything in a directory of segments (16 digits) may stay."""
    if verdict.ranges is None:
        return True
    return any(
        row.start[:16] <= name and (row.stop is None or name <= row.stop[:16])
        for row in verdict.ranges
    )
