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
"""

EXAMPLES = r"""
- name: Look at the backups
  pgsftp.backup.stanza_info:
    stanza: demo
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
  returned: success
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
  returned: success
  type: list
  elements: str
  sample: ["stanza: demo", "    status: ok"]
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 31
"""

from ..module_utils import module
from ..module_utils.engine.command import info


def work(task: module.Task) -> module.Result:
    """Read."""
    result = task.perform(task.options("info"), info.run)
    return {"info": result.stanzas[0], "text": result.text.splitlines()}


def main() -> None:
    """What Ansible calls."""
    module.main({}, "info", work, uninstalled={"changed": False})


if __name__ == "__main__":
    main()
