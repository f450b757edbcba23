#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: check
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Check that a PostgreSQL cluster can be backed up
description:
  - Compares configuration, cluster and repositories.
  - Then archives a WAL segment and waits until it has arrived.
  - In check mode nothing is archived, and only the configuration is looked at.
extends_documentation_fragment:
  - pgsftp.backup.common
  - pgsftp.backup.common.attributes
  - pgsftp.backup.common.reads
seealso:
  - module: pgsftp.backup.stanza
"""

EXAMPLES = r"""
- name: Check that WAL arrives in the repository
  pgsftp.backup.check:
    stanza: demo
  become: true
"""

RETURN = r"""
check:
  description: What was checked.
  returned: when not in check mode
  type: dict
  contains:
    system_id:
      description: The cluster's identity, as text since it does not fit every JSON number.
      type: str
      sample: "7575628193218412370"
    version:
      description: Version of PostgreSQL.
      type: str
      sample: "17"
    standby:
      description: Whether a standby was found, too.
      type: bool
      sample: false
    repos:
      description: The repositories.
      type: list
      elements: dict
      contains:
        key:
          description: Its number.
          type: int
          sample: 1
        segment:
          description: The WAL segment that was archived.
          type: str
          sample: "000000010000000000000002"
        archived_after:
          description: Seconds until it had arrived.
          type: float
          sample: 0.42
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 82
"""

from ..module_utils import module
from ..module_utils.engine.command import check


def work(task: module.Task) -> module.Result:
    """Check."""
    options = task.options("check")
    if task.check_mode:
        return {}
    result = task.perform(options, check.run).as_dict()
    return {"check": {**result, "system_id": str(result["system_id"])}}


def main() -> None:
    """What Ansible calls."""
    module.main({}, "check", work, uninstalled={"changed": False})


if __name__ == "__main__":
    main()
