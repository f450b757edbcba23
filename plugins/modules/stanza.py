#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stanza
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Give a PostgreSQL cluster its place in the backup repository
description:
  - >-
    Makes the stanza in every repository that the configuration names, or checks that it is of this
    cluster.
  - A stanza of another cluster is never touched.
extends_documentation_fragment:
  - pgsftp.backup.common
  - pgsftp.backup.common.attributes
  - pgsftp.backup.common.changes
attributes:
  diff_mode:
    support: full
  idempotent:
    description: Changes nothing when run again.
    support: full
options:
  state:
    description:
      - V(present) makes the stanza where it does not exist.
    type: str
    choices:
      - present
    default: present
seealso:
  - module: pgsftp.backup.check
"""

EXAMPLES = r"""
- name: Make the stanza
  pgsftp.backup.stanza:
    stanza: demo
  become: true
"""

RETURN = r"""
created:
  description: Keys of the repositories in which the stanza was made.
  returned: success
  type: list
  elements: int
  sample: [1]
system_id:
  description: The cluster's identity, as text since it does not fit every JSON number.
  returned: when not in check mode
  type: str
  sample: "7575628193218412370"
version:
  description: Version of PostgreSQL.
  returned: when not in check mode
  type: str
  sample: "17"
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 28
"""

from ..module_utils import module, state
from ..module_utils.engine.command import stanza


def work(task: module.Task) -> module.Result:
    """Make the stanza, or say where it would be made."""
    options = task.options("stanza-create")
    if task.check_mode:
        return _result(options.stanza, state.repositories_without_stanza(options))
    result = task.perform(options, stanza.run)
    created = [repo.key for repo in result.repos if repo.created]
    return {
        **_result(options.stanza, created),
        "system_id": str(result.system_id),
        "version": result.version,
    }


def _result(name: str | None, created: list[int]) -> module.Result:
    before = {"stanza": name, "created": []}
    return {
        "changed": bool(created),
        "created": created,
        "diff": {"before": before, "after": {**before, "created": created}},
    }


def main() -> None:
    """What Ansible calls."""
    spec = {"state": {"type": "str", "choices": ["present"], "default": "present"}}
    module.main(spec, "stanza-create", work, uninstalled={"changed": True, "created": []})


if __name__ == "__main__":
    main()
