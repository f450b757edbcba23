# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archiver does, as data, as text and as Prometheus metrics (pure)."""

from __future__ import annotations

import typing as t
from datetime import datetime

from ..version import VERSION


class LastError(t.NamedTuple):
    """The last thing that went wrong, and when, in seconds of the epoch."""

    message: str
    code: int
    time: float


class RepositoryStatus(t.NamedTuple):
    """One repository. Sizes are bytes, times seconds."""

    key: int
    reachable: bool
    sessions: int
    lag_segments: int
    lag_bytes: int
    lag_seconds: float
    oldest: str | None
    """The first file that it does not have yet."""
    rate: float
    """Bytes a second (of WAL, before compression) over the last minute."""
    files: int
    bytes: int
    error: LastError | None
    success: float | None = None
    """When a file was last found to be stored, in seconds of the epoch; None for never."""


class FetchStatus(t.NamedTuple):
    """What was fetched for a recovery since the start, and how many files wait for it now."""

    files: int = 0
    bytes: int = 0
    ready: int = 0
    processes: int = 0


class Status(t.NamedTuple):
    """The archiver of one stanza."""

    stanza: str
    pid: int
    started: float
    repositories: tuple[RepositoryStatus, ...]
    fetched: FetchStatus = FetchStatus()


def as_dict(status: Status) -> dict[str, object]:
    """For JSON."""
    return {
        "stanza": status.stanza,
        "pid": status.pid,
        "started": status.started,
        "version": VERSION,
        "fetched": status.fetched._asdict(),
        "repositories": [
            {**row._asdict(), "error": None if row.error is None else row.error._asdict()}
            for row in status.repositories
        ],
    }


def from_dict(value: t.Mapping[str, t.Any]) -> Status:
    """The status again."""
    rows = tuple(
        RepositoryStatus(
            **{**row, "error": None if row["error"] is None else LastError(**row["error"])}
        )
        for row in value["repositories"]
    )
    fetched = FetchStatus(**value.get("fetched", {}))
    return Status(value["stanza"], value["pid"], value["started"], rows, fetched)


def text(status: Status) -> str:
    """For people."""
    lines = [
        f"stanza: {status.stanza}",
        f"    archiver: running since {_time(status.started)}, process {status.pid}",
    ]
    for row in status.repositories:
        state = "ok" if row.reachable else "not reachable"
        lines += ["", f"    repo{row.key}: {state}, {_count(row.sessions, 'session')}"]
        if row.lag_segments:
            lines.append(
                f"        behind: {_count(row.lag_segments, 'file')}, {row.lag_bytes} bytes,"
                f" {row.lag_seconds:.0f} s (oldest {row.oldest})"
            )
        else:
            lines.append("        behind: nothing")
        lines.append(
            f"        sent: {_count(row.files, 'file')}, {row.bytes} bytes,"
            f" {row.rate / 1e6:.1f} MB/s in the last minute"
        )
        if row.success is not None:
            lines.append(f"        last stored: {_time(row.success)}")
        if row.error is not None:
            message = row.error.message.replace("\n", "\n            ")
            lines.append(f"        last error: {_time(row.error.time)} [{row.error.code:03d}]")
            lines.append(f"            {message}")
    fetched = status.fetched
    if fetched.files or fetched.processes:
        lines += [
            "",
            f"    fetched for recovery: {_count(fetched.files, 'file')}, {fetched.bytes} bytes,"
            f" {_count(fetched.ready, 'file')} ahead",
        ]
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _time(when: float) -> str:
    return f"{datetime.fromtimestamp(when):%Y-%m-%d %H:%M:%S}"


# Name without prefix, type, help, value of a repository.
_METRICS: tuple[tuple[str, str, str, t.Callable[[RepositoryStatus], float]], ...] = (
    ("up", "gauge", "Whether the repository is reachable.", lambda row: int(row.reachable)),
    ("sessions", "gauge", "Open sessions.", lambda row: row.sessions),
    (
        "lag_segments",
        "gauge",
        "WAL files that are ready and not in the repository.",
        lambda row: row.lag_segments,
    ),
    ("lag_bytes", "gauge", "The size of those files.", lambda row: row.lag_bytes),
    (
        "lag_seconds",
        "gauge",
        "For how long the oldest of them has been ready.",
        lambda row: row.lag_seconds,
    ),
    ("files_total", "counter", "WAL files sent.", lambda row: row.files),
    ("bytes_total", "counter", "WAL sent, before compression.", lambda row: row.bytes),
    (
        "last_success_timestamp_seconds",
        "gauge",
        "When a WAL file was last stored; 0 for never.",
        lambda row: row.success or 0,
    ),
    (
        "last_error_timestamp_seconds",
        "gauge",
        "When something last went wrong; 0 for never.",
        lambda row: 0 if row.error is None else row.error.time,
    ),
)

# The same of the archiver.
_OWN_METRICS: tuple[tuple[str, str, str, t.Callable[[Status], float]], ...] = (
    ("fetched_files_total", "counter", "WAL files fetched.", lambda row: row.fetched.files),
    ("fetched_bytes_total", "counter", "WAL fetched.", lambda row: row.fetched.bytes),
    ("fetched_ready_files", "gauge", "Fetched files that wait.", lambda row: row.fetched.ready),
    ("start_time_seconds", "gauge", "Since when the archiver runs.", lambda row: row.started),
)


def metrics(status: Status, now: float) -> str:
    """For Prometheus' node exporter, in its text format, as of ``now`` (seconds of the epoch)."""
    lines: list[str] = []
    stanza = f'stanza="{_label(status.stanza)}"'

    def family(name: str, kind: str, help_text: str, samples: t.Mapping[str, float]) -> None:
        full = f"pgsftp_archiver_{name}"
        lines.extend((f"# HELP {full} {help_text}", f"# TYPE {full} {kind}"))
        lines.extend(f"{full}{{{labels}}} {_number(row)}" for labels, row in samples.items())

    for name, kind, help_text, of_repository in _METRICS:
        rows = {f'{stanza},repo="{row.key}"': of_repository(row) for row in status.repositories}
        family(name, kind, help_text, rows)
    for name, kind, help_text, value in _OWN_METRICS:
        family(name, kind, help_text, {stanza: value(status)})
    # One that was killed leaves its last figures behind, which look well for ever.
    help_text = "When these metrics were written."
    family("last_update_timestamp_seconds", "gauge", help_text, {stanza: now})
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """All digits of a whole number, and milliseconds."""
    return str(int(value)) if value == int(value) else f"{value:.3f}"


def _label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
