# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawings of the report as SVG: the line of time, and sizes over time.

Colours are classes, which the page's style sheet sets for light and dark. What a drawing shows is
in a table beside it, too; colour is never the only sign.
"""

from __future__ import annotations

import html
import typing as t

from .report_geometry import (
    Interval,
    Scale,
    extent,
    merged,
    size_text,
    size_ticks,
    spaced,
    time_text,
    time_ticks,
)

WIDTH = 960
_LEFT = 120
_RIGHT = WIDTH - 24
_LANE = 44
_BAR = 18
_CHART = 110

Data = t.Mapping[str, t.Any]


def moments(stanza: Data) -> list[float]:
    """Every time that the drawings show."""
    found: list[float] = []
    for row in stanza["info"].get("backup", []):
        found += [row["timestamp"]["start"], row["timestamp"]["stop"]]
    for line in stanza["wal"]:
        found += [moment for row in line["spans"] for moment in (row["start"], row["stop"])]
    return found


def windows(stanza: Data, repo: int | None = None) -> list[Interval]:
    """The times to which one can recover; of one repository, or of all together."""
    return merged(
        Interval(row["start"], row["stop"])
        for line in stanza["wal"]
        if repo in (None, line["repo"])
        for row in line["windows"]
        if row["stop"] is not None
    )


def gaps(stanza: Data) -> list[dict[str, t.Any]]:
    """The gaps that nothing explains, with their repository and archive."""
    return [
        {**gap, "repo": line["repo"], "id": line["id"]}
        for line in stanza["wal"]
        for gap in line["gaps"]
        if gap["reason"] is None
    ]


def time_line(stanza: Data, name: str) -> str:
    """Windows, backups and WAL of a stanza; ``name`` begins the ids in the drawing."""
    whole = extent(moments(stanza))
    scale = Scale(whole.start, whole.stop, _LEFT, _RIGHT)
    repos = sorted(
        {line["repo"] for line in stanza["wal"]}
        | {row["database"]["repo-key"] for row in stanza["info"].get("backup", [])}
    )
    several = len(repos) > 1
    parts: list[str] = []
    y = 8.0
    for repo in repos:
        suffix = f" (repo {repo})" if several else ""
        parts += _lane(y, "recoverable" + suffix)
        for row in windows(stanza, repo):
            tip = f"recoverable from {time_text(row.start)} to {time_text(row.stop)}"
            parts.append(_bar(scale, row.start, row.stop, y, "window", tip))
        y += _LANE
        parts += _lane(y, "backups" + suffix)
        of_repo = [row for row in stanza["info"]["backup"] if row["database"]["repo-key"] == repo]
        parts += _backups(of_repo, scale, y)
        y += _LANE
        for line in (line for line in stanza["wal"] if line["repo"] == repo):
            parts += _lane(y, f"WAL {line['id']}" + suffix)
            parts += _wal(line, scale, y)
            y += _LANE
    # First what lies below.
    parts = _time_axis(scale, whole, y) + parts
    described = f"Time line of stanza {stanza['name']}: " + _in_words(stanza)
    return _svg(name, "Time line of backups and WAL", described, y + 26, parts)


def _in_words(stanza: Data) -> str:
    spans = [
        f"from {time_text(row.start)} to {time_text(row.stop)}" for row in windows(stanza)
    ] or ["to no time at all"]
    count = len(gaps(stanza))
    return (
        f"{len(stanza['info'].get('backup', []))} backups; recoverable {', and '.join(spans)} UTC; "
        f"{count or 'no'} unexplained gap{'' if count == 1 else 's'} in the WAL."
    )


def _lane(y: float, label: str) -> list[str]:
    middle = y + _LANE / 2
    return [
        f'<line class="lane" x1="{_LEFT}" x2="{_RIGHT}" y1="{middle:g}" y2="{middle:g}"/>',
        f'<text class="name" x="{_LEFT - 12}" y="{middle + 4:g}" text-anchor="end">'
        f"{html.escape(label)}</text>",
    ]


def _bar(
    scale: Scale, start: float, stop: float, y: float, kind: str, tip: str, least: float = 3
) -> str:
    left, width = scale.span(start, stop, least)
    top = y + (_LANE - _BAR) / 2
    return (
        f'<rect class="{kind}" x="{left:g}" y="{top:g}" width="{width:g}" height="{_BAR}" rx="2">'
        f"<title>{html.escape(tip)}</title></rect>"
    )


def _backups(rows: t.Sequence[Data], scale: Scale, y: float) -> list[str]:
    middle = y + _LANE / 2
    parts = []
    full = [row for row in rows if row["type"] == "full"]
    labelled = spaced([scale.at(row["timestamp"]["stop"]) for row in full], 36)
    # Full ones last: they lie on top.
    for row in sorted(rows, key=lambda row: row["type"] == "full"):
        x = scale.at(row["timestamp"]["stop"])
        size = row["info"]["repository"]["delta"]
        tip = (
            f"{row['label']}, {row['type']}, {time_text(row['timestamp']['stop'])},"
            f" {size_text(size)} added"
        )
        bad = " bad" if row.get("error") else ""
        parts.append(
            f'<g class="{row["type"]}{bad}">{_mark(row["type"], x, middle)}'
            f"<title>{html.escape(tip)}</title></g>"
        )
    parts += [
        f'<text class="small" x="{scale.at(row["timestamp"]["stop"]):g}" y="{y + 9:g}"'
        f' text-anchor="middle">full</text>'
        for row, shown in zip(full, labelled)
        if shown
    ]
    return parts


def _mark(kind: str, x: float, y: float) -> str:
    """A square for a full backup, a triangle for a differential one, else a disc."""
    if kind == "full":
        return f'<rect x="{x - 7:g}" y="{y - 7:g}" width="14" height="14" rx="2"/>'
    if kind == "diff":
        return f'<path d="M{x:g} {y - 7:g}l7 12.5h-14z"/>'
    return f'<circle cx="{x:g}" cy="{y:g}" r="5"/>'


def _wal(line: Data, scale: Scale, y: float) -> list[str]:
    parts = [
        _bar(
            scale, row["start"], row["stop"], y, "wal",
            f"{row['first']} to {row['last']}, {row['segments']} segments,"
            f" {size_text(row['size'])}",
        )
        for row in line["spans"]
    ]  # fmt: skip
    for row in line["gaps"]:
        ends = [moment for moment in (row["start"], row["stop"]) if moment is not None]
        if not ends:
            continue
        tip = f"missing: {row['first']} to {row['last']}, {row['segments']} segments"
        if row["reason"] is not None:
            parts.append(_bar(scale, min(ends), max(ends), y, "kept", f"{tip}; {row['reason']}"))
            continue
        parts.append(_bar(scale, min(ends), max(ends), y, "gap", tip, least=8))
        left, width = scale.span(min(ends), max(ends), 8)
        parts.append(
            f'<text class="small gapname" x="{left + width / 2:g}" y="{y + 9:g}"'
            ' text-anchor="middle">gap</text>'
        )
    return parts


def _time_axis(scale: Scale, whole: Interval, y: float) -> list[str]:
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:g}" y2="{y:g}"/>']
    for tick in time_ticks(whole.start, whole.stop):
        x = scale.at(tick.value)
        parts += [
            f'<line class="grid" x1="{x:g}" x2="{x:g}" y1="4" y2="{y + 4:g}"/>',
            f'<text class="small" x="{x:g}" y="{y + 18:g}" text-anchor="middle">'
            f"{tick.label}</text>",
        ]
    return parts


def sizes(stanza: Data, name: str) -> str:
    """The cluster's size at each backup as a line, what each added to the repository as bars."""
    rows = sorted(stanza["info"]["backup"], key=lambda row: row["timestamp"]["stop"])
    whole = extent(row["timestamp"]["stop"] for row in rows)
    scale = Scale(whole.start, whole.stop, _LEFT + 12, _RIGHT - 12)
    parts: list[str] = []
    bottom = 0.0
    for title, key in (("cluster", "cluster"), ("added", "added")):
        values = [
            row["info"]["size"] if key == "cluster" else row["info"]["repository"]["delta"]
            for row in rows
        ]
        top, bottom = bottom + 30, bottom + 30 + _CHART
        ticks = size_ticks(max(values, default=1))
        height = Scale(0, ticks[-1].value, bottom, top)
        caption = "size of the cluster" if title == "cluster" else "added to the repository"
        parts.append(f'<text class="name" x="{_LEFT}" y="{top - 10:g}">{caption}</text>')
        for tick in ticks:
            y = height.at(tick.value)
            parts += [
                f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:g}" y2="{y:g}"/>',
                f'<text class="small" x="{_LEFT - 8}" y="{y + 4:g}" text-anchor="end">'
                f"{tick.label}</text>",
            ]
        if key == "cluster":
            points = [
                (scale.at(row["timestamp"]["stop"]), height.at(value))
                for row, value in zip(rows, values)
            ]
            line = " ".join(f"{x:g},{y:g}" for x, y in points)
            parts.append(f'<polyline class="size" points="{line}"/>')
            parts += [
                f'<circle class="sizedot" cx="{x:g}" cy="{y:g}" r="3.5">'
                f"<title>{html.escape(row['label'])}: {size_text(value)}</title></circle>"
                for (x, y), row, value in zip(points, rows, values)
            ]
        else:
            for row, value in zip(rows, values):
                x, y = scale.at(row["timestamp"]["stop"]), height.at(value)
                y = min(y, bottom - 1)
                parts.append(
                    f'<rect class="{row["type"]}" x="{x - 4:g}" y="{y:g}" width="8"'
                    f' height="{bottom - y:g}"><title>{html.escape(row["label"])}:'
                    f" {size_text(value)}</title></rect>"
                )
        bottom += 12
    parts += _size_axis(scale, whole, bottom - 12)
    described = (
        f"Sizes of stanza {stanza['name']} at {len(rows)} backups: the cluster had"
        f" {size_text(rows[-1]['info']['size'])} at the last one."
    )
    return _svg(name, "Sizes over time", described, bottom + 22, parts)


def _size_axis(scale: Scale, whole: Interval, y: float) -> list[str]:
    return [
        f'<text class="small" x="{scale.at(tick.value):g}" y="{y + 18:g}" text-anchor="middle">'
        f"{tick.label}</text>"
        for tick in time_ticks(whole.start, whole.stop)
    ]


def _svg(name: str, title: str, described: str, height: float, parts: t.Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(described)}</desc>' + "".join(parts) + "</svg>"
    )
