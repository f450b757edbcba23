# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifest says of a backup that is announced, under way, and whole."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.alive import MARK
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.begin import (
    Chosen,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.copy import (
    CopiedFile,
    Outcome,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.plan import (
    CopyPlan,
    Layout,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.record import (
    Begun,
    Copied,
    Ended,
    Record,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import AssertError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    DataDirectory,
    FileEntry,
    PathEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.server import (
    BackupStart,
    BackupStop,
    Database,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    EMPTY_SHA1,
    ManifestFile,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.compression import (
    Framing,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
)

LABEL = "20260101-000000F"
BEGIN = 1767225600
START = BackupStart("0/2000028", "000000010000000000000002", BEGIN)
STOP = BackupStop("0/2000138", "000000010000000000000002", "START WAL", "", BEGIN + 9)
BEGUN = Begun(START, BEGIN + 2, delta=True)
ENDED = Ended(STOP, BEGIN + 9, [Database("postgres", 5, 16383)])


def entry(name, size=100):
    return FileEntry(f"pg_data/{name}", size, BEGIN - 60, 0o600, None, None, True, False)


def row(name, **changes):
    made = ManifestFile(f"pg_data/{name}", 100, 40, BEGIN - 60, 0o600, None, None)
    return made._replace(checksum="a" * 40, **changes)


@pytest.fixture
def record():
    return Record(
        Options("backup", stanza="demo", annotation=(("ticket", "7"),)),
        RepoOptions(bundle=True),
        BackupDb(1, 7, "15", 202209061, 1300),
        Chosen("full", LABEL, None, None, BEGIN),
        Layout("demo", LABEL, Encoding("zst", 3, None), None, Framing.WHOLE, (LABEL,)),
        checksum_page=True,
        standby=False,
    )


@pytest.fixture
def files():
    """One of each: copied, vanished, proved unchanged, referenced, empty, not reached yet."""
    names = ("copied", "gone", "same", "held", "late")
    entries = [*(entry(name) for name in names), entry("empty", 0)]
    data = DataDirectory(
        "/data", files=entries, paths=[PathEntry("pg_data", 0o700, "postgres", "postgres")]
    )
    planned = CopyPlan(
        {},
        {"pg_data/held": row("held")},
        {f"pg_data/{name}": row(name) for name in ("same", "late")},
        400,
    )
    copied = {
        "pg_data/copied": CopiedFile("pg_data/copied", Outcome.COPIED, 90, "b" * 40, 30),
        "pg_data/gone": CopiedFile("pg_data/gone", Outcome.VANISHED),
        "pg_data/same": CopiedFile("pg_data/same", Outcome.UNCHANGED, 100, "a" * 40),
    }
    return Copied(data, planned, copied, set())


def by_name(manifest):
    return {line.name.split("/")[1]: line for line in manifest.files}


def test_an_announcement_names_the_backup_and_who_makes_it(record):
    made = record.announcement()
    assert made.backup.label == LABEL
    assert (made.backup.timestamp_start, made.backup.timestamp_stop) == (BEGIN, 0)
    assert made.backup.archive_start is None
    assert list(made.files) == []
    assert made.annotation["ticket"] == "7"
    assert MARK in made.annotation


def test_what_is_resumed_is_announced_with_what_it_holds(record, files):
    before = record.so_far(files, BEGUN)
    again = dataclasses.replace(record, chosen=Chosen("full", LABEL, None, before, BEGIN))
    assert again.announcement().files == before.files


def test_so_far_are_the_files_that_are_stored(record, files):
    made = record.so_far(files, BEGUN)
    lines = by_name(made)
    assert sorted(lines) == ["copied", "held", "late", "same"]
    # What was not looked at again has no time by which it could be taken for unchanged.
    assert lines["late"].timestamp == 0
    assert lines["same"].timestamp == BEGIN - 60
    assert made.backup.timestamp_stop == 0
    assert made.backup.lsn_stop is None
    assert MARK in made.annotation
    assert list(made.databases) == []


def test_the_whole_has_a_line_for_each_file_that_is_there(record, files):
    files.copied["pg_data/late"] = CopiedFile("pg_data/late", Outcome.UNCHANGED)
    label = row("backup_label")
    made = record.whole(files, [label], BEGUN, ENDED)
    lines = by_name(made)
    assert sorted(lines) == ["backup_label", "copied", "empty", "held", "late", "same"]
    assert lines["copied"].size == 90
    assert lines["copied"].original_size == 100
    assert lines["empty"].checksum == EMPTY_SHA1
    assert lines["empty"].page_valid is True
    facts = made.backup
    assert (facts.lsn_start, facts.lsn_stop) == (START.lsn, STOP.lsn)
    assert (facts.timestamp_copy_start, facts.timestamp_stop) == (BEGIN + 2, BEGIN + 9)
    assert (facts.bundle, facts.bundle_raw, facts.block_incr) == (True, False, False)
    assert made.options.delta is True
    assert made.options.compress_level == 3
    assert [row.name for row in made.databases] == ["postgres"]
    # Who made it is of no interest any more.
    assert made.annotation == {"ticket": "7"}


@pytest.mark.parametrize(
    ("kind", "level", "written"),
    [("none", None, 0), ("none", 0, 0), ("gz", None, 6), ("gz", -1, -1), ("zst", 9, 9)],
)
def test_a_level_is_always_told(record, kind, level, written):
    """pgBackRest does not go on with a backup that tells none, when its own type is another."""
    store = dataclasses.replace(record.store, encoding=Encoding(kind, level, None))
    made = dataclasses.replace(record, store=store).announcement()
    assert made.options.compress_level == written


def test_what_was_read_too_early_has_a_time_by_which_it_is_read_again(record, files):
    files.early.update({"pg_data/copied", "pg_data/same"})
    files.copied["pg_data/late"] = CopiedFile("pg_data/late", Outcome.UNCHANGED)
    for made in (record.so_far(files, BEGUN), record.whole(files, [], BEGUN, ENDED)):
        lines = by_name(made)
        assert lines["copied"].timestamp == BEGIN - 61
        assert lines["same"].timestamp == BEGIN - 61
        assert lines["late"].timestamp == BEGIN - 60
        assert lines["held"].timestamp == BEGIN - 60


def test_what_only_the_wal_of_this_backup_puts_right_is_read_again(record, files):
    name = "pg_data/copied"
    files.copied[name] = files.copied[name]._replace(again=True)
    files.copied["pg_data/late"] = CopiedFile("pg_data/late", Outcome.UNCHANGED)
    for made in (record.so_far(files, BEGUN), record.whole(files, [], BEGUN, ENDED)):
        lines = by_name(made)
        assert (lines["copied"].timestamp, lines["copied"].page_valid) == (BEGIN - 61, None)
        assert lines["same"].timestamp == BEGIN - 60


def test_a_file_that_nobody_stored_is_an_error(record, files):
    del files.copied["pg_data/copied"]
    with pytest.raises(AssertError, match="'pg_data/copied' was neither copied nor referenced"):
        record.whole(files, [], BEGUN, ENDED)
