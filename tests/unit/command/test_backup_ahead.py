# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a standby may not have whole although the scan of its primary saw their time."""

from __future__ import annotations

import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import ahead
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    DataDirectory,
    FileEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    ManifestFile,
)

BEGIN = 1767225600
TABLE = "pg_data/base/5/16384"


def entry(name, mtime):
    return FileEntry(name, 8192, mtime, 0o600, None, None, True, True)


def line(name, mtime):
    return ManifestFile(name, 8192, 100, mtime, 0o600, None, None, "1" * 40)


def made(*, standby):
    """All that is asked of a manifest."""
    return types.SimpleNamespace(
        options=types.SimpleNamespace(backup_standby=standby),
        backup=types.SimpleNamespace(timestamp_start=BEGIN),
    )


# A file may have the second before by a clock that goes in ticks.
@pytest.mark.parametrize(
    ("mtime", "is_ahead"),
    [
        (BEGIN - 3600, False),
        (BEGIN - 2, False),
        (BEGIN - 1, True),
        (BEGIN, True),
        (BEGIN + 9, True),
    ],
)
def test_what_was_written_since_the_beginning(mtime, is_ahead):
    found = ahead.files(DataDirectory("/d", files=[entry(TABLE, mtime)]), BEGIN)
    assert found == ({TABLE} if is_ahead else set())
    assert ahead.is_doubtful(line(TABLE, mtime), made(standby=True)) is is_ahead


def test_what_is_read_from_the_primary_is_what_was_scanned():
    own = ("pg_data/postgresql.conf", "pg_data/global/pg_control")
    entries = [entry(name, BEGIN + 5) for name in own]
    assert ahead.files(DataDirectory("/d", files=entries), BEGIN) == set()
    for name in own:
        assert not ahead.is_doubtful(line(name, BEGIN + 5), made(standby=True))
    for standby in (False, None):
        assert not ahead.is_doubtful(line(TABLE, BEGIN + 5), made(standby=standby))
