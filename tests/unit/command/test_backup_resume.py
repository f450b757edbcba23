# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a backup that was broken off can be kept."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    record,
    resume,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.copy import (
    CopiedFile,
    Outcome,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.plan import (
    CopyPlan,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify.files import (
    Checker,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.entries import (
    DataDirectory,
    FileEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    layout,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    PG_CONTROL,
    BackupFacts,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestOptions,
    ManifestPath,
    Target,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.reconstruct import (
    Reconstruction,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker.pool import WorkerPool

LABEL = "20260101-000000F"
NOW = 1000
WANTED = resume.Wanted("none", encrypted=False, bundle=True, block=False)
CONTENTS = {"base/1/1": b"one" * 10, "base/1/2": b"two" * 20, "base/1/3": b"three" * 30}


def entry(name, **changes):
    made = FileEntry(
        f"pg_data/{name}", len(CONTENTS[name]), 1000, 0o600, "postgres", "postgres", True, True
    )
    return made._replace(**changes)


def saved_manifest(rows, **changes):
    facts = BackupFacts(LABEL, "full", 1, 1, 0, (LABEL,), bundle=True)
    made = Manifest(
        facts,
        ManifestDb(1, 7, "15", 202209061, 1300),
        ManifestOptions(compress_type="none"),
        [Target("pg_data", "path", "/data")],
        rows,
        [ManifestPath("pg_data", 0o700, "postgres", "postgres")],
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture
def storage(tmp_path):
    return PosixStorage(str(tmp_path / "repo"))


@pytest.fixture
def saved(storage):
    """Two files in a bundle, one alone."""
    one, two, three = CONTENTS.values()
    storage.write(layout.bundle_path("demo", LABEL, 4), one + two)
    storage.write(layout.data_path("demo", LABEL, "pg_data/base/1/3"), three)
    rows = []
    for name, bundle_id, offset in (("1", 4, 0), ("2", 4, len(one)), ("3", 0, 0)):
        content = CONTENTS[f"base/1/{name}"]
        row = ManifestFile(
            f"pg_data/base/1/{name}",
            len(content),
            len(content),
            1000,
            0o600,
            "postgres",
            "postgres",
        )
        digest = hashlib.sha1(content).hexdigest()
        rows.append(row._replace(checksum=digest, bundle_id=bundle_id, bundle_offset=offset))
    made = saved_manifest(rows)
    manifest.save_checkpoint(storage, "demo", made, None)
    return made


@pytest.fixture
def found():
    cluster = BackupDb(1, 7, "15", 202209061, 1300)
    return Reconstruction(BackupInfo((cluster,), 1, {}), on_disk={LABEL: False})


def keep(storage, saved, entries, *, delta=False, pages=False, beat=lambda: None):
    data = DataDirectory("/data", files=entries)
    with WorkerPool(1, lambda _number, report, _word: Checker(storage, report)) as pool:
        return resume.keep(storage, "demo", pool, data, saved, delta=delta, pages=pages, beat=beat)


def stored_files(tmp_path):
    top = tmp_path / "repo/backup/demo" / LABEL
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())


@pytest.mark.parametrize("again", [True, False])
def test_what_was_not_looked_at_again_before_the_next_interruption_is_not_lost(
    storage, saved, tmp_path, again
):
    """Two files were to be compared by checksum; the run ends when it has done so for one."""
    entries = [entry(name, mtime=2000) for name in CONTENTS]
    kept = keep(storage, saved, entries, delta=True)
    assert sorted(kept.candidates) == [f"pg_data/{name}" for name in CONTENTS]
    name = "pg_data/base/1/2"
    done = {name: CopiedFile(name, Outcome.UNCHANGED, 60, kept.candidates[name].checksum)}
    planned = CopyPlan({}, {}, kept.candidates, 0)
    files = record.Copied(DataDirectory("/data", files=entries), planned, done, set())
    rows = record.rows_so_far(files, checksum_page=False)
    manifest.save_checkpoint(storage, "demo", dataclasses.replace(saved, files=rows), None)
    later = manifest.load(storage, "demo", LABEL, None)
    kept = keep(storage, later, entries, delta=again)
    if again:
        assert sorted(kept.candidates) == [f"pg_data/{name}" for name in CONTENTS]
    else:
        # The others may have changed meanwhile: their times of today say nothing of what is stored.
        assert list(kept.files) == [name]


def test_what_has_not_changed_is_kept_with_todays_attributes(storage, saved, tmp_path):
    kept = keep(storage, saved, [entry(name, mode=0o640) for name in CONTENTS])
    assert sorted(kept.files) == [f"pg_data/{name}" for name in sorted(CONTENTS)]
    assert {row.mode for row in kept.files.values()} == {0o640}
    assert {row.reference for row in kept.files.values()} == {None}
    assert kept.first_bundle_id == 5
    assert stored_files(tmp_path) == ["backup.manifest.copy", "bundle/4", "pg_data/base/1/3"]


@pytest.mark.parametrize("change", [{"mtime": 1001}, {"size": 29}])
def test_a_file_that_changed_is_not_kept_but_its_neighbours_are(storage, saved, tmp_path, change):
    entries = [entry("base/1/1", **change), entry("base/1/2"), entry("base/1/3", **change)]
    kept = keep(storage, saved, entries)
    assert list(kept.files) == ["pg_data/base/1/2"]
    assert stored_files(tmp_path) == ["backup.manifest.copy", "bundle/4"]


@pytest.mark.parametrize(("begin", "kept"), [(1002, 3), (1001, 0), (1000, 0)])
def test_what_a_standby_may_not_have_had_when_it_was_read_is_not_kept(storage, saved, begin, kept):
    """What it lacks is in the WAL of that run, but not in what this one begins with."""
    made = dataclasses.replace(
        saved,
        backup=dataclasses.replace(saved.backup, timestamp_start=begin),
        options=dataclasses.replace(saved.options, backup_standby=True),
    )
    assert len(keep(storage, made, [entry(name) for name in CONTENTS]).files) == kept


def test_what_was_recorded_with_a_time_that_it_does_not_have_is_not_kept(storage, saved):
    rows = [row._replace(timestamp=999) for row in saved.files]
    made = dataclasses.replace(saved, files=rows)
    assert keep(storage, made, [entry(name) for name in CONTENTS]).files == {}


def test_pages_that_nobody_looked_at_are_looked_at(storage, saved):
    """The run that was broken off was told not to."""
    rows = [row._replace(page_valid=True) for row in saved.files[:1]] + list(saved.files[1:])
    made = dataclasses.replace(saved, files=rows)
    entries = [entry("base/1/1"), entry("base/1/2"), entry("base/1/3", page_check=False)]
    assert sorted(keep(storage, made, entries, pages=True).files) == [
        "pg_data/base/1/1",
        "pg_data/base/1/3",
    ]


def test_whoever_waits_for_it_hears_that_it_goes_on(storage, saved):
    """The session with the server, and other hosts, which would take the backup for given up."""
    beats = []
    keep(storage, saved, [entry(name) for name in CONTENTS], beat=lambda: beats.append(1))
    assert beats


def test_what_shrank_while_it_was_copied_is_not_kept(storage, saved):
    """What is stored is shorter than the file was when it was looked at, and is now."""
    rows = [row._replace(original_size=row.size + 1) for row in saved.files]
    made = dataclasses.replace(saved, files=rows)
    entries = [entry(name, size=len(CONTENTS[name]) + 1) for name in CONTENTS]
    assert keep(storage, made, entries).files == {}


def test_pg_control_is_always_read_anew(storage, saved):
    """It comes last, whether it seems to have changed or not."""
    rows = [row._replace(name=PG_CONTROL) for row in saved.files[:1]] + list(saved.files[1:])
    made = dataclasses.replace(saved, files=rows)
    entries = [entry("base/1/1")._replace(name=PG_CONTROL), entry("base/1/2")]
    kept = keep(storage, made, entries)
    assert list(kept.files) == ["pg_data/base/1/2"]


def test_where_times_are_not_trusted_the_file_itself_decides(storage, saved):
    kept = keep(storage, saved, [entry("base/1/1", mtime=5), entry("base/1/2")], delta=True)
    assert kept.files == {}
    assert sorted(kept.candidates) == ["pg_data/base/1/1", "pg_data/base/1/2"]


def test_what_the_repository_does_not_give_back_is_not_kept(storage, saved, tmp_path):
    bundle = tmp_path / "repo" / layout.bundle_path("demo", LABEL, 4)
    bundle.write_bytes(b"x" + bundle.read_bytes()[1:])
    (tmp_path / "repo" / layout.data_path("demo", LABEL, "pg_data/base/1/3")).unlink()
    kept = keep(storage, saved, [entry(name) for name in CONTENTS])
    assert list(kept.files) == ["pg_data/base/1/2"]


def test_all_else_is_removed_and_no_number_of_a_bundle_is_used_twice(storage, saved, tmp_path):
    for path in ("bundle/9", "bundle/3.pgbackrest.tmp", "pg_data/gone/file"):
        storage.write(f"{layout.label_path('demo', LABEL)}/{path}", b"rest")
    kept = keep(storage, saved, [])
    assert kept.files == {}
    assert kept.first_bundle_id == 10
    assert stored_files(tmp_path) == ["backup.manifest.copy"]


def test_a_checkpoint_is_found(storage, saved, found):
    resumed = resume.find(storage, "demo", found, WANTED, NOW)
    assert resumed is not None
    assert (resumed.backup, resumed.files) == (saved.backup, saved.files)


@pytest.mark.parametrize(
    "on_disk",
    [
        {},
        {LABEL: True},
        {LABEL: False, "20260102-000000F": False},
        {f"{LABEL}_20260103-000000I": False},
    ],
)
def test_only_the_newest_directory_counts(storage, saved, found, on_disk):
    assert resume.find(storage, "demo", found._replace(on_disk=on_disk), WANTED, NOW) is None


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (WANTED._replace(compress_type="gz"), "new compress-type 'gz' does not match"),
        (WANTED._replace(encrypted=True), "new encryption 'True' does not match"),
        (WANTED._replace(bundle=False), "new repo-bundle 'False' does not match"),
        (WANTED._replace(block=True), "new repo-block 'True' does not match"),
    ],
)
def test_a_backup_of_another_kind_is_not_resumed(storage, saved, found, wanted, text, caplog):
    assert resume.find(storage, "demo", found, wanted, NOW) is None
    assert text in caplog.text


def test_a_backup_of_a_former_cluster_is_not_resumed(storage, saved, found, caplog):
    """Its files are of another version, whatever their names and times say."""
    clusters = (found.info.current, BackupDb(2, 8, "16", 202307071, 1300))
    upgraded = found._replace(info=BackupInfo(clusters, 2, {}))
    assert resume.find(storage, "demo", upgraded, WANTED, NOW) is None
    assert "does not match resumable cluster" in caplog.text


def test_a_checkpoint_of_another_tool_is_not_resumed(storage, saved, found, caplog):
    other = dataclasses.replace(saved, writer_version="2.55.1")
    manifest.save_checkpoint(storage, "demo", other, None)
    assert resume.find(storage, "demo", found, WANTED, NOW) is None
    assert "does not match resumable version '2.55.1'" in caplog.text


def test_a_checkpoint_that_cannot_be_read_is_not_resumed(storage, saved, found, caplog):
    path = layout.copy_of(layout.manifest_path("demo", LABEL))
    storage.write(path, b"not a manifest")
    assert resume.find(storage, "demo", found, WANTED, NOW) is None
    assert "unable to read its manifest" in caplog.text


@pytest.mark.parametrize("ahead", [resume.SET_BACK, resume.SET_BACK + 1])
def test_a_label_of_a_time_to_come_is_not_gone_on_with(storage, saved, found, ahead):
    """All other full backups would have to wait for that time."""
    resumed = resume.find(storage, "demo", found, WANTED, saved.backup.timestamp_start - ahead)
    assert (resumed is None) is (ahead > resume.SET_BACK)
