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
  - Starts and stops no server. A directory in which one runs is refused always; check mode warns.
  - >-
    A directory that is not empty is only replaced with O(force), and with O(confirm_host). It is
    renamed, with its tablespaces, and stays beside the new one until O(state=confirmed) finds that
    the new server has started. With O(delta) it is changed in place instead.
  - >-
    It goes on when the connection or C(ansible-playbook) ends. The same task again attaches to it,
    and returns its result if it has ended within the hour, unless another restore or a backup of
    the stanza has been begun since. While it runs, the output shows how far it is.
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
      - For a standby and for the other states. Any other restore asks for O(force) when the
        directory is not empty.
options:
  state:
    description:
      - V(restored) restores.
      - >-
        V(confirmed) waits until the server in the directory accepts connections, and then removes
        what was kept aside, see O(kept). Who starts it is up to the play.
      - >-
        V(reverted) undoes the newest restore that has kept something aside: what it has brought is
        removed, and what was kept has its name back. Needs O(confirm_host), and a server that is
        stopped.
    type: str
    choices:
      - restored
      - confirmed
      - reverted
    default: restored
  kept:
    description:
      - >-
        Whether O(state=confirmed) removes what all restores have kept aside, or what the newest of
        them has.
    type: str
    choices:
      - all
      - newest
    default: all
  timeout:
    description:
      - Seconds that O(state=confirmed) waits for the server.
    type: int
    default: 60
  type:
    description:
      - With V(default) the cluster recovers to the end of the archived WAL and becomes a primary.
      - >-
        With V(immediate) it ends as soon as it is consistent, with V(lsn), V(name), V(time) and
        V(xid) at O(target).
      - >-
        With V(standby) it stays a standby. A directory that holds a standby of this cluster already
        is left alone then.
      - With V(preserve) the settings of the recovery stay as they are, which O(delta) must allow.
      - With V(none) there is no recovery from the archive.
    type: str
    choices:
      - default
      - immediate
      - lsn
      - name
      - none
      - preserve
      - standby
      - time
      - xid
    default: default
  target:
    description:
      - Where recovery ends, such as V(2026-11-22 19:35:12+00), V(0/3000158) or V(before_upgrade).
    type: str
  target_action:
    description:
      - What happens there. By default recovery pauses, so that one can look.
    type: str
    choices:
      - pause
      - promote
      - shutdown
  target_exclusive:
    description:
      - Whether recovery stops just before the target.
    type: bool
  target_timeline:
    description:
      - The timeline to follow, as V(latest), V(current) or a number.
      - >-
        A time at which the cluster was on a timeline that an earlier recovery has left needs its
        number.
    type: str
  set:
    description:
      - Label of the backup. By default the newest one from which the target can be reached.
    type: str
  archive_mode:
    description:
      - Whether the restored cluster archives, which a copy of the cluster should not.
      - By default it does as a standby, and where it is restored to a directory of this host from
        which it has archived before; else not. A host that takes the place of a lost one has to be
        told with V(preserve).
    type: str
    choices:
      - preserve
      - "off"
  recovery_options:
    description:
      - Settings of the recovery by name, such as C(primary_conninfo).
      - A password is refused, since a task's arguments are logged; C(.pgpass) is the place for it.
    type: dict
  tablespace_map:
    description:
      - Directories of tablespaces by name, when they are to be other ones.
    type: dict
  tablespace_map_all:
    description:
      - Directory below which all tablespaces go that O(tablespace_map) does not name.
    type: path
  link_all:
    description:
      - Whether links in the data directory are restored as links, instead of what they lead to.
    type: bool
  link_map:
    description:
      - Where links lead to, by their name in the data directory.
    type: dict
  db_include:
    description:
      - Names of the databases that are restored; the others become zeroes and can only be dropped.
    type: list
    elements: str
  db_exclude:
    description:
      - Names of the databases that are not restored.
    type: list
    elements: str
  force:
    description:
      - Whether the data directory may be replaced when it is not empty. Needs O(confirm_host).
      - A restore that was interrupted goes on without it.
      - >-
        With a data directory that is empty or gone it says that what is left of it elsewhere, such
        as tablespaces, may be replaced.
    type: bool
    default: false
  confirm_host:
    description:
      - >-
        The name of the host in the inventory, to say that no other one is meant. A play that runs
        on more hosts than one thought ends here.
      - >-
        With C(delegate_to) it is the host that the task is delegated to, which
        C(inventory_hostname) does not name.
    type: str
  _host:
    description:
      - Not for tasks. The action plugin says here what the name of the host in the inventory is.
    type: str
  delta:
    description:
      - >-
        Whether files of that directory that equal the backup's are kept instead of fetched. This
        saves time and room, and nothing is kept aside.
    type: bool
    default: false
seealso:
  - module: pgsftp.backup.stanza_info
"""

EXAMPLES = r"""
- name: Make this host a standby
  pgsftp.backup.restore:
    stanza: demo
    type: standby
  become: true

- name: Go back to the time before the accident, whatever the data directory holds
  pgsftp.backup.restore:
    stanza: demo
    type: time
    target: 2026-11-22 19:35:12+00
    target_action: promote
    force: true
    confirm_host: pg1-srv
  become: true

- name: Start the server
  ansible.builtin.systemd_service:
    name: postgresql@17-main
    state: started
  become: true

- name: Remove the old directory when the new one is in use
  pgsftp.backup.restore:
    stanza: demo
    state: confirmed
  become: true
"""

RETURN = r"""
restore:
  description: What was restored.
  returned: changed with O(state=restored), and not in check mode
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
plan:
  description: What would be done.
  returned: >-
    in check mode, when something would be restored that no earlier run has begun, and there is a
    backup already
  type: dict
  contains:
    label:
      description: The backup.
      type: str
      sample: 20261122-193512F
    type:
      description: The type of recovery.
      type: str
      sample: time
    path:
      description: The data directory.
      type: str
      sample: /var/lib/postgresql/17/main
    size:
      description: Size of the cluster in bytes.
      type: int
      sample: 23178953
    size_fetched:
      description: Bytes of the files that would be fetched. See RV(plan.files_fetched).
      type: int
      sample: 23178953
    file_total:
      description: Number of files.
      type: int
      sample: 971
    files_fetched:
      description: >-
        Number of files that would be fetched. With O(delta) an estimate: a file whose size and time
        are those of the backup is taken for the same, and none is read to compare its checksum, as
        the restore does.
      type: int
      sample: 971
    files_removed:
      description: Number of files, links and directories that would be removed.
      type: int
      sample: 1
    removed:
      description: Their paths.
      type: list
      elements: str
      sample: [/var/lib/postgresql/17/main/base/5/16384]
    wal_start:
      description: First WAL segment of the recovery.
      type: str
      sample: "000000010000000000000003"
    wal_stop:
      description: Last WAL segment that is there without a gap.
      type: str
      sample: "000000010000000000000007"
    reachable:
      description: >-
        Whether the WAL leads to the target. V(null) where that cannot be known; where it is
        V(false) the task would fail.
      type: bool
      sample: false
    obstacle:
      description: Why the target is out of reach; V(null) where it is not.
      type: str
      sample: "target '2026-11-22 19:35:12+00' cannot be reached: it lies in the future"
directory:
  description: What the data directory was before.
  returned: >-
    with O(state=restored), except in check mode before the installation or with RV(attached)
  type: str
  choices:
    - empty
    - interrupted
    - standby
    - other
  sample: empty
aside:
  description:
    - What was renamed, by its new path. Renaming all of it back undoes the restore.
    - With O(state=confirmed), what was removed, and with O(state=reverted), what is back.
    - In check mode, what would be.
  returned: success, except in check mode before the installation or with RV(attached=true)
  type: dict
  sample: {"/var/lib/postgresql/17/main.aside-20261122-193512": "/var/lib/postgresql/17/main"}
attached:
  description: >-
    Whether the restore was begun by another run of the same task, whose connection was lost, that
    was killed or that runs, too. Its result is returned once, and to all who wait for it. In check
    mode it is not, and stays for the task: nothing is planned then, and no room is asked for.
  returned: when not in check mode; V(true) in check mode, too
  type: bool
  sample: false
code:
  description: pgBackRest's exit code for the cause.
  returned: failure
  type: int
  sample: 40
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

from ..module_utils import directory, module
from ..module_utils.above import Above

# Parameters that are options of the engine by the same name.
SAME = (
    "type",
    "target",
    "target_action",
    "target_exclusive",
    "target_timeline",
    "set",
    "archive_mode",
    "tablespace_map",
    "tablespace_map_all",
    "link_all",
    "link_map",
    "db_include",
    "db_exclude",
)


def work(task: module.Task) -> module.Result:
    """Restore, or remove what a restore has kept aside."""
    if task.attaches:
        # What it has made of the directory by now says nothing about what it was to be.
        return {"changed": True, "attached": True}
    wanted = {name: task.params[name] for name in SAME}
    wanted["recovery_option"] = task.params["recovery_options"]
    options = task.options("restore", **wanted)
    above = Above(options.pg.path.rstrip("/"), task.ask)
    state = task.params["state"]
    if state == "confirmed":
        return directory.confirm(
            options,
            task.params["timeout"],
            above,
            newest=task.params["kept"] == "newest",
            check_mode=task.check_mode,
        )
    consent = directory.Consent(
        task.params["force"], task.params["confirm_host"], task.params["_host"]
    )
    if state == "reverted":
        return directory.revert(options, consent, above, check_mode=task.check_mode)
    choice = directory.choose(
        options, consent, delta=task.params["delta"], check_mode=task.check_mode
    )
    if choice.done:
        return {"changed": False, "directory": choice.found.value, "aside": {}}
    options = task.options(
        "restore", **wanted, delta=choice.delta, force=True if choice.force else None
    )
    if task.check_mode:
        return {"changed": True, **directory.plan(options, choice)}
    return {"changed": True, **directory.restore(task.perform, options, choice, above)}


def _uninstalled(params: t.Mapping[str, t.Any]) -> module.Result:
    # Where nothing is, nothing is kept aside that could be confirmed or reverted.
    return {"changed": params["state"] == "restored"}


def main() -> None:
    """What Ansible calls."""
    spec = {
        "state": {
            "type": "str",
            "choices": ["restored", "confirmed", "reverted"],
            "default": "restored",
        },
        "kept": {"type": "str", "choices": ["all", "newest"], "default": "all"},
        "timeout": {"type": "int", "default": 60},
        "type": {
            "type": "str",
            "choices": [
                "default",
                "immediate",
                "lsn",
                "name",
                "none",
                "preserve",
                "standby",
                "time",
                "xid",
            ],
            "default": "default",
        },
        "target": {"type": "str"},
        "target_action": {"type": "str", "choices": ["pause", "promote", "shutdown"]},
        "target_exclusive": {"type": "bool"},
        "target_timeline": {"type": "str"},
        "set": {"type": "str"},
        "archive_mode": {"type": "str", "choices": ["preserve", "off"]},
        "recovery_options": {"type": "dict"},
        "tablespace_map": {"type": "dict"},
        "tablespace_map_all": {"type": "path"},
        "link_all": {"type": "bool"},
        "link_map": {"type": "dict"},
        "db_include": {"type": "list", "elements": "str"},
        "db_exclude": {"type": "list", "elements": "str"},
        "force": {"type": "bool", "default": False},
        "confirm_host": {"type": "str"},
        "delta": {"type": "bool", "default": False},
        # Said by the action plugin.
        "_host": {"type": "str"},
    }
    module.main(spec, "restore", work, uninstalled=_uninstalled, detached=True)


if __name__ == "__main__":
    main()
