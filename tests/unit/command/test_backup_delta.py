# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When time stamps are not trusted."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import delta
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    DataDirectory,
    FileEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    BackupFacts,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestOptions,
)

TABLE = "pg_data/base/5/16384"
SEGMENT = "000000010000000000000010"
LATER = "000000020000000000000010"


def entry(mtime=1000, size=8192):
    return FileEntry(TABLE, size, mtime, 0o600, "postgres", "postgres", True, True)


def prior(*, online=True, stop=SEGMENT, size=8192, original_size=None, begun=None):
    row = ManifestFile(
        TABLE, size, size, 1000, 0o600, "postgres", "postgres", original_size=original_size
    )
    facts = BackupFacts(
        "20260101-000000F",
        "full",
        1,
        1,
        1,
        ("20260101-000000F",),
        archive_start=begun,
        archive_stop=stop,
    )
    return Manifest(
        facts,
        ManifestDb(1, 1, "15", 1, 1),
        ManifestOptions(online=online),
        (),
        [row],
        (),
    )


def reason(before, found=None, *, start=SEGMENT, online=True):
    data = DataDirectory("/data", files=[found or entry()])
    return delta.reason(data, before, archive_start=start, online=online, copy_start=2000)


def test_times_are_trusted_when_nothing_speaks_against_it():
    assert reason(prior()) is None
    assert reason(None) is None
    assert reason(prior(), entry(mtime=1500, size=16384)) is None
    # What was read of a file that shrank meanwhile is not what the scan saw.
    assert reason(prior(size=4096, original_size=8192)) is None
    assert reason(prior(online=False, stop=None), start=None, online=False) is None


@pytest.mark.parametrize(
    ("before", "found", "start", "online", "expected"),
    [
        (prior(), entry(), LATER, True, "a timeline switch has occurred"),
        (prior(stop=None, begun=SEGMENT), entry(), LATER, True, "a timeline switch has occurred"),
        (prior(online=False), entry(), SEGMENT, True, "the online option has changed since"),
        (prior(), entry(), SEGMENT, False, "the online option has changed since"),
        (prior(), entry(mtime=999), SEGMENT, True, "timestamp earlier than prior backup"),
        (
            prior(),
            entry(size=16384),
            SEGMENT,
            True,
            "but different size (prior 8192, current 16384)",
        ),
        (prior(), entry(mtime=2001), SEGMENT, True, "in the future (relative to copy start 2000)"),
        (None, entry(mtime=2001), SEGMENT, True, "in the future"),
    ],
)
def test_times_are_not_trusted(before, found, start, online, expected):
    assert expected in reason(before, found, start=start, online=online)
