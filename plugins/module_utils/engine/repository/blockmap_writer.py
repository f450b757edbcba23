# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block maps: writing (repository reference, section 13.4). The inverse of ``blockmap.parse``.

A map is a list of runs; in a run all blocks are held by one backup. What the reader can tell by
itself (the size of a super block that is like the last one, the offset of the next) is left out.
"""

from __future__ import annotations

import itertools
import typing as t

from ..errors import FormatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .blockmap import MapEntry, SuperBlock

# Flags of a run. The next two mean something else in the first run of a backup and in later ones.
_LAST_RUN = 1
_BUNDLE, _OFFSET = 2, 4
_CONTINUED, _CONTINUED_ONLY = 2, 4
_GAP = 4

# Flags of a super block.
_LAST_GROUP = 1
_SIZE = 2
_COUNT = 4


class _Group(t.NamedTuple):
    """Blocks that follow each other in the file and in one super block."""

    unit: SuperBlock
    number: int
    checksums: list[bytes]


class _Holder:
    """What the reader knows of a backup at this point of the map."""

    def __init__(self, block_size: int) -> None:
        self.unit: SuperBlock | None = None
        self.size = block_size
        self.number = 0

    @property
    def end(self) -> int:
        """Where the next super block lies if nothing is said."""
        return 0 if self.unit is None else self.unit.offset + self.unit.stored_size


def encode(entries: Sequence[MapEntry], block_size: int) -> bytes:
    """The map of a file, neither compressed nor encrypted; checksums as they are in ``entries``.

    Raises FormatError for entries that go back in what a backup holds: no map can say that.
    """
    output = bytearray(_number(0))
    holders: dict[int, _Holder] = {}
    last_stored = 0
    runs = list(_runs(entries))
    for index, groups in enumerate(runs):
        unit = groups[0].unit
        flags = unit.reference << 3 | (_LAST_RUN if index == len(runs) - 1 else 0)
        holder = holders.get(unit.reference)
        continued = False
        if holder is None:
            holder = holders[unit.reference] = _Holder(block_size)
            flags |= (_BUNDLE if unit.bundle_id else 0) | (_OFFSET if unit.offset else 0)
            output += _number(flags)
            output += _number(unit.bundle_id) if unit.bundle_id else b""
            output += _number(unit.offset) if unit.offset else b""
        elif unit == holder.unit:
            continued = True
            output += _number(flags | _CONTINUED | (_CONTINUED_ONLY if len(groups) == 1 else 0))
        else:
            gap = unit.offset - holder.end
            _require(gap >= 0)
            output += _number(flags | (_GAP if gap else 0))
            output += _number(gap) if gap else b""
        for position, group in enumerate(groups):
            output += _group(
                group,
                holder,
                block_size,
                last_stored,
                continued=continued and position == 0,
                last=position == len(groups) - 1,
            )
            last_stored = group.unit.stored_size
    return bytes(output)


def _group(
    group: _Group,
    holder: _Holder,
    block_size: int,
    last_stored: int,
    *,
    continued: bool,
    last: bool,
) -> bytes:
    output = bytearray()
    count = len(group.checksums)
    if not continued:
        holder.number = 0
    skipped = group.number - holder.number
    _require(skipped >= 0)
    counted = _number(count - 1 << 1 | (1 if skipped else 0))
    counted += _number(skipped) if skipped else b""
    if continued:
        output += counted
    else:
        stored = group.unit.stored_size
        if last_stored:
            change = stored - last_stored
            stored = change << 1 if change >= 0 else -change * 2 - 1
        resized = group.unit.size != holder.size
        partial = skipped or count != -(-group.unit.size // block_size)
        output += _number(
            stored << 3
            | (_LAST_GROUP if last else 0)
            | (_SIZE if resized else 0)
            | (_COUNT if partial else 0)
        )
        if resized:
            blocks, rest = divmod(group.unit.size, block_size)
            output += _number(blocks << 1 | (1 if rest else 0))
            output += _number(rest) if rest else b""
        output += counted if partial else b""
    holder.unit, holder.size = group.unit, group.unit.size
    holder.number = group.number + count
    return bytes(output) + b"".join(group.checksums)


def _runs(entries: Sequence[MapEntry]) -> Iterator[list[_Group]]:
    """Groups of one backup, as long as each super block begins where the one before it ends."""
    run: list[_Group] = []
    for group in _groups(entries):
        if run:
            before = run[-1].unit
            if (before.reference, before.offset + before.stored_size) != (
                group.unit.reference,
                group.unit.offset,
            ):
                yield run
                run = []
        run.append(group)
    if run:
        yield run


def _groups(entries: Sequence[MapEntry]) -> Iterator[_Group]:
    # A block that does not follow the one before it begins a group of its own, in a run of its own.
    numbered = enumerate(entries)
    for (unit, _first), rows in itertools.groupby(
        numbered, key=lambda row: (row[1].super_block, row[1].number - row[0])
    ):
        blocks = [entry for _position, entry in rows]
        yield _Group(unit, blocks[0].number, [entry.checksum for entry in blocks])


def _number(value: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    output = bytearray()
    while value > 0x7F:
        output.append(value & 0x7F | 0x80)
        value >>= 7
    output.append(value)
    return bytes(output)


def _require(ascending: bool) -> None:
    if not ascending:
        raise FormatError("blocks of a backup are not in the order in which it holds them")
