# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the times of the files in an archive tell when they came there (pure).

A repository that was copied has the times of the copying, or of the tape that it came from: they
say nothing of which timeline went on, and it is after a disaster that repositories are copied.
"""

from __future__ import annotations

import typing as t

from ...postgres import wal

# The clocks of the repository and of the database need not agree; seconds. Nor do segments that
# are sent together come in their order.
CLOCK_SKEW = 300

# Seconds between the end of a backup and the arrival of its last segment, for which it waits.
NEAR = 3600


def trusted(written: t.Mapping[str, int | None], last: str, stopped: int) -> bool:
    """Whether the times of segments, by name, can be those of their arrival.

    ``last`` is the last segment of a backup that ended at ``stopped`` by the database's clock.
    """
    arrived = written.get(last)
    if not stopped or arrived is None or abs(arrived - stopped) > NEAR:
        return False
    latest: dict[int, int] = {}
    # Names sort by timeline, then by position.
    for name, moment in sorted(written.items()):
        line = wal.timeline_of(name)
        if moment is None or moment < latest.get(line, 0) - CLOCK_SKEW:
            return False
        latest[line] = max(moment, latest.get(line, 0))
    return True
