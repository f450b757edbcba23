#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stanza_info
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Show the backups of a PostgreSQL cluster
description:
  - Reads what the repository holds of a stanza.
extends_documentation_fragment:
  - pgsftp.backup.common
  - pgsftp.backup.common.attributes
  - pgsftp.backup.common.reads
options:
  wal:
    description:
      - Whether to look at all WAL as well, for RV(wal).
      - It lists every directory of the archive, and checks no segment.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the backups
  pgsftp.backup.stanza_info:
    stanza: demo
  become: true
  register: found

- name: Look for missing WAL
  pgsftp.backup.stanza_info:
    stanza: demo
    wal: true
  become: true
  register: found

- name: Refuse to go on without a backup
  ansible.builtin.assert:
    that: found.info.backup | length > 0
"""

RETURN = r"""
info:
  description:
    - What C(pgbackrest info --output=json) says of the stanza, with the same keys.
    - A repository that cannot be read is part of the answer, in its C(status), and not a failure.
  returned: success, except in check mode before the installation
  type: dict
  sample:
    archive:
      - database: {"id": 1, "repo-key": 1}
        id: 17-1
        max: "000000010000000000000003"
        min: "000000010000000000000001"
    backup:
      - label: 20261122-193512F
        type: full
    cipher: none
    name: demo
    status: {"code": 0, "message": ok}
text:
  description: The same for people, line by line.
  returned: success, except in check mode before the installation
  type: list
  elements: str
  sample: ["stanza: demo", "    status: ok"]
wal:
  description:
    - The archived WAL of each cluster in each repository. Times are seconds since 1970, at which
      the repository got a segment; sizes are stored bytes.
  returned: success, when O(wal) is true, except in check mode before the installation
  type: list
  elements: dict
  contains:
    repo:
      description: Number of the repository.
      type: int
      sample: 1
    id:
      description: Name of the archive.
      type: str
      sample: 17-1
    segment_size:
      description: Bytes of a segment before it is compressed.
      type: int
      sample: 16777216
    spans:
      description: Segments that follow each other without a gap.
      type: list
      elements: dict
      contains:
        first:
          description: The first of them.
          type: str
          sample: "000000010000000000000001"
        last:
          description: The last of them.
          type: str
          sample: "000000010000000000000006"
        segments:
          description: How many they are.
          type: int
          sample: 6
        size:
          description: Their stored bytes.
          type: int
          sample: 5241233
        start:
          description: When the first one came.
          type: int
          sample: 1795376100
        stop:
          description: When the last one came.
          type: int
          sample: 1795376180
    gaps:
      description: What is missing between them.
      type: list
      elements: dict
      contains:
        first:
          description: The first that is missing.
          type: str
          sample: "000000010000000000000004"
        last:
          description: The last that is missing.
          type: str
          sample: "000000010000000000000004"
        segments:
          description: How many they are.
          type: int
          sample: 1
        reason:
          description: Why it is in order, as after retention; V(null) when nothing explains it.
          type: str
          sample: retention keeps only what the backups on either side need
        start:
          description: When the last segment before it came; V(null) for none.
          type: int
          sample: 1795376140
        stop:
          description: When the first segment after it came; V(null) for none.
          type: int
          sample: 1795376160
    windows:
      description: How far one can recover from each backup.
      type: list
      elements: dict
      contains:
        label:
          description: The backup.
          type: str
          sample: 20261122-193512F
        start:
          description: When it was complete; nothing earlier can be reached from it.
          type: int
          sample: 1795376115
        stop:
          description: When the last segment of its WAL came; V(null) when it leads to nowhere.
          type: int
          sample: 1795376180
        last:
          description: That segment.
          type: str
          sample: "000000010000000000000006"
archiver:
  description:
    - What the resident archiver of this host says of itself; null where none runs.
    - Sizes are bytes, times seconds; points in time are seconds since 1970.
  returned: success, except in check mode before the installation
  type: dict
  contains:
    stanza:
      description: Name of the stanza.
      type: str
      sample: demo
    pid:
      description: Its process.
      type: int
      sample: 3578
    started:
      description: Since when it runs.
      type: float
      sample: 1795376155.4
    version:
      description: Version of the engine.
      type: str
      sample: 0.1.0
    fetched:
      description: What was fetched for a recovery since the start.
      type: dict
      contains:
        files:
          description: WAL files fetched.
          type: int
          sample: 0
        bytes:
          description: Their size before compression.
          type: int
          sample: 0
        ready:
          description: Files that wait for the recovery now.
          type: int
          sample: 0
        processes:
          description: Processes that fetch.
          type: int
          sample: 0
    repositories:
      description: How far each repository is.
      type: list
      elements: dict
      contains:
        key:
          description: Number of the repository.
          type: int
          sample: 1
        reachable:
          description: Whether it answered last.
          type: bool
          sample: true
        sessions:
          description: Open sessions.
          type: int
          sample: 1
        lag_segments:
          description: WAL files that are ready and not in the repository.
          type: int
          sample: 0
        lag_bytes:
          description: Their size.
          type: int
          sample: 0
        lag_seconds:
          description: For how long the oldest of them has been ready.
          type: float
          sample: 0.0
        oldest:
          description: The oldest of them; null for none.
          type: str
          sample: "000000010000000000000006"
        rate:
          description: Bytes of WAL a second over the last minute.
          type: float
          sample: 279620.3
        files:
          description: WAL files sent since the start.
          type: int
          sample: 7
        bytes:
          description: Their size before compression.
          type: int
          sample: 83886802
        error:
          description: The last thing that went wrong; V(null) for nothing.
          type: dict
          contains:
            message:
              description: What it was.
              type: str
              sample: no route to host
            code:
              description: pgBackRest's exit code for it.
              type: int
              sample: 49
            time:
              description: When it was.
              type: float
              sample: 1795376159.0
        success:
          description: When a WAL file was last stored; null for never.
          type: float
          sample: 1795376190.2
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 31
failure:
  description: The cause, to decide by. C(msg) has it in words.
  returned: failure
  type: dict
  contains:
    type:
      description: Its class, as in C(docs/reference/errors.md).
      type: str
      sample: ArchiveTimeoutError
    code:
      description: The same as RV(code).
      type: int
      sample: 82
    hint:
      description: What to do about it, in a sentence; V(null) for none.
      type: str
      sample: look for errors of archive_command in the PostgreSQL server log.
"""

from ..module_utils import module
from ..module_utils.engine.archiver import run as archiver
from ..module_utils.engine.archiver import status
from ..module_utils.engine.command import info, wal_line


def work(task: module.Task) -> module.Result:
    """Read."""
    result = task.perform(task.options("info"), info.run)
    answer: module.Result = {"info": result.stanzas[0], "text": result.text.splitlines()}
    found = archiver.find(task.options("info"))
    answer["archiver"] = None if found is None else status.as_dict(found)
    if task.params["wal"]:
        lines = task.perform(task.options("info"), wal_line.run)
        answer["wal"] = [line.as_dict() for line in lines]
    return answer


def main() -> None:
    """What Ansible calls."""
    module.main(
        {"wal": {"type": "bool", "default": False}}, "info", work, uninstalled={"changed": False}
    )


if __name__ == "__main__":
    main()
