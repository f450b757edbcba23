#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Check everything that is in the backup repository
description:
  - Reads every file of the stanza and compares it with what the manifests say.
  - Damage fails the task, unless O(damage=report).
  - In check mode only the configuration is looked at, since reading takes long.
  - >-
    It goes on when the connection or C(ansible-playbook) ends. The same task again attaches to it,
    and returns its result if it has ended within the hour. While it runs, the output shows how far
    it is.
extends_documentation_fragment:
  - pgsftp.backup.common
  - pgsftp.backup.common.attributes
  - pgsftp.backup.common.followed
  - pgsftp.backup.common.reads
options:
  set:
    description:
      - Label of the only backup to check, with the WAL that it needs.
    type: str
  damage:
    description:
      - With V(fail) damage fails the task.
      - With V(report) it is only returned, so that a play can decide.
    type: str
    choices:
      - fail
      - report
    default: fail
seealso:
  - module: pgsftp.backup.check
"""

EXAMPLES = r"""
- name: Read the whole repository
  pgsftp.backup.verify:
    stanza: demo
  become: true

- name: Check one backup, and go on whatever is found
  pgsftp.backup.verify:
    stanza: demo
    set: 20261122-193512F
    damage: report
  become: true
  register: found
"""

RETURN = r"""
verify:
  description: What was found.
  returned: when not in check mode, damage included
  type: dict
  contains:
    stanza:
      description: The stanza.
      type: str
      sample: demo
    repo:
      description: Number of the repository.
      type: int
      sample: 1
    status:
      description: V(ok), or V(error) when anything is damaged or missing.
      type: str
      choices:
        - ok
        - error
      sample: error
    errors:
      description: What is wrong with the info files and the repository as a whole.
      type: list
      elements: str
      sample: [no usable archive.info file]
    archives:
      description: The WAL of each cluster, with its gaps.
      type: list
      elements: dict
      contains:
        id:
          description: The directory of the cluster's WAL.
          type: str
          sample: 17-1
        checked:
          description: Number of segments.
          type: int
          sample: 8
        valid:
          description: Number of those that are as they should be.
          type: int
          sample: 7
        missing:
          description: Number of those that are not there.
          type: int
          sample: 0
        checksum:
          description: Number of those with another content than was stored.
          type: int
          sample: 1
        size:
          description: Number of those with another size.
          type: int
          sample: 0
        other:
          description: Number of those that cannot be read for another reason.
          type: int
          sample: 0
        ranges:
          description: The stretches of segments that are there.
          type: list
          elements: dict
          contains:
            start:
              description: The first segment.
              type: str
              sample: "000000010000000000000001"
            stop:
              description: The last one.
              type: str
              sample: "000000010000000000000004"
        gaps:
          description: What is missing between them.
          type: list
          elements: dict
          contains:
            start:
              description: The first segment that is missing.
              type: str
              sample: "000000010000000000000005"
            stop:
              description: The last one.
              type: str
              sample: "000000010000000000000005"
            segments:
              description: How many they are.
              type: int
              sample: 1
            reason:
              description: Why it is in order, as after retention; V(null) when nothing explains it.
              type: str
              sample: retention keeps only what the backups on either side need
        duplicates:
          description: Segments that are stored more than once.
          type: list
          elements: str
          sample: ["000000010000000000000003"]
    backups:
      description: The backups.
      type: list
      elements: dict
      contains:
        label:
          description: Its name.
          type: str
          sample: 20261122-193512F
        status:
          description: How it is.
          type: str
          choices:
            - valid
            - invalid
            - manifest missing
            - in-progress
          sample: valid
        checked:
          description: Number of files.
          type: int
          sample: 971
        valid:
          description: Number of those that are as they should be.
          type: int
          sample: 971
        missing:
          description: Number of those that are not there.
          type: int
          sample: 0
        checksum:
          description: Number of those with another content than was stored.
          type: int
          sample: 1
        size:
          description: Number of those with another size.
          type: int
          sample: 0
        other:
          description: Number of those that cannot be read for another reason.
          type: int
          sample: 0
        missing_wal:
          description: WAL without which it cannot be restored.
          type: list
          elements: dict
          contains:
            start:
              description: The first segment.
              type: str
              sample: "000000010000000000000001"
            stop:
              description: The last one.
              type: str
              sample: "000000010000000000000004"
    files:
      description: The files that are damaged or missing.
      type: list
      elements: dict
      contains:
        path:
          description: The file in the repository.
          type: str
          sample: backup/demo/20261122-193512F/pg_data/base/5/1249.zst
        name:
          description: What it holds, a file of the cluster or WAL.
          type: str
          sample: pg_data/base/5/1249
        problem:
          description: What is wrong with it.
          type: str
          choices:
            - missing
            - checksum
            - size
            - other
          sample: checksum
        message:
          description: The cause, where there is more to say.
          type: str
          sample: unexpected end of zst stream
attached:
  description: >-
    Whether it was begun by another run of the same task, whose connection was lost, that was killed
    or that runs, too. Its result is returned once, and to all who wait for it.
  returned: when not in check mode
  type: bool
  sample: false
code:
  description: pgBackRest's exit code for the cause.
  returned: failure, except for damage
  type: int
  sample: 55
failure:
  description: The cause, to decide by. C(msg) has it in words.
  returned: failure, except for damage
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
from ..module_utils.engine.command.verify import run as verify


def work(task: module.Task) -> module.Result:
    """Read."""
    options = task.options("verify", set=task.params["set"])
    if task.check_mode:
        return {}
    found = task.perform(options, verify.run).as_dict()
    changed = found.pop("changed")
    told: module.Result = {"changed": changed, "verify": found}
    if found["status"] != "ok" and task.params["damage"] == "fail":
        told.update(failed=True, msg=state.damage(found))
    return told


def main() -> None:
    """What Ansible calls."""
    spec = {
        "set": {"type": "str"},
        "damage": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
    }
    module.main(spec, "verify", work, uninstalled={"changed": False}, detached=True)


if __name__ == "__main__":
    main()
