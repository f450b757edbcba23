# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``info`` tells, as pgBackRest prints it (repository reference, section 18). Pure."""

from __future__ import annotations

import typing as t
from datetime import datetime, tzinfo

from . import label as labels
from .report import DATABASE_MISMATCH, MISSING_STANZA_PATH, MIXED, OK, OTHER

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .report import Report

NO_STANZAS = "No stanzas exist in the repository.\n"

_UNITS = ("KB", "MB", "GB")


def render_text(
    reports: Sequence[Report], *, backup_set: str | None = None, zone: tzinfo | None = None
) -> str:
    """All stanzas; ``backup_set`` is the one of ``--set``. ``zone`` None is that of the host."""
    if not reports:
        return NO_STANZAS
    texts = ("".join(f"{line}\n" for line in _stanza(row, backup_set, zone)) for row in reports)
    return "\n".join(texts)


def size_text(size: int) -> str:
    """``1.5KB``: at most one decimal, rounded half up."""
    if size < 1024:
        return f"{size}B"
    power = 1
    while power < len(_UNITS) and size >= 1024 ** (power + 1):
        power += 1
    unit = 1024**power
    whole, tenth = divmod((size * 20 + unit) // (2 * unit), 10)
    return f"{whole}.{tenth}{_UNITS[power - 1]}" if tenth else f"{whole}{_UNITS[power - 1]}"


def time_text(timestamp: int, zone: tzinfo | None) -> str:
    """``2026-11-22 11:07:20+00``, with minutes in the offset only where it has any."""
    when = datetime.fromtimestamp(timestamp, zone).astimezone(zone)
    offset = when.strftime("%z")
    offset = offset[:3] if offset.endswith("00") else f"{offset[:3]}:{offset[3:5]}"
    return when.strftime("%Y-%m-%d %H:%M:%S") + offset


def _stanza(report: Report, backup_set: str | None, zone: tzinfo | None) -> Iterator[str]:
    yield f"stanza: {report['name']}"
    yield from _status(report)
    if report["status"]["code"] != MISSING_STANZA_PATH:
        yield from _cipher(report)
    detailed = backup_set is not None
    groups = _groups(report)
    if detailed and report["backup"]:
        groups = [group for group in groups if group.backups]
    for group in groups:
        if not (group.current or group.backups or _with_wal(group.archives)):
            continue
        yield ""
        yield f"    db ({'current' if group.current else 'prior'})"
        yield f"        wal archive min/max ({group.version}): {_wal(group.archives)}"
        for row in group.backups:
            yield ""
            yield from _backup(row, detailed=detailed, zone=zone)


def _database(row: Report) -> tuple[int, int]:
    return row["database"]["repo-key"], row["database"]["id"]


class _Group(t.NamedTuple):
    """A cluster, in whichever repositories it is."""

    version: str
    current: bool
    archives: list[Report]
    backups: list[Report]


def _groups(report: Report) -> list[_Group]:
    """The clusters in the order in which they first appear, and last the current one.

    Where repositories differ, the first one that can be read says which is the current one.
    """
    clusters: dict[tuple[int, str], set[tuple[int, int]]] = {}
    for row in report["db"]:
        cluster = (row["system-id"], row["version"])
        clusters.setdefault(cluster, set()).add((row["repo-key"], row["id"]))
    if not clusters:
        return []
    first = report["db"][0]["repo-key"]
    newest = [row for row in report["db"] if row["repo-key"] == first][-1]
    current = (newest["system-id"], newest["version"])
    groups = [
        _Group(
            cluster[1],
            cluster == current,
            [row for row in report["archive"] if _database(row) in ids],
            [row for row in report["backup"] if _database(row) in ids],
        )
        for cluster, ids in clusters.items()
    ]
    return sorted(groups, key=lambda group: group.current)


def _status(report: Report) -> Iterator[str]:
    status = report["status"]
    running = _running(status["lock"])
    code = status["code"]
    if code in (OK, MIXED):
        word = "ok" if code == OK else "mixed"
        yield f"    status: {word}{f' ({running})' if running else ''}"
    else:
        yield f"    status: error ({status['message']}{f', {running}' if running else ''})"
    copying = status["lock"]["backup"].get("repo", ())
    if len(copying) > 1:
        for repo in copying:
            yield f"        repo{repo['key']} backup: {_percent(repo)} complete"
    if code in (MIXED, DATABASE_MISMATCH, OTHER):
        yield from _repositories(report["repo"])


def _repositories(repos: Sequence[Report]) -> Iterator[str]:
    """How each repository is; a single one needs no line but for its causes."""
    several = len(repos) > 1
    for repo in repos:
        status = repo["status"]
        head = f"        repo{repo['key']}: " if several else "    status: "
        if status["code"] == OK:
            yield f"{head}ok"
        elif status["code"] != OTHER:
            yield f"{head}error ({status['message']})"
        else:
            if several:
                yield f"{head}error (other)"
            for line in status["message"].split("\n"):
                yield f"{' ' * (15 if several else 12)}{line}"


def _percent(state: Report) -> str:
    percent = 10000 * state["size-cplt"] // state["size"]
    return f"{percent // 100}.{percent % 100:02d}%"


def _running(lock: Report) -> str:
    parts = []
    for key, name in (("backup", "backup/expire"), ("restore", "restore")):
        state = lock[key]
        if state["held"]:
            text = f"{name} running"
            if state.get("size"):
                text += f" - {_percent(state)} complete"
            parts.append(text)
    return ", ".join(parts)


def _cipher(report: Report) -> Iterator[str]:
    yield f"    cipher: {report['cipher']}"
    if report["cipher"] == "mixed":
        for repo in report["repo"]:
            yield f"        repo{repo['key']}: {repo['cipher']}"


def _wal(archives: Sequence[Report]) -> str:
    present = _with_wal(archives)
    if not present:
        return "none present"
    return f"{min(row['min'] for row in present)}/{max(row['max'] for row in present)}"


def _with_wal(archives: Sequence[Report]) -> list[Report]:
    return [row for row in archives if row["min"] is not None]


def _backup(row: Report, *, detailed: bool, zone: tzinfo | None) -> Iterator[str]:
    yield f"        {row['type']} backup: {row['label']}"
    for line in _backup_lines(row, detailed, zone):
        yield f"            {line}"


def _backup_lines(row: Report, detailed: bool, zone: tzinfo | None) -> Iterator[str]:
    start, stop = (time_text(row["timestamp"][end], zone) for end in ("start", "stop"))
    yield f"timestamp start/stop: {start} / {stop}"
    wal = row["archive"]
    if wal["start"] is None or wal["stop"] is None:
        yield "wal start/stop: n/a"
    else:
        yield f"wal start/stop: {wal['start']} / {wal['stop']}"
    if detailed and "lsn" in row:
        yield f"lsn start/stop: {row['lsn']['start']} / {row['lsn']['stop']}"
    info = row["info"]
    yield (
        f"database size: {size_text(info['size'])}, "
        f"database backup size: {size_text(info['delta'])}"
    )
    repository = info["repository"]
    whole = f"backup set size: {size_text(repository['size'])}, " if "size" in repository else ""
    key = row["database"]["repo-key"]
    yield f"repo{key}: {whole}backup size: {size_text(repository['delta'])}"
    if row["reference"]:
        if detailed:
            yield f"backup reference list: {', '.join(row['reference'])}"
        else:
            yield f"backup reference total: {_reference_total(row['reference'])}"
    if detailed:
        yield from _details(row)
    if "error-list" in row:
        yield f"error list: {', '.join(row['error-list'])}"
    elif row.get("error"):
        yield "error(s) detected during backup"
    if detailed and row.get("annotation"):
        yield "annotation(s)"
        for name, text in sorted(row["annotation"].items()):
            yield f"    {name}: {text}"


def _reference_total(references: Sequence[str]) -> str:
    kinds = [labels.type_of(reference) for reference in references]
    counts = ((kind, kinds.count(kind)) for kind in (labels.FULL, labels.DIFF, labels.INCR))
    return ", ".join(f"{count} {kind}" for kind, count in counts if count)


def _details(row: Report) -> Iterator[str]:
    if "database-ref" not in row:
        return
    databases = [f"{ref['name']} ({ref['oid']})" for ref in row["database-ref"]]
    yield f"database list: {', '.join(databases) or 'none'}"
    if row["link"]:
        yield "symlinks:"
        for link in row["link"]:
            yield f"    {link['name']} => {link['destination']}"
    if row["tablespace"]:
        yield "tablespaces:"
        for space in row["tablespace"]:
            yield f"    {space['name']} ({space['oid']}) => {space['destination']}"
