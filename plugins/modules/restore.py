#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Restore a PostgreSQL cluster from its backups
description:
  - Brings a backup back as a data directory that can be started, and checks every file on the way.
  - Starts and stops no server. A directory in which one runs is refused.
extends_documentation_fragment:
  - pgsftp.backup.common
  - pgsftp.backup.common.attributes
  - pgsftp.backup.common.changes
attributes:
  idempotent:
    description: Changes nothing when run again.
    support: partial
    details:
      - For a standby. Any other restore of a directory that is not empty asks for O(force).
options:
  type:
    description:
      - With V(default) the cluster recovers to the end of the archived WAL and becomes a primary.
      - With V(standby) it stays a standby.
      - A directory that holds a standby of this cluster already is left alone then.
    type: str
    choices:
      - default
      - standby
    default: default
  set:
    description:
      - Label of the backup. By default the newest.
    type: str
  force:
    description:
      - Whether the data directory may be replaced when it is not empty.
      - A restore that was interrupted goes on without it.
    type: bool
    default: false
  delta:
    description:
      - Whether files of that directory that equal the backup's are kept instead of fetched.
    type: bool
    default: true
seealso:
  - module: pgsftp.backup.stanza_info
"""

EXAMPLES = r"""
- name: Make this host a standby
  pgsftp.backup.restore:
    stanza: demo
    type: standby
  become: true

- name: Go back to a certain backup, whatever the data directory holds
  pgsftp.backup.restore:
    stanza: demo
    set: 20261122-193512F
    force: true
  become: true
"""

RETURN = r"""
restore:
  description: What was restored.
  returned: changed, and not in check mode
  type: dict
  contains:
    label:
      description: The backup.
      type: str
      sample: 20261122-193512F
    type:
      description: The type of recovery.
      type: str
      sample: standby
    path:
      description: The data directory.
      type: str
      sample: /var/lib/postgresql/17/main
    size:
      description: Size of the cluster in bytes.
      type: int
      sample: 23178953
    size_fetched:
      description: Bytes of the files that were fetched.
      type: int
      sample: 23178953
    file_total:
      description: Number of files.
      type: int
      sample: 971
    files_fetched:
      description: Number of files that were fetched.
      type: int
      sample: 971
    files_removed:
      description: Number of files that were removed.
      type: int
      sample: 0
    duration:
      description: Seconds that it took.
      type: float
      sample: 1.9
directory:
  description: What the data directory was before.
  returned: success
  type: str
  choices:
    - empty
    - interrupted
    - standby
    - other
  sample: empty
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 40
"""

from ..module_utils import module, state
from ..module_utils.engine.command.restore import run as restore


def work(task: module.Task) -> module.Result:
    """Restore, unless the directory is the standby that is asked for."""
    wanted = {"type": task.params["type"], "set": task.params["set"]}
    found = task.options("restore", **wanted)
    directory = state.directory(found)
    if not task.params["force"]:
        if directory is state.Directory.STANDBY and wanted["type"] == "standby":
            return {"changed": False, "directory": directory.value}
        if directory in (state.Directory.STANDBY, state.Directory.OTHER):
            raise state.not_empty(found)
    if task.check_mode:
        return {"changed": True, "directory": directory.value}
    reuse = directory is not state.Directory.EMPTY
    delta = reuse and task.params["delta"]
    options = task.options("restore", delta=delta, force=reuse and not delta, **wanted)
    return {
        "changed": True,
        "directory": directory.value,
        "restore": task.perform(options, restore.run).as_dict(),
    }


def main() -> None:
    """What Ansible calls."""
    spec = {
        "type": {"type": "str", "choices": ["default", "standby"], "default": "default"},
        "set": {"type": "str"},
        "force": {"type": "bool", "default": False},
        "delta": {"type": "bool", "default": True},
    }
    module.main(spec, "restore", work, uninstalled={"changed": True})


if __name__ == "__main__":
    main()
