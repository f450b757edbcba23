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
  - With O(state=present) a stanza of another cluster is never touched.
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
      - >-
        V(upgraded) tells a stanza that exists of a cluster with another major version or system
        identifier, as after C(pg_upgrade). Its backups and WAL stay; the next backup is a full one.
      - >-
        V(absent) removes the stanza from one repository, with all backups and WAL. Of several,
        C(repo) in O(options) names it. Needs O(confirm_stanza), a server that is stopped, and the
        stop file that C(pgsftp stop) makes on the host. The stop file is removed, too.
    type: str
    choices:
      - present
      - upgraded
      - absent
    default: present
  confirm_stanza:
    description:
      - >-
        With O(state=absent) the name of the stanza once more, to say that no other one is meant.
    type: str
seealso:
  - module: pgsftp.backup.check
"""

EXAMPLES = r"""
- name: Make the stanza
  pgsftp.backup.stanza:
    stanza: demo
  become: true

- name: Go on with the same stanza after pg_upgrade
  pgsftp.backup.stanza:
    stanza: demo
    state: upgraded
  become: true

- name: Keep everything away from a stanza that is needed no more
  ansible.builtin.command:
    cmd: pgsftp --stanza=demo stop
    creates: /tmp/pgbackrest/demo.stop
  become: true
  become_user: postgres

- name: Remove it with all backups and WAL
  pgsftp.backup.stanza:
    stanza: demo
    state: absent
    confirm_stanza: demo
  become: true
"""

RETURN = r"""
created:
  description: Keys of the repositories in which the stanza was made.
  returned: success with O(state=present), except in check mode before the installation
  type: list
  elements: int
  sample: [1]
upgraded:
  description: Keys of the repositories in which the stanza was of another cluster.
  returned: success with O(state=upgraded)
  type: list
  elements: int
  sample: [1]
deleted:
  description: Key of the repository from which the stanza was removed; none when it had none.
  returned: success with O(state=absent)
  type: list
  elements: int
  sample: [1]
backups:
  description: Labels of the backups that were removed with it.
  returned: success with O(state=absent)
  type: list
  elements: str
  sample: [20261122-193512F]
system_id:
  description: The cluster's identity, as text since it does not fit every JSON number.
  returned: >-
    success with O(state=present) when not in check mode, and with O(state=upgraded), except in
    check mode before the installation
  type: str
  sample: "7575628193218412370"
version:
  description: Version of PostgreSQL.
  returned: >-
    success with O(state=present) when not in check mode, and with O(state=upgraded), except in
    check mode before the installation
  type: str
  sample: "17"
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 28
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

import typing as t

from ..module_utils import module
from ..module_utils.engine.command import stanza, stanza_delete, stanza_upgrade
from ..module_utils.engine.errors import OptionInvalidError

COMMANDS = {"present": "stanza-create", "upgraded": "stanza-upgrade", "absent": "stanza-delete"}


def work(task: module.Task) -> module.Result:
    """Bring the stanza into its state, or say what would be done for that."""
    return {"present": _present, "upgraded": _upgraded, "absent": _absent}[task.params["state"]](
        task
    )


def _present(task: module.Task) -> module.Result:
    options = task.options("stanza-create")
    if task.check_mode:
        repos = stanza.preview(options)
        return _created(options.stanza, [repo.key for repo in repos if repo.created])
    result = task.perform(options, stanza.run)
    return {
        **_created(options.stanza, [repo.key for repo in result.repos if repo.created]),
        **_facts(result.system_id, result.version),
    }


def _created(name: str | None, keys: list[int]) -> module.Result:
    before = {"stanza": name, "created": []}
    return {
        "changed": bool(keys),
        "created": keys,
        "diff": {"before": before, "after": {**before, "created": keys}},
    }


def _upgraded(task: module.Task) -> module.Result:
    options = task.options("stanza-upgrade")
    if task.check_mode:
        result = stanza_upgrade.preview(options)
    else:
        result = task.perform(options, stanza_upgrade.run)
    now = _facts(result.system_id, result.version)
    before: module.Result = {"stanza": result.stanza}
    after = dict(before)
    for repo in result.repos:
        former = repo.former
        before[f"repo{repo.key}"] = _facts(former.system_id, former.version) if former else now
        after[f"repo{repo.key}"] = now
    return {
        "changed": result.changed,
        "upgraded": [repo.key for repo in result.repos if repo.former],
        **now,
        "diff": {"before": before, "after": after},
    }


def _absent(task: module.Task) -> module.Result:
    name, confirmed = task.params["stanza"], task.params["confirm_stanza"]
    if confirmed != name:
        given = "is not given" if confirmed is None else f"is '{confirmed}'"
        raise OptionInvalidError(
            f"stanza '{name}' is not removed: confirm_stanza {given}",
            hint="confirm_stanza says which stanza is meant; it has to be this one.",
        )
    options = task.options("stanza-delete")
    if task.check_mode:
        result = stanza_delete.preview(options)
    else:
        result = task.perform(options, stanza_delete.run)
    key, backups = f"repo{result.repo}", list(result.backups)
    there = {"backups": backups} if result.changed else None
    return {
        "changed": result.changed,
        "deleted": [result.repo] if result.changed else [],
        "backups": backups,
        "diff": {"before": {"stanza": name, key: there}, "after": {"stanza": name, key: None}},
    }


def _facts(system_id: int, version: str) -> module.Result:
    return {"system_id": str(system_id), "version": version}


def _uninstalled(params: t.Mapping[str, t.Any]) -> module.Result:
    none: module.Result = {"stanza": None}
    nothing = {"changed": False, "diff": {"before": none, "after": none}}
    if params["state"] == "upgraded":
        return {**nothing, "upgraded": []}
    if params["state"] == "absent":
        return {**nothing, "deleted": [], "backups": []}
    # Which repositories there will be is not known yet.
    return {"changed": True, "diff": {"before": none, "after": {"stanza": params["stanza"]}}}


def main() -> None:
    """What Ansible calls."""
    spec = {
        "state": {"type": "str", "choices": list(COMMANDS), "default": "present"},
        "confirm_stanza": {"type": "str"},
    }
    module.main(spec, COMMANDS, work, uninstalled=_uninstalled)


if __name__ == "__main__":
    main()
