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
  - Tries in a scratch directory of each SFTP repository what its server can do, and how fast it is;
    the scratch directory is gone afterwards. V(preflight=n) in O(options) leaves that out.
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
    stanza:
      description: The stanza.
      type: str
      sample: demo
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
          description: The WAL segment that was archived; V(none) when archiving is not checked.
          type: str
          sample: "000000010000000000000002"
        archived_after:
          description: Seconds until it had arrived.
          type: float
          sample: 0.42
        preflight:
          description:
            - What the server can do, and what follows from it.
            - V(none) for a repository without a server, and where the preflight is left out.
          type: dict
          contains:
            location:
              description: Host and directory.
              type: str
              sample: sftp-srv:/backup_space
            software:
              description: What the SSH server calls itself.
              type: str
              sample: OpenSSH_9.2p1
            cipher:
              description: The cipher of the session.
              type: str
              sample: aes128-gcm@openssh.com
            extensions:
              description: Names of the extensions of SFTP that the server announces.
              type: list
              elements: str
              sample: [fsync@openssh.com, limits@openssh.com]
            trials:
              description:
                - Each thing that was tried, in the order of trying.
                - A server that refuses what a repository cannot be without fails the task.
              type: list
              elements: dict
              contains:
                name:
                  description: What was tried.
                  type: str
                  sample: rename over
                works:
                  description: Whether it works; V(none) when it could not even be tried.
                  type: bool
                  sample: true
                detail:
                  description: The server's reason, or a remark; may be empty.
                  type: str
                  sample: ""
            round_trip:
              description: Seconds of the shortest round trip.
              type: float
              sample: 0.0951
            upload:
              description: Bytes in a second, of a sample of 4 MiB in one session.
              type: float
              sample: 13500000.0
            download:
              description: The same the other way.
              type: float
              sample: 21000000.0
            free:
              description: Bytes that are free; V(none) when the server does not say.
              type: int
              sample: 52710469632
            handles:
              description: Files that may be open at once; V(none) when the server does not say.
              type: int
              sample: 1019
            request:
              description: Bytes in one request.
              type: int
              sample: 261120
            consequences:
              description: What follows from it, in sentences.
              type: list
              elements: str
              sample: [no symbolic links; a repository over SFTP has none]
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
