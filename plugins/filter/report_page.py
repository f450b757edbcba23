# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``report_page``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_page
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: Show backups, WAL and replication as one HTML page
description:
  - Returns a page with the time line of the backups and of the WAL, the times to which one can
    recover, what is missing, sizes, the replication and the last drill.
  - The page asks no other place for anything. It has tables of all that it draws.
options:
  _input:
    description: One element for each cluster.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The stanza.
        type: str
        required: true
      host:
        description: The host that was asked.
        type: str
        required: true
      info:
        description:
          - What M(pgsftp.backup.stanza_info) returns as
            RV(pgsftp.backup.stanza_info#module:info).
        type: dict
        required: true
      wal:
        description: What it returns as RV(pgsftp.backup.stanza_info#module:wal).
        type: list
        elements: dict
        required: true
      server:
        description:
          - The C(standbys), the C(slots) and the C(archiver) of the server, as the playbook
            C(pgsftp.backup.report) asks for them. Empty when it could not be asked.
        type: dict
      drill:
        description:
          - The last proof that a restore works, as the playbook C(pgsftp.backup.drill) writes it
            to C(last.json).
        type: dict
  generated:
    description: The time of the report in seconds since 1970. By default now.
    type: int
  title:
    description: The title of the page.
    type: str
    default: PostgreSQL backups
  missing:
    description: Hosts that could not be asked.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Write the report
  ansible.builtin.copy:
    content: "{{ clusters | pgsftp.backup.report_page(title='Backups of the shop') }}"
    dest: report.html
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

import time
import typing as t

from ansible.errors import AnsibleFilterError

from ..plugin_utils.report_page import page


def report_page(
    stanzas: list[dict[str, t.Any]],
    generated: int | None = None,
    title: str = "PostgreSQL backups",
    missing: t.Sequence[str] = (),
) -> str:
    """See DOCUMENTATION."""
    data = {
        "stanzas": stanzas,
        "generated": time.time() if generated is None else generated,
        "title": title,
        "missing": missing,
    }
    try:
        return page(data)
    except (KeyError, TypeError, ValueError) as cause:
        raise AnsibleFilterError(
            f"report_page cannot read its data: {type(cause).__name__}: {cause}"
        ) from cause


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"report_page": report_page}
