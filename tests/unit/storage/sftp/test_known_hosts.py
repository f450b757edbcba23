# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What known_hosts files say of a server."""

from __future__ import annotations

import os

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import known_hosts


def test_adding_keeps_what_is_there(tmp_path):
    file = tmp_path / "ssh/known_hosts"
    os.makedirs(file.parent)
    file.write_text("no newline at the end")
    for _dummy in range(2):
        known_hosts.append_known_host(str(file), "a b c\n")
    assert file.read_text() == "no newline at the end\na b c\n"
