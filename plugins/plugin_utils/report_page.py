# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page, which asks no other place for anything."""

from __future__ import annotations

import datetime
import html
import typing as t

from .report_drawing import Data, gaps, moments, sizes, time_line, windows
from .report_geometry import size_text, span_text, time_text
from .report_style import STYLE

_DAY = 86400
# How old a proof may become before the page says so.
PROOF_AGE = 31 * _DAY

_KEY = (
    ("window", '<rect class="window" y="4" width="16" height="8" rx="2"/>', "recoverable"),
    ("full", '<rect class="full" x="1" y="1" width="14" height="14" rx="2"/>', "full backup"),
    ("diff", '<path class="diff" d="M8 1l7 13h-14z"/>', "differential"),
    ("incr", '<circle class="incr" cx="8" cy="8" r="5"/>', "incremental"),
    ("wal", '<rect class="wal" y="4" width="16" height="8" rx="2"/>', "WAL"),
    ("gap", '<rect class="gap" y="4" width="16" height="8" rx="2"/>', "WAL missing"),
    ("kept", '<rect class="kept" y="4" x="1" width="14" height="8"/>', "WAL removed by retention"),
)


class Problem(t.NamedTuple):
    """A sentence of the verdict; ``level`` is bad, warn or good."""

    level: str
    text: str


def page(data: Data) -> str:
    """The page. ``data`` is what the filter documents."""
    now = data["generated"]
    title = data.get("title") or "PostgreSQL backups"
    body = [
        f"<header><h1>{html.escape(title)}</h1>",
        f'<p class="faint">{time_text(now)} UTC. All times are UTC.</p></header><main>',
    ]
    missing = data.get("missing") or []
    if missing:
        rows = [Problem("bad", f"{host} could not be asked") for host in missing]
        body.append(_problems(rows))
    for number, stanza in enumerate(data["stanzas"]):
        body.append(_section(stanza, now, f"s{number}"))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        + "".join(body)
        + "</main></body></html>\n"
    )


def problems(stanza: Data, now: float) -> list[Problem]:
    """What is wrong, the worst first; one good sentence when nothing is."""
    info = stanza["info"]
    found: list[Problem] = []
    status = info["status"]
    if status["code"] != 0 and all(repo["status"]["code"] == 0 for repo in info.get("repo", [])):
        found.append(Problem("bad", f"repository: {status['message']}"))
    for repo in info.get("repo", []):
        if repo["status"]["code"] != 0:
            found.append(Problem("bad", f"repository {repo['key']}: {repo['status']['message']}"))
    for gap in gaps(stanza):
        found.append(
            Problem(
                "bad",
                f"WAL is missing: {gap['first']} to {gap['last']} ({_count(gap['segments'])})."
                " No backup before it can be recovered beyond it.",
            )
        )
    ends = [row for line in stanza["wal"] for row in line["windows"] if row["stop"] is None]
    for row in ends:
        found.append(Problem("bad", f"backup {row['label']} lacks WAL: it cannot be restored"))
    for row in info.get("backup", []):
        if row.get("error"):
            found.append(Problem("bad", f"backup {row['label']} holds pages with wrong checksums"))
    found += _server_problems(stanza)
    proof = stanza.get("drill")
    if not proof:
        found.append(Problem("warn", "no drill has proved yet that a restore works"))
    elif not proof.get("ok"):
        reason = proof.get("failed") or "no reason is known"
        found.append(Problem("bad", f"the last drill failed: {reason}"))
    elif now - _proved(proof) > PROOF_AGE:
        found.append(Problem("warn", f"the last drill was {span_text(now - _proved(proof))} ago"))
    found.sort(key=lambda row: row.level != "bad")
    return found or [Problem("good", "nothing is missing")]


def _server_problems(stanza: Data) -> t.Iterator[Problem]:
    server = stanza.get("server")
    if not server:
        yield Problem("warn", "the server could not be asked for its replication")
        return
    archiver = server.get("archiver") or {}
    failed, archived = archiver.get("last_failed_time"), archiver.get("last_archived_time")
    if failed is not None and (archived is None or failed > archived):
        yield Problem(
            "bad", f"archiving fails: {archiver.get('last_failed_wal')} at {time_text(failed)}"
        )
    for row in server.get("standbys") or []:
        if row["state"] != "streaming":
            yield Problem("warn", f"standby {row['name']} does not stream: {row['state']}")
    for slot in server.get("slots") or []:
        if not slot["active"]:
            yield Problem("warn", f"slot {slot['name']} is not in use, and holds WAL back")


def _count(segments: int) -> str:
    return f"{segments} segment{'' if segments == 1 else 's'}"


def _section(stanza: Data, now: float, name: str) -> str:
    heading = f"Stanza {stanza['name']}"
    parts = [
        f'<section aria-labelledby="{name}"><h2 id="{name}">{html.escape(heading)}</h2>',
        f'<p class="faint">asked on {html.escape(stanza["host"])}</p>',
        _problems(problems(stanza, now)),
        _cards(stanza, now),
    ]
    backups = stanza["info"].get("backup", [])
    if moments(stanza):
        parts += ["<h3>Time line</h3>", _key(), _drawn(time_line(stanza, f"{name}-line"))]
    if backups:
        parts += ["<h3>Sizes</h3>", _drawn(sizes(stanza, f"{name}-sizes"))]
    parts += [_backups(stanza), _wal(stanza), _server(stanza), _proof(stanza)]
    return "".join(parts) + "</section>"


def _drawn(svg: str) -> str:
    return f'<div class="draw">{svg}</div>'


def _key() -> str:
    rows = "".join(
        f'<li><svg viewBox="0 0 16 16" aria-hidden="true">{shape}</svg>{label}</li>'
        for _name, shape, label in _KEY
    )
    return f'<ul class="key">{rows}</ul>'


def _problems(rows: t.Sequence[Problem]) -> str:
    words = {"bad": "problem", "warn": "look", "good": "good"}
    items = "".join(
        f'<li class="{row.level}"><strong>{words[row.level]}</strong>{html.escape(row.text)}</li>'
        for row in rows
    )
    return f'<ul class="problems">{items}</ul>'


def _cards(stanza: Data, now: float) -> str:
    backups = stanza["info"].get("backup", [])
    times = windows(stanza)
    rows = []
    if times:
        rows += [
            (time_text(times[0].start), "oldest time to recover to"),
            (time_text(times[-1].stop), f"newest, {span_text(now - times[-1].stop)} ago"),
        ]
    else:
        rows.append(("never", "time to recover to"))
    if backups:
        newest = max(backups, key=lambda row: row["timestamp"]["stop"])
        age = span_text(now - newest["timestamp"]["stop"])
        stored = sum(row["info"]["repository"]["delta"] for row in backups)
        wal = sum(row["size"] for line in stanza["wal"] for row in line["spans"])
        rows += [
            (f"{age} ago", f"newest backup, {newest['type']}"),
            (size_text(stored + wal), f"stored, {size_text(wal)} of it WAL"),
        ]
    proof = stanza.get("drill")
    proved = time_text(_proved(proof)) if proof and proof.get("ok") else "never"
    rows.append((proved, "restore last proved by a drill"))
    items = "".join(
        f"<li><b>{html.escape(value)}</b><span>{html.escape(label)}</span></li>"
        for value, label in rows
    )
    return f'<ul class="cards">{items}</ul>'


class _Cell(t.NamedTuple):
    text: str
    kind: str = ""


def _table(
    heading: str, caption: str, columns: t.Sequence[_Cell], rows: t.Sequence[t.Sequence[_Cell]]
) -> str:
    if not rows:
        return f"<h3>{heading}</h3><p>{html.escape(caption)}</p>"
    head = "".join(f'<th scope="col" class="{cell.kind}">{cell.text}</th>' for cell in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return (
        f'<h3>{heading}</h3><div class="scroll"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: _Cell) -> str:
    text = html.escape(cell.text)
    if cell.kind == "code":
        return f"<td><code>{text}</code></td>"
    return f'<td class="{cell.kind}">{text}</td>' if cell.kind else f"<td>{text}</td>"


def _backups(stanza: Data) -> str:
    ends = {
        (row["label"], line["repo"]): row["stop"]
        for line in stanza["wal"]
        for row in line["windows"]
    }
    columns = [
        _Cell("backup"), _Cell("type"), _Cell("complete"), _Cell("took", "number"),
        _Cell("cluster", "number"), _Cell("added", "number"), _Cell("recovers to"),
        _Cell("repo", "number"),
    ]  # fmt: skip
    found = []
    rows = stanza["info"].get("backup", [])
    for row in sorted(rows, key=lambda row: row["timestamp"]["stop"], reverse=True):
        start, stop = row["timestamp"]["start"], row["timestamp"]["stop"]
        repo = row["database"]["repo-key"]
        end = ends.get((row["label"], repo), "unknown")
        text = end if isinstance(end, str) else "nowhere" if end is None else time_text(end)
        found.append(
            [
                _Cell(row["label"], "code"),
                _Cell(row["type"] + (", wrong pages" if row.get("error") else "")),
                _Cell(time_text(stop)),
                _Cell(span_text(stop - start), "number"),
                _Cell(size_text(row["info"]["size"]), "number"),
                _Cell(size_text(row["info"]["repository"]["delta"]), "number"),
                _Cell(text),
                _Cell(str(repo), "number"),
            ]
        )
    caption = (
        "The newest first. From a backup one can recover to any time between its completion and"
        " the one in the column 'recovers to', by when WAL came into the repository."
        if found
        else "None."
    )
    return _table("Backups", caption, columns, found)


def _wal(stanza: Data) -> str:
    rows = []
    for line in stanza["wal"]:
        pieces = [(row["first"], row, "there") for row in line["spans"]]
        pieces += [(row["first"], row, row["reason"] or "MISSING") for row in line["gaps"]]
        for _first, row, what in sorted(pieces, key=lambda piece: piece[0]):
            rows.append(
                [
                    _Cell(line["id"]),
                    _Cell(row["first"], "code"),
                    _Cell(row["last"], "code"),
                    _Cell(str(row["segments"]), "number"),
                    _Cell(size_text(row["size"]) if "size" in row else "", "number"),
                    _Cell(time_text(row["start"]) if row["start"] is not None else ""),
                    _Cell(time_text(row["stop"]) if row["stop"] is not None else ""),
                    _Cell(what, "wide"),
                    _Cell(str(line["repo"]), "number"),
                ]
            )
    columns = [
        _Cell("archive"), _Cell("first"), _Cell("last"), _Cell("segments", "number"),
        _Cell("stored", "number"), _Cell("from"), _Cell("to"), _Cell("state"),
        _Cell("repo", "number"),
    ]  # fmt: skip
    return _table(
        "WAL",
        "Stretches without a gap, and the gaps between them." if rows else "None.",
        columns,
        rows,
    )


def _server(stanza: Data) -> str:
    server = stanza.get("server")
    if not server:
        return "<h3>Replication</h3><p>The server could not be asked.</p>"
    rows = [
        [
            _Cell(str(row["name"])),
            _Cell(str(row["address"] or "socket")),
            _Cell(str(row["state"])),
            _Cell(str(row["sync"])),
            _Cell("unknown" if row["behind"] is None else size_text(row["behind"]), "number"),
        ]
        for row in server.get("standbys") or []
    ]
    columns = [
        _Cell("standby"), _Cell("address"), _Cell("state"), _Cell("sync"),
        _Cell("behind", "number"),
    ]  # fmt: skip
    caption = "As the primary sees it." if rows else "No standby is connected."
    return _table("Replication", caption, columns, rows)


def _proof(stanza: Data) -> str:
    proof = stanza.get("drill")
    if not proof:
        return (
            "<h3>Last drill</h3><p>None. A backup is worth what its last restore has shown:"
            " run the playbook <code>drill</code>.</p>"
        )
    rows = [
        [_Cell(str(key).replace("_", " ")), _Cell(_value(value), "wide")]
        for key, value in proof.items()
        if value is not None and value != {} and value != []
    ]
    return _table("Last drill", "What it has shown.", [_Cell("what"), _Cell("value")], rows)


def _proved(proof: Data) -> float:
    """When the drill ended; the proof has it as ``2026-11-22T19:35:12Z``."""
    return datetime.datetime.strptime(proof["finished"], "%Y-%m-%dT%H:%M:%S%z").timestamp()


def _value(value: t.Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {item}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return str(value)
