#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Back up a PostgreSQL cluster
description:
  - Takes a backup of a running cluster, with as many workers as the configuration says.
  - >-
    On a host whose configuration says C(backup-standby) it reads from the standby there, and from
    the primary what only that has.
  - A backup is listed only when all that it needs is in the repository.
  - >-
    It goes on when the connection or C(ansible-playbook) ends. The same task again attaches to it,
    and returns its result if it has ended within the hour, unless a restore of the stanza has been
    begun since. While it runs, the output shows how far it is.
extends_documentation_fragment:
  - pgsftp.backup.common
  - pgsftp.backup.common.attributes
  - pgsftp.backup.common.followed
  - pgsftp.backup.common.changes
attributes:
  idempotent:
    description: Changes nothing when run again.
    support: partial
    details:
      - With O(max_age) only.
options:
  type:
    description:
      - >-
        A V(full) backup, what changed since the last full one (V(diff)), or since the last one of
        all (V(incr)).
    type: str
    choices:
      - full
      - diff
      - incr
    default: incr
  max_age:
    description:
      - >-
        Take none when there is a backup of at least this O(type) that is younger, such as V(20h) or
        V(7d).
      - >-
        It counts only if it was taken the same way, from a standby or not, since both are worth
        having. With C(backup-standby=prefer) either counts. One in which pages were damaged never
        does.
    type: str
seealso:
  - module: pgsftp.backup.stanza_info
"""

EXAMPLES = r"""
- name: Take a full backup, unless there is one of the last six days
  pgsftp.backup.backup:
    stanza: demo
    type: full
    max_age: 6d
  become: true
  register: taken

- name: Show what was taken
  ansible.builtin.debug:
    msg: "{{ taken.backup.label }}, {{ taken.backup.repository_size | human_readable }}"
"""

RETURN = r"""
backup:
  description: The backup that was taken, or the young one that made it unnecessary.
  returned: success, except in check mode when one would be taken
  type: dict
  contains:
    label:
      description: Its name.
      type: str
      sample: 20261122-193512F_20261123-193512I
    type:
      description: Its type; a first backup is always full.
      type: str
      sample: incr
    prior:
      description: The backup on which it builds; V(null) for a full one.
      type: str
      sample: 20261122-193512F
    size:
      description: Size of the cluster in bytes.
      type: int
      sample: 23178953
    size_delta:
      description: Bytes of the cluster that were copied.
      type: int
      sample: 1409024
    repository_size:
      description: Bytes in the repository that a restore needs.
      type: int
      sample: 2981034
    repository_size_delta:
      description: Bytes that this backup added to the repository.
      type: int
      sample: 163840
    file_total:
      description: Number of files. Only of a backup that was just taken.
      type: int
      sample: 971
    lsn_start:
      description: Where in the WAL it starts.
      type: str
      sample: 0/3000028
    lsn_stop:
      description: Where in the WAL it stops.
      type: str
      sample: 0/3000158
    wal_start:
      description: First WAL segment that a restore needs.
      type: str
      sample: "000000010000000000000003"
    wal_stop:
      description: Last WAL segment that a restore needs.
      type: str
      sample: "000000010000000000000003"
    timestamp_start:
      description: Seconds since 1970.
      type: int
      sample: 1795376112
    timestamp_stop:
      description: Seconds since 1970.
      type: int
      sample: 1795376115
    page_errors:
      description: Whether a page had a wrong checksum.
      type: bool
      sample: false
    from_standby:
      description: Whether it was read from a standby.
      type: bool
      sample: false
    duration:
      description: Seconds that it took.
      type: float
      sample: 3.2
plan:
  description:
    - What would be done.
    - Of a cluster that has no stanza yet, nor an installation maybe, only the type is known.
  returned: in check mode, when a backup would be taken
  type: dict
  contains:
    type:
      description: The type of the backup, V(full) when there is none to build on.
      type: str
      sample: incr
    prior:
      description: The backup on which it would build.
      type: str
      sample: 20261122-193512F
    resumed:
      description: The backup that was broken off and that it would go on with; V(null) for none.
      type: str
      sample: 20261122-193512F_20261123-193512I
    size:
      description: Size of the cluster in bytes.
      type: int
      sample: 23178953
    size_read:
      description: Bytes of the files that would be read.
      type: int
      sample: 1409024
    file_total:
      description: Number of files.
      type: int
      sample: 971
    files_read:
      description: Number of files that would be read.
      type: int
      sample: 9
    changed:
      description: Files that are not as in the prior backup, or must be read to know it.
      type: list
      elements: str
      sample: [pg_data/base/5/1249, pg_data/global/pg_control]
    new:
      description: Files that the prior backup does not have.
      type: list
      elements: str
      sample: [pg_data/base/5/16384]
    removed:
      description: Files that only the prior backup has.
      type: list
      elements: str
      sample: [pg_data/base/5/16380]
attached:
  description: >-
    Whether the backup was begun by another run of the same task, whose connection was lost, that
    was killed or that runs, too. Its result is returned once, and to all who wait for it.
  returned: when not in check mode
  type: bool
  sample: false
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 82
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

from ..module_utils import module, state
from ..module_utils.engine.command.backup import run as backup

# The first one, before there is anything to ask.
FROM_ZERO = {"changed": True, "plan": {"type": "full"}}


def work(task: module.Task) -> module.Result:
    """Take a backup, unless a young one is there."""
    options = task.options("backup", type=task.params["type"])
    if task.params["max_age"] is not None:
        young = state.young_backup(options, task.params["max_age"])
        if young is not None:
            return {"changed": False, "backup": young}
    if task.check_mode:
        return {"changed": True, "plan": state.backup_plan(options)}
    return {"changed": True, "backup": task.perform(options, backup.run).as_dict()}


def main() -> None:
    """What Ansible calls."""
    spec = {
        "type": {"type": "str", "choices": ["full", "diff", "incr"], "default": "incr"},
        "max_age": {"type": "str"},
    }
    module.main(spec, "backup", work, uninstalled=FROM_ZERO, detached=True)


if __name__ == "__main__":
    main()
