#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: expire
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Remove the backups and the WAL that retention no longer keeps
description:
  - >-
    Applies the retention of the configuration, such as C(repo1-retention-full), to every
    repository, or to the one that C(repo) in O(options) names.
  - The newest full backup always stays, and so does all WAL that a remaining backup needs.
  - Check mode names each backup that would go, and why.
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
  set:
    description:
      - Label of a backup that is to be removed, whatever the retention says, with all that depends
        on it.
      - One that is gone already is an error, so name one only once.
    type: str
  oldest:
    description:
      - Whether the oldest full backup is removed, whatever the retention says. The last one stays.
    type: bool
    default: false
seealso:
  - module: pgsftp.backup.backup
    description: Expires as well, unless C(expire-auto) says otherwise.
  - module: pgsftp.backup.stanza_info
"""

EXAMPLES = r"""
- name: Remove what retention no longer keeps
  pgsftp.backup.expire:
    stanza: demo
  become: true

- name: Keep two full backups from now on, and show what goes
  pgsftp.backup.expire:
    stanza: demo
    options:
      repo1-retention-full: 2
  become: true
  check_mode: true
  diff: true
"""

RETURN = r"""
repos:
  description: The repositories; none in check mode when none has the stanza yet.
  returned: success
  type: list
  elements: dict
  contains:
    repo:
      description: Its number.
      type: int
      sample: 1
    changed:
      description: Whether anything is removed.
      type: bool
      sample: true
    dry_run:
      description: Whether this is only said.
      type: bool
      sample: false
    backups:
      description: What becomes of each backup, and why.
      type: list
      elements: dict
      contains:
        label:
          description: Its name.
          type: str
          sample: 20261121-193512F
        remove:
          description: Whether it is removed.
          type: bool
          sample: true
        reason:
          description: Why it is, or is not.
          type: str
          sample: older than the newest 1 full backups
    archives:
      description: What becomes of the WAL of each cluster, by the name of its directory.
      type: dict
      sample:
        17-1:
          reason: WAL from 20261122-193512F on is kept
          kept:
            - start: "000000010000000000000005"
              stop: null
              reason: from 20261122-193512F on
          removed:
            - start: "000000010000000000000001"
              stop: "000000010000000000000004"
    removed_timelines:
      description: Histories of timelines that are removed, as paths in the repository.
      type: list
      elements: str
      sample: [archive/demo/17-1/00000002.history]
    removed_history:
      description: Manifests of former backups that are removed, as paths in the repository.
      type: list
      elements: str
      sample: [backup/demo/backup.history/2025/20251122-193512F.manifest.gz]
    removed_directories:
      description: Labels of directories that are removed and hold no backup (any more).
      type: list
      elements: str
      sample: [20261120-193512F]
    relisted:
      description: Backups that are added to the repository's list, or leave it without being there.
      type: list
      elements: str
      sample: [20261122-193512F_20261123-193512I]
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 75
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
from ..module_utils.engine.command import expire

# From an empty repository.
NOTHING: module.Result = {"changed": False, "repos": [], "diff": state.expire_diff([])}


def work(task: module.Task) -> module.Result:
    """Expire, or say what would be."""
    options = task.options(
        "expire",
        set=task.params["set"],
        oldest=task.params["oldest"] or None,
        dry_run=task.check_mode or None,
    )
    if task.check_mode and len(state.repositories_without_stanza(options)) == len(options.repos):
        return NOTHING
    report = task.perform(options, expire.run).as_dict()
    return {
        "changed": report["changed"],
        "repos": report["repos"],
        "diff": state.expire_diff(report["repos"]),
    }


def main() -> None:
    """What Ansible calls."""
    spec = {"set": {"type": "str"}, "oldest": {"type": "bool", "default": False}}
    module.main(spec, "expire", work, uninstalled=NOTHING)


if __name__ == "__main__":
    main()
