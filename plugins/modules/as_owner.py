#!/usr/bin/python
# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

# What it does is the action plugin's.

DOCUMENTATION = r"""
module: as_owner
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Run a module as the owner of what it changes
description:
  - >-
    In a directory that somebody else can change, a file may be a link to another one by the time
    that root writes it. With this the module has the rights of the owner, and no more.
  - >-
    Run the task as root. It needs no C(become_user), no acl package, and no pipelining for the
    other tasks.
options:
  user:
    description: Who runs the module on the host.
    type: str
    required: true
  module:
    description: >-
      Name of the module, such as V(ansible.builtin.file). What the controller does for some
      modules, such as M(ansible.builtin.template), it does not do here.
    type: str
    required: true
  args:
    description: The parameters of the module.
    type: dict
    required: true
attributes:
  check_mode:
    description: Can run in check mode and say what it would change.
    support: full
    details: As far as the module does. Of a user who does not exist yet, everything would change.
  diff_mode:
    description: Says what it changes, or would change, in diff mode.
    support: full
    details: As far as the module does.
  idempotent:
    description: Changes nothing when run again.
    support: full
    details: As far as the module does.
  async:
    description: Can run in the background.
    support: none
"""

EXAMPLES = r"""
- name: Have a directory for keys
  pgsftp.backup.as_owner:
    user: postgres
    module: ansible.builtin.file
    args:
      path: /var/lib/postgresql/.ssh
      state: directory
      mode: "0700"
  become: true
"""

RETURN = r"""
anything:
  description: What the module returns, without facts.
  returned: always
  type: dict
"""
