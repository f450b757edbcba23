# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make docs/performance.md and its plot of what tests/bench/run.py measured.

    python tests/bench/page.py [FILE]

Only what stands between the two marks of the page is written anew.
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

NAMES = {
    "full": "full backup, empty cluster",
    "incr": "incremental, nothing changed",
    "restore": "restore of it",
    "delta restore": "delta restore, nothing changed",
    "full 1.3 GB": "full backup, 1.3 GB",
    "restore 1.3 GB": "restore of the 1.3 GB",
    "delta restore 1.3 GB": "delta restore of it, nothing changed",
    "info": "info",
    "check": "check, with a WAL segment",
    "verify": "verify",
    "expire": "expire of one unbundled full",
    "file up": "one file up, against `sftp`",
    "file down": "one file down, against `sftp`",
}
COLOURS = {0.0: "#7a9e7e", 20.0: "#4f7cac", 95.0: "#c0563f"}


def table(found: dict[str, t.Any]) -> str:
    """The rows as Markdown; seconds are medians."""
    lines = [
        "| what | RTT | ours | peer | ratio | CPU s ours/peer | MiB ours/peer | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ordered(found):
        cpu, rss = row["cpu"], row["rss"]
        lines.append(
            f"| {NAMES[row['what']]} | {row['rtt']:.0f} ms "
            f"| {statistics.median(row['ours']):.2f} s | {statistics.median(row['peer']):.2f} s "
            f"| {row['ratio']:.2f} | {cpu['ours']:.2f} / {cpu['peer']:.2f} "
            f"| {rss['ours'] // 1024} / {rss['peer'] // 1024} "
            f"| {min(row['load']):.0f}-{max(row['load']):.0f} |"
        )
    return "\n".join(lines)


def ordered(found: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """By kind, then by distance."""
    order = list(NAMES)
    return sorted(found["rows"], key=lambda row: (order.index(row["what"]), row["rtt"]))


def plot(found: dict[str, t.Any]) -> str:
    """Bars of the ratios, one for each row; the line is where both are as fast."""
    rows = ordered(found)
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


def main() -> None:
    """Write page, plot and data."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "tests" / "output" / "bench.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    versions = ", ".join(
        text if name.lower() in text.lower() else f"{name} {text}"
        for name, text in found["versions"].items()
    )
    repeats = sorted({len(row["ours"]) for row in found["rows"]})
    text = "\n\n".join(
        [
            BEGIN,
            f"Measured {found['date']}; {' or '.join(map(str, repeats))} rounds in turns; the one "
            f"file has {found['size']} MiB. {versions}.",
            table(found),
            "![ratios](performance.svg)",
            END,
        ]
    )
    page = PAGE.read_text(encoding="utf-8")
    before, _mark, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + text + after, encoding="utf-8")
    PLOT.write_text(plot(found), encoding="utf-8")
    DATA.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
