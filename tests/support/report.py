# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data for reports: three weeks of a cluster in which one segment was lost, and one in order."""

from __future__ import annotations

import copy
import datetime
import typing as t

DAY = 86400
NOW = 1795376115
FIRST = NOW - 20 * DAY


def backup(label_time: int, kind: str, size: int, added: int, segment: int) -> dict[str, t.Any]:
    """One, which took 40 seconds."""
    moment = datetime.datetime.fromtimestamp(label_time, tz=datetime.timezone.utc)
    return {
        "label": moment.strftime("%Y%m%d-%H%M%S") + kind[0].upper(),
        "type": kind,
        "timestamp": {"start": label_time, "stop": label_time + 40},
        "info": {"size": size, "delta": added * 4, "repository": {"delta": added}},
        "archive": {"start": name(segment), "stop": name(segment)},
        "database": {"id": 1, "repo-key": 1},
    }


def name(number: int) -> str:
    """A segment of timeline 1."""
    return f"{1:08X}{number // 256:08X}{number % 256:08X}"


def cluster(stanza: str = "demo") -> dict[str, t.Any]:
    """Weekly full, daily incremental, one differential backup; a gap in the third week."""
    backups = []
    for day in range(20):
        kind = "full" if day % 7 == 0 else "diff" if day % 7 == 3 else "incr"
        size = 40_000_000_000 + day * 900_000_000
        added = {"full": 11_000_000_000, "diff": 2_400_000_000, "incr": 500_000_000}[kind]
        backups.append(backup(FIRST + day * DAY, kind, size, added + day * 10**7, 100 + day * 50))
    lost = FIRST + int(16.4 * DAY)
    windows = [
        {
            "label": row["label"],
            "start": row["timestamp"]["stop"],
            "stop": lost if row["timestamp"]["stop"] < lost else NOW - 45,
            "last": name(919) if row["timestamp"]["stop"] < lost else name(1110),
        }
        for row in backups
    ]
    gap = {"first": name(920), "last": name(922), "segments": 3, "reason": None}
    line = {
        "repo": 1,
        "id": "17-1",
        "segment_size": 16777216,
        "spans": [
            span(100, 919, FIRST - 60, lost),
            span(923, 1110, lost + 4 * 3600, NOW - 45),
        ],
        "gaps": [{**gap, "start": lost, "stop": lost + 4 * 3600}],
        "windows": windows,
    }
    return {
        "name": stanza,
        "host": "pg1-srv",
        "info": {
            "name": stanza,
            "status": {"code": 0, "message": "ok"},
            "repo": [{"key": 1, "status": {"code": 0, "message": "ok"}}],
            "backup": backups,
        },
        "wal": [line],
        "server": {
            "standbys": [
                {
                    "name": "pg2-srv",
                    "address": "10.0.0.12",
                    "state": "streaming",
                    "sync": "async",
                    "behind": 0,
                }
            ],
            "slots": [{"name": "pg2_srv", "active": True}],
            "archiver": {
                "last_archived_time": NOW - 45,
                "last_archived_wal": name(1110),
                "last_failed_time": None,
                "last_failed_wal": None,
            },
        },
        "drill": {
            "stanza": stanza,
            "host": "pg2-srv",
            "set": backups[-3]["label"],
            "started": "2026-11-20T19:30:03Z",
            "finished": "2026-11-20T19:35:15Z",
            "seconds": 312,
            "recovered_to": "0/456000A0",
            "amcheck": "ok",
            "rows": {"shop: public.orders": 1200},
            "ok": True,
            "failed": None,
        },
    }


def span(first: int, last: int, start: int, stop: int) -> dict[str, t.Any]:
    """A stretch; a segment takes 4 MB."""
    count = last - first + 1
    return {
        "first": name(first),
        "last": name(last),
        "segments": count,
        "size": count * 4_000_000,
        "start": start,
        "stop": stop,
    }


def whole(stanza: str = "whole") -> dict[str, t.Any]:
    """The same without the gap."""
    found = copy.deepcopy(cluster(stanza))
    (line,) = found["wal"]
    line["gaps"] = []
    line["spans"] = [span(100, 1110, FIRST - 60, NOW - 45)]
    for row in line["windows"]:
        row.update(stop=NOW - 45, last=name(1110))
    return found


def young(stanza: str = "young") -> dict[str, t.Any]:
    """A cluster that was set up a few minutes ago, without standby and without drill."""
    found = whole(stanza)
    found["drill"] = None
    found["server"]["standbys"] = []
    found["info"]["backup"] = [
        backup(NOW - 200, "full", 23_000_000, 3_000_000, 3),
        backup(NOW - 90, "incr", 23_100_000, 90_000, 6),
    ]
    found["wal"][0]["spans"] = [span(1, 7, NOW - 260, NOW - 30)]
    found["wal"][0]["windows"] = [
        {
            "label": row["label"],
            "start": row["timestamp"]["stop"],
            "stop": NOW - 30,
            "last": name(7),
        }
        for row in found["info"]["backup"]
    ]
    return found


def empty(stanza: str = "empty") -> dict[str, t.Any]:
    """A stanza of which nothing is known."""
    return {
        "name": stanza,
        "host": "pg9-srv",
        "info": {
            "name": stanza,
            "status": {"code": 99, "message": "other"},
            "repo": [{"key": 1, "status": {"code": 99, "message": "[HostConnectError] no"}}],
            "backup": [],
        },
        "wal": [],
        "server": None,
        "drill": None,
    }
