# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the table of WAL in docs/performance.md of what tests/bench/wal measured.

    python tests/bench/wal_page.py [FILE]

Only what stands between the two marks of the page is written anew.
"""

from __future__ import annotations

import json
import statistics
import sys
import typing as t
from pathlib import Path

from page import PAGE, TOP, put, versions

DATA = TOP / "docs" / "performance-wal.json"
BEGIN, END = "<!-- measured wal: begin -->", "<!-- measured wal: end -->"


class Goal(t.NamedTuple):
    """What is to be reached at a distance; None: nothing was promised."""

    ratio: float | None = None
    """Times as fast as the peer, at least."""
    below: float | None = None
    """Ours less than this, in the row's unit."""


class Kind(t.NamedTuple):
    """A kind of row."""

    name: str
    unit: str
    goals: t.Mapping[float, Goal]


ALWAYS = (0.0, 20.0, 95.0)

KINDS: t.Mapping[str, Kind] = {
    "drain async": Kind(
        "{segments} ready segments drained, against `archive-async=y`",
        "s",
        {0.0: Goal(1.5), 20.0: Goal(3.0), 95.0: Goal(3.0)},
    ),
    "drain sync": Kind(
        "the same, against sync `archive-push` ({sync} segments, scaled)", "s", {95.0: Goal(20.0)}
    ),
    "push": Kind(
        "`archive-push` of a segment that is shipped already",
        "ms",
        dict.fromkeys(ALWAYS, Goal(1.0, 40.0)),
    ),
    "replay": Kind(
        "{segments} segments through `restore_command`, against `archive-async=y`",
        "s",
        {95.0: Goal(2.0)},
    ),
    "info": Kind("info", "s", {0.0: Goal(1.0), 20.0: Goal(1.0), 95.0: Goal(3.0)}),
    "memory": Kind(
        "memory of the idle archiver, PSS", "MiB", dict.fromkeys(ALWAYS, Goal(below=60.0))
    ),
}

Row = t.Mapping[str, t.Any]


def ratios(row: Row) -> list[float]:
    """Of each round: the peer's time / ours."""
    return [theirs / ours for ours, theirs in zip(row["ours"], row["peer"])]


def reached(row: Row) -> bool | None:
    """Whether the row's goal is; None where there is none."""
    goal = KINDS[row["what"]].goals.get(row["rtt"])
    if goal is None:
        return None
    if goal.ratio is not None and statistics.median(ratios(row)) < goal.ratio:
        return False
    return goal.below is None or statistics.median(row["ours"]) < goal.below


def promised(row: Row) -> str:
    """The goal in words."""
    kind = KINDS[row["what"]]
    goal = kind.goals.get(row["rtt"], Goal())
    parts = [] if goal.ratio is None else [f"{goal.ratio:g} ×"]
    if goal.below is not None:
        parts.append(f"under {goal.below:g} {kind.unit}")
    return " and ".join(parts)


def table(found: Row) -> str:
    """The rows as Markdown; times are medians, and beside the ratio stand its least and most."""
    lines = [
        "| what | RTT | ours | peer | ratio (least to most) | goal | reached | CPU s ours/peer "
        "| load |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    order = list(KINDS)
    for row in sorted(found["rows"], key=lambda row: (order.index(row["what"]), row["rtt"])):
        kind = KINDS[row["what"]]
        mark = {None: "", True: "yes", False: "**no**"}[reached(row)]
        pairs = ratios(row)
        cells = [
            kind.name.format(**found),
            f"{row['rtt']:.0f} ms",
            _median(row["ours"], kind.unit)
            + (f" (RSS {statistics.median(row['rss']):.0f})" if "rss" in row else ""),
            _median(row["peer"], kind.unit) if pairs else "",
            _spread(pairs) if pairs else "",
            promised(row),
            mark,
            " / ".join(f"{statistics.median(used):.2f}" for used in row["cpu"].values()),
            f"{min(row['load']):.0f}-{max(row['load']):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(pairs: t.Sequence[float]) -> str:
    return f"{statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"


def _median(values: t.Sequence[float], unit: str) -> str:
    digits = {"s": 2, "ms": 1, "MiB": 0}[unit]
    return f"{statistics.median(values):.{digits}f} {unit}"


def main() -> None:
    """Write the page's part and the data."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "tests" / "output" / "bench-wal.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    head = f"Measured {found['date']}; {found['rounds']} rounds in turns. {versions(found)}."
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put(page, BEGIN, END, [head, table(found)]), encoding="utf-8")
    DATA.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
