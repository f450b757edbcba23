# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module documents."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and attributes."""

    DOCUMENTATION = r"""
options:
  stanza:
    description:
      - Name of the cluster in the repository.
    type: str
    required: true
  config:
    description:
      - Configuration file on the host, in pgBackRest's format. No secret passes through a task.
    type: path
    default: /etc/pgbackrest.conf
  options:
    description:
      - Options of pgBackRest by name, which replace those of the file for this task.
      - Booleans, numbers, lists and dictionaries are taken as such. A secret is refused.
    type: dict
    default: {}
  user:
    description:
      - Owner of the cluster, who does the work when the task runs as root.
      - By default the owner of the data directory, and V(postgres) where there is none yet.
    type: str
requirements:
  - paramiko
  - psycopg2
  - zstandard
  - numpy
notes:
  - Run the task as root or as the owner of the cluster; O(user) needs no C(become_user).
  - The role P(pgsftp.backup.pgsftp#role) installs the libraries and writes the configuration file.
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/pgsftp.backup.all) in C(module_defaults) to set defaults.
    support: full
    membership:
      - pgsftp.backup.all
"""

    CHANGES = r"""
options: {}
attributes:
  check_mode:
    description: Can predict the change without making it.
    support: full
  diff_mode:
    description: Shows what changes.
    support: none
"""

    FOLLOWED = r"""
options:
  _follow:
    description:
      - Not for tasks. The action plugin of the module says here for how many seconds it waits for
        the job at a time.
    type: float
  _attach:
    description:
      - Not for tasks. The action plugin of the module says here which job it waits for.
    type: str
"""

    READS = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Shows what changes.
    support: N/A
    details:
      - There is no change to show.
  idempotent:
    description: Changes nothing.
    support: full
"""
