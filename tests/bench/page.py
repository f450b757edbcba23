# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make docs/performance.md and its plot of what tests/bench/run.py measured.

    python tests/bench/page.py [FILE]
    python tests/bench/page.py --slow FILE    # the same on a slower machine: ratios alone

Only what stands between the marks of the page is written anew.
"""

from __future__ import annotations

import json
import statistics
import sys
import typing as t
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "performance.md"
PLOT = TOP / "docs" / "performance.svg"
DATA = TOP / "docs" / "performance.json"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SLOW = TOP / "docs" / "performance-slow.json"
SLOW_BEGIN, SLOW_END = "<!-- measured slow: begin -->", "<!-- measured slow: end -->"

NAMES = {
    "full": "full backup, empty cluster",
    "incr": "incremental, nothing changed",
    "restore": "restore of it",
    "delta restore": "delta restore, nothing changed",
    "full 1.3 GB": "full backup, 1.3 GB",
    "restore 1.3 GB": "restore of the 1.3 GB",
    "delta restore 1.3 GB": "delta restore of it, nothing changed",
    "full 10 000 files": "full backup, 10 000 files of 8 KiB more, no bundles",
    "full beside the archiver": "full backup, beside the archiver",
    "incr beside the archiver": "incremental, nothing changed, beside the archiver",
    "restore beside the archiver": "restore of it, beside the archiver",
    "delta restore beside the archiver": "delta restore, nothing changed, beside the archiver",
    "check beside the archiver": "check, beside the archiver",
    "verify beside the archiver": "verify, beside the archiver",
    "info": "info",
    "check": "check, with a WAL segment",
    "verify": "verify",
    "expire": "expire of one unbundled full",
    "file up": "one file up, against `sftp`",
    "file down": "one file down, against `sftp`",
}
# What is wanted, by the milliseconds of a round trip.
GOALS: dict[str, dict[float, float]] = {
    "full": {0: 1.3, 20: 3.5, 95: 9},
    "full 1.3 GB": {0: 1.25, 20: 2, 95: 4},
    "incr": {0: 1, 20: 3, 95: 8},
    "restore 1.3 GB": {0: 1.2, 20: 1.5, 95: 2.5},
    "delta restore": {0: 1, 20: 2, 95: 2},
    "delta restore 1.3 GB": {0: 1, 20: 2, 95: 2},
    "info": {0: 0.5, 20: 1.3, 95: 2},
    "check": {0: 0.5, 20: 1.3, 95: 2},
    "verify": {0: 1, 20: 10, 95: 20},
    "expire": {0: 1, 20: 10, 95: 30},
    "file up": {0: 1, 20: 1.1, 95: 3},
    "file down": {0: 1.2, 20: 1.5, 95: 3.5},
}
# The same where the archiver lends a session.
GOALS.update({f"{what} beside the archiver": row for what, row in GOALS.items()})
# The same in seconds, where the peer is not measured.
BOUNDS: dict[str, dict[float, float]] = {"full 10 000 files": {95: 30}}
COLOURS = {0.0: "#7a9e7e", 20.0: "#4f7cac", 95.0: "#c0563f"}


def table(found: dict[str, t.Any]) -> str:
    """The rows as Markdown; seconds are medians."""
    lines = [
        "| what | RTT | ours | peer | ratio | goal | rounds | CPU s ours/peer | MiB ours/peer "
        "| load | on |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    letters = processors(found)
    for row in ordered(found):
        sides = [side for side in ("ours", "peer") if side in row]
        peer, ratio = "", ""
        if "peer" in row:
            peer, ratio = f"{statistics.median(row['peer']):.2f} s", f"{row['ratio']:.2f}"
        lines.append(
            f"| {NAMES[row['what']]} | {row['rtt']:.0f} ms "
            f"| {statistics.median(row['ours']):.2f} s | {peer} | {ratio} | {goal(row)} "
            f"| {len(row['ours'])} "
            f"| {' / '.join(format(row['cpu'][side], '.2f') for side in sides)} "
            f"| {' / '.join(str(row['rss'][side] // 1024) for side in sides)} "
            f"| {min(row['load']):.0f}-{max(row['load']):.0f} | {letters[row['processor']]} |"
        )
    return "\n".join(lines)


def ratios(found: dict[str, t.Any]) -> str:
    """The ratios and the goals by distance, as Markdown; seconds where the peer is not measured."""
    distances = sorted({row["rtt"] for row in found["rows"]})
    cells: dict[str, dict[float, str]] = {}
    for row in ordered(found):
        text = (
            f"{row['ratio']:.2f}" if "ratio" in row else f"{statistics.median(row['ours']):.1f} s"
        )
        wanted = goal(row)
        cells.setdefault(row["what"], {})[row["rtt"]] = f"{text} ({wanted})" if wanted else text
    return "\n".join(
        [
            "| what | " + " | ".join(f"{rtt:.0f} ms" for rtt in distances) + " |",
            "|---" * (len(distances) + 1) + "|",
            *(
                f"| {NAMES[what]} | " + " | ".join(row.get(rtt, "") for rtt in distances) + " |"
                for what, row in cells.items()
            ),
        ]
    )


def processors(found: dict[str, t.Any]) -> dict[str, str]:
    """A letter for each, in the order of the rows: a ratio is of one machine, and only that."""
    names = dict.fromkeys(row["processor"] for row in ordered(found))
    return dict(zip(names, "ABCDEFGH"))


def goal(row: dict[str, t.Any]) -> str:
    """The ratio or the seconds that are wanted, and whether it is reached; empty where none is."""
    wanted = GOALS.get(row["what"], {}).get(row["rtt"])
    if wanted is not None:
        return f"{wanted:g} {'reached' if row['ratio'] >= wanted else 'missed'}"
    bound = BOUNDS.get(row["what"], {}).get(row["rtt"])
    if bound is not None:
        in_time = statistics.median(row["ours"]) < bound
        return f"under {bound:g} s {'reached' if in_time else 'missed'}"
    return ""


def ordered(found: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """By kind, then by distance."""
    order = list(NAMES)
    return sorted(found["rows"], key=lambda row: (order.index(row["what"]), row["rtt"]))


def plot(found: dict[str, t.Any]) -> str:
    """Bars of the ratios, one for each row that has one; the line is where both are as fast."""
    rows = [row for row in ordered(found) if "ratio" in row]
    most = max(2.0, *(row["ratio"] for row in rows))
    left, width, step = 250, 420, 22
    height = step * len(rows) + 50
    scale = width / most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="16">times as fast as the peer (wall time of the peer / ours)</text>',
    ]
    for number, row in enumerate(rows):
        top = 28 + step * number
        name = f"{NAMES[row['what']].replace('`', '')}, {row['rtt']:.0f} ms"
        long = row["ratio"] * scale
        parts += [
            f'<text x="{left - 8}" y="{top + 13}" text-anchor="end">{name}</text>',
            f'<rect x="{left}" y="{top}" width="{long:.1f}" height="{step - 6}" '
            f'fill="{COLOURS.get(row["rtt"], "#888888")}"/>',
            f'<text x="{left + long + 5:.1f}" y="{top + 13}">{row["ratio"]:.2f}</text>',
        ]
    even = left + scale
    parts.append(
        f'<line x1="{even:.1f}" x2="{even:.1f}" y1="22" y2="{height - 16}" stroke="#333333" '
        'stroke-dasharray="4 3"/>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def versions(found: dict[str, t.Any]) -> str:
    """What was measured, in words."""
    return ", ".join(
        text if name.lower() in text.lower() else f"{name} {text}"
        for name, text in found["versions"].items()
        if name != "processor"
    )


def put(page: str, begin: str, end: str, parts: t.Sequence[str]) -> str:
    """The page with ``parts`` between the two marks."""
    before, mark, rest = page.partition(begin)
    _old, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"the page has no {begin} and {end}")
    return before + "\n\n".join([begin, *parts, end]) + after


def begin(found: dict[str, t.Any]) -> str:
    """When and with what it was measured."""
    repeats = sorted({len(row["ours"]) for row in found["rows"]})
    return (
        f"Measured {found['date']}; {' or '.join(map(str, repeats))} rounds in turns; the one "
        f"file has {found['size']} MiB. {versions(found)}."
    )


def write(found: dict[str, t.Any]) -> None:
    """The page's first table, the plot and the data."""
    parts = [
        begin(found),
        "Processors: " + "; ".join(f"{row} is {name}" for name, row in processors(found).items()),
        table(found),
        "![ratios](performance.svg)",
    ]
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put(page, BEGIN, END, parts), encoding="utf-8")
    PLOT.write_text(plot(found), encoding="utf-8")
    DATA.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def write_slow(found: dict[str, t.Any]) -> None:
    """The ratios of a slower machine, and the data."""
    page = PAGE.read_text(encoding="utf-8")
    parts = [begin(found), ratios(found)]
    PAGE.write_text(put(page, SLOW_BEGIN, SLOW_END, parts), encoding="utf-8")
    SLOW.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write what is asked for."""
    words = sys.argv[1:]
    is_slow = words[:1] == ["--slow"]
    named = words[1:] if is_slow else words
    file = Path(named[0]) if named else TOP / "tests" / "output" / "bench.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    (write_slow if is_slow else write)(found)


if __name__ == "__main__":
    main()
