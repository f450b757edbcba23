# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a worker copies together (repository reference, sections 10 and 12). Pure.

With bundles, small files share a repository file; without, small files share only a job, so that a
worker has several of them on their way at once.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BATCH_SIZE = 8 * 1024 * 1024
BATCH_FILES = 100

BUNDLE_FILES = 4096
"""A bundle is closed when it has so many: a worker holds what it knows of all of them. Files of a
page fill one of the usual 20 MiB with 2560."""

LEAST_SHARE = 1024 * 1024
"""Bytes below which it is not worth while to give another process a bundle of its own."""


class Item(t.Protocol):
    """What planning has to know of a file. Sizes are bytes, times epoch seconds."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def timestamp(self) -> int: ...


_T = t.TypeVar("_T", bound=Item)

PriorLocation = tuple[str, int, int]
"""Label, bundle id and offset of a file in the backup before."""


class Kind(enum.Enum):
    """How the files of a job are stored."""

    SINGLE = "single"
    """Each under its own name."""
    BUNDLE = "bundle"
    """All in one bundle, in the order of the job."""


@dataclasses.dataclass(frozen=True)
class Job(t.Generic[_T]):
    """Work for one worker."""

    kind: Kind
    bundle_id: int
    """0 for single files."""
    files: tuple[_T, ...]

    @property
    def size(self) -> int:
        """Original bytes, as the scan saw them."""
        return sum(file.size for file in self.files)


@dataclasses.dataclass(frozen=True)
class BundleRule:
    """The options ``repo-bundle-size`` and ``repo-bundle-limit``, in bytes."""

    size: int
    """A bundle is closed when it holds at least so much, or BUNDLE_FILES."""
    limit: int
    """Larger files are stored alone."""

    def takes(self, size: int) -> bool:
        """Whether a file of this size goes into a bundle."""
        return 0 < size <= self.limit


def shared(files: Iterable[Item], rule: BundleRule, processes: int) -> BundleRule:
    """The rule with bundles of a size by which so many processes have as much to do each.

    They are never larger than the rule says, and not smaller than LEAST_SHARE for that.
    """
    if processes == 1:
        return rule
    total = sum(file.size for file in files if rule.takes(file.size))
    rounds = max(1, math.ceil(total / (rule.size * processes)))
    share = math.ceil(total / (rounds * processes))
    return dataclasses.replace(rule, size=min(rule.size, max(share, LEAST_SHARE)))


def queue_of(name: str) -> str:
    """Where a file is read from: ``pg_data`` or a tablespace. Queues are read side by side."""
    if name.startswith("pg_tblspc/"):
        return name[: name.index("/", len("pg_tblspc/"))]
    return name.partition("/")[0]


def plan(
    files: Iterable[_T],
    rule: BundleRule | None,
    *,
    first_bundle_id: int = 1,
    prior: t.Callable[[_T], PriorLocation | None] = lambda _file: None,
) -> list[Job[_T]]:
    """The jobs of a backup, in the order in which workers should take them.

    Every queue begins with its largest files; small ones follow, those that the backup before holds
    in the order in which it holds them, so that a restore reads neighbours. The queues take turns.
    With a ``rule``, empty files get no job: a bundled backup does not store them at all.
    """
    queues: dict[str, list[_T]] = {}
    for file in files:
        if file.size or rule is None:
            queues.setdefault(queue_of(file.name), []).append(file)
    per_queue = [_queue_groups(queues[name], rule, prior) for name in sorted(queues)]
    ids = itertools.count(first_bundle_id)
    return [
        Job(kind, next(ids) if kind is Kind.BUNDLE else 0, group)
        for kind, group in _take_turns(per_queue)
    ]


_Group = tuple[Kind, tuple[t.Any, ...]]


def _queue_groups(
    files: Sequence[_T],
    rule: BundleRule | None,
    prior: t.Callable[[_T], PriorLocation | None],
) -> list[_Group]:
    single = [file for file in files if rule is None or not rule.takes(file.size)]
    single.sort(key=lambda file: (-file.size, file.name))
    groups: list[_Group] = [
        (Kind.SINGLE, group) for group in _fill(single, BATCH_SIZE, BATCH_FILES)
    ]
    if rule is not None:
        known: list[tuple[PriorLocation, _T]] = []
        new: list[_T] = []
        for file in files:
            if rule.takes(file.size):
                location = prior(file)
                if location is None:
                    new.append(file)
                else:
                    known.append((location, file))
        known.sort(key=lambda pair: pair[0])
        new.sort(key=lambda file: (file.timestamp, file.name))
        bundled = [file for _location, file in known] + new
        groups += [(Kind.BUNDLE, group) for group in _fill(bundled, rule.size, BUNDLE_FILES)]
    return groups


def _fill(files: Iterable[_T], size: int, count: int) -> Iterator[tuple[_T, ...]]:
    """Groups of files in order, each closed when it holds ``size`` bytes or ``count`` files."""
    group: list[_T] = []
    filled = 0
    for file in files:
        group.append(file)
        filled += file.size
        if filled >= size or len(group) == count:
            yield tuple(group)
            group, filled = [], 0
    if group:
        yield tuple(group)


def _take_turns(queues: Iterable[list[_Group]]) -> Iterator[_Group]:
    for turn in itertools.zip_longest(*queues):
        yield from (group for group in turn if group is not None)
