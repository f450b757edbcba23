# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""expire: what goes, what stays, and what is told of it."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors, log
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import expire
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
    infofile,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.expiring import RULE, two_sets


@pytest.fixture
def place(fixture_repositories, tmp_path):
    return two_sets(fixture_repositories, tmp_path)


@pytest.fixture
def warned():
    """What is logged as a warning."""
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler = log.attach(Handler(), "warn")
    yield lines
    log.detach(handler)


@pytest.mark.parametrize("days", [0, 1, 100000])
def test_manifests_of_former_backups_go_as_with_the_peer(place, tmp_path, days):
    place.expire(*RULE)
    history = place.path / "backup/demo/backup.history"
    (history / "2020").mkdir()
    shutil.copy(next(history.glob("2026/*")), history / "2020/20200101-000000F.manifest.gz")
    other = place.copy_to(tmp_path / "other")
    rule = (*RULE, f"--repo1-retention-history={days}")
    other.peer("expire", *rule)
    before = place.tree()
    dry = place.expire(*rule, "--dry-run")
    assert place.tree() == before
    result = place.expire(*rule)
    assert result.removed_history == dry.removed_history
    assert place.tree() == other.tree()


@pytest.mark.parametrize("rest", [".0123456789abcdef.pgbackrest.tmp", ".pgbackrest.tmp"])
def test_what_a_killed_backup_left_in_the_history_goes_with_what_is_too_old(place, rest):
    days = (time.time() - time.mktime((2020, 6, 1, 0, 0, 0, 0, 0, -1))) // 86400
    year = place.path / "backup/demo/backup.history/2020"
    year.mkdir()
    kept = year / "20200701-000000F.manifest.gz"
    old = year / f"20200501-000000F.manifest.gz{rest}"
    for path in (kept, old):
        path.write_bytes(b"half of")
    result = place.expire(f"--repo1-retention-history={days:.0f}")
    assert list(year.iterdir()) == [kept]
    assert result.removed_history == (str(old.relative_to(place.path)),)


def test_a_history_of_a_timeline_that_goes_is_a_change(place):
    place.expire(*RULE)
    assert not place.expire(*RULE).changed
    archive = next((place.path / "archive/demo").glob("15-1"))
    # The timeline before the one on which the oldest backup was made.
    old = archive / "00000000.history"
    old.write_text("")
    kept = archive / "00000001.history"
    kept.write_text("")
    dry = place.expire(*RULE, "--dry-run")
    assert dry.changed
    assert old.exists()
    done = place.expire(*RULE)
    assert done.changed
    assert done.removed_timelines == dry.removed_timelines
    assert done.as_dict()["removed_timelines"] == ["archive/demo/15-1/00000000.history"]
    assert not old.exists()
    assert kept.exists()
    assert not place.expire(*RULE).changed


def test_a_directory_of_no_backup_that_goes_is_a_change(place):
    """An earlier expire ended between the manifest of a backup and its files."""
    place.expire(*RULE)
    left = place.path / "backup/demo/20260101-000000F"
    (left / "pg_data").mkdir(parents=True)
    dry = place.expire(*RULE, "--dry-run")
    assert dry.changed
    assert dry.as_dict()["removed_directories"] == [left.name]
    assert left.exists()
    done = place.expire(*RULE)
    assert done.changed
    assert done.removed_directories == dry.removed_directories
    assert not left.exists()
    assert not place.expire(*RULE).changed


def test_a_list_that_is_put_right_is_a_change(place):
    """One backup is not in it, and one of those that are is nowhere."""
    place.expire(*RULE)
    storage = PosixStorage(str(place.path))
    catalogue = backup_info.load(storage, "demo", None)
    full, incr = place.new
    entry = catalogue.backups[incr]
    listed = catalogue.without_backups([incr]).with_backup(
        dataclasses.replace(entry, label=f"{full}_20261231-000000I")
    )
    backup_info.save(storage, "demo", listed, None)
    for dry_run in (True, False):
        result = place.expire(*RULE, *(["--dry-run"] if dry_run else []))
        assert result.changed
        assert result.relisted == (incr, f"{full}_20261231-000000I")
    assert list(backup_info.load(storage, "demo", None).backups) == place.new
    assert not place.expire(*RULE).changed


def test_the_oldest_goes_when_asked(place):
    result = place.expire("--oldest")
    assert [row.label for row in result.verdicts if row.remove] == place.old
    assert place.listed() == place.new
    assert not [row for row in place.expire("--oldest").verdicts if row.remove]


def test_oldest_and_a_named_backup_are_two_wishes(place):
    with pytest.raises(errors.OptionInvalidError):
        place.expire("--oldest", f"--set={place.old[0]}")


def test_a_backup_with_damaged_pages_does_not_end_the_last_good_one(place):
    storage = PosixStorage(str(place.path))
    catalogue = backup_info.load(storage, "demo", None)
    for label in place.new:
        catalogue = catalogue.with_backup(dataclasses.replace(catalogue.backups[label], error=True))
    backup_info.save(storage, "demo", catalogue, None)
    result = place.expire(*RULE)
    assert not any(row.remove for row in result.verdicts)
    assert place.listed() == place.old + place.new
    first = catalogue.backups[place.old[0]].archive_start
    assert result.archives["15-1"].ranges[-1][:2] == (first, None)


def test_each_reason_is_told(place):
    content = place.expire(*RULE, "--dry-run").as_dict()
    assert json.loads(json.dumps(content)) == content
    assert {row["label"]: row["reason"] for row in content["backups"]} == {
        place.old[0]: "older than the newest 1 full backups",
        place.old[1]: f"depends on {place.old[0]}",
        place.new[0]: "within 1 newest full backups",
        place.new[1]: f"its full backup {place.new[0]} stays",
    }
    assert content["archives"]["15-1"] == {
        "reason": f"WAL from {place.new[0]} on is kept",
        "kept": [
            {
                "start": "00000001000000000000000B",
                "stop": None,
                "reason": f"from {place.new[0]} on",
            }
        ],
        "removed": [{"start": "000000010000000000000008", "stop": "00000001000000000000000A"}],
    }
    assert content["dry_run"]
    assert content["changed"]


def test_a_dry_run_is_for_people_to_read(place):
    report = place.expire_all(*RULE, "--dry-run")
    assert report.text.splitlines() == [
        f"repo1: remove backup {place.old[0]}: older than the newest 1 full backups",
        f"repo1: remove backup {place.old[1]}: depends on {place.old[0]}",
        f"repo1: keep   backup {place.new[0]}: within 1 newest full backups",
        f"repo1: keep   backup {place.new[1]}: its full backup {place.new[0]} stays",
        f"repo1: keep   WAL 15-1 from 00000001000000000000000B: from {place.new[0]} on",
        "repo1: remove WAL 15-1 000000010000000000000008 to 00000001000000000000000A: "
        f"WAL from {place.new[0]} on is kept",
        "nothing was removed: this is a dry run",
    ]
    # A real run tells it in its log.
    assert place.expire_all(*RULE).text == ""


def test_a_backup_that_is_nowhere(place):
    with pytest.raises(errors.BackupSetInvalidError, match="is not valid"):
        place.expire("--set=20200101-000000F")


@pytest.mark.parametrize("wanted", ["latest", "20200101-000000", "20200101-000000F\n"])
def test_what_is_no_label_is_told_as_the_peer_tells_it(place, wanted):
    """It is a slip of who typed it, and says nothing of the repository."""
    with pytest.raises(errors.OptionInvalidValueError, match="not a valid backup label format"):
        expire.run(place.options("expire", f"--set={wanted}"))


def test_the_last_full_backup_is_not_removed_even_by_name(place):
    place.expire(*RULE)
    with pytest.raises(errors.BackupSetInvalidError, match="until another full backup"):
        place.expire(f"--set={place.new[0]}")


def test_the_last_full_backup_of_a_former_cluster_stays_while_the_new_one_has_none(place):
    """After stanza-upgrade it is all that there is."""
    storage = PosixStorage(str(place.path))
    archive = archive_info.load(storage, "demo", None)
    catalogue = backup_info.load(storage, "demo", None)
    row = catalogue.current._replace(system_id=catalogue.current.system_id + 1)
    archive_info.save(storage, "demo", archive.upgraded(row.system_id, row.version), None)
    backup_info.save(storage, "demo", catalogue.upgraded(row), None)
    place.expire(f"--set={place.old[0]}")
    with pytest.raises(errors.BackupSetInvalidError, match="until another full backup"):
        place.expire(f"--set={place.new[0]}")
    assert place.listed() == place.new


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--repo1-retention-archive-type=incr",), "'repo1-retention-archive' is not set"),
        (
            ("--repo1-retention-archive-type=diff",),
            "neither option 'repo1-retention-archive' nor option 'repo1-retention-diff' is set",
        ),
        (("--repo1-retention-archive-type=diff", "--repo1-retention-diff=1"), None),
        (("--repo1-retention-archive-type=incr", "--repo1-retention-archive=1"), None),
        ((), None),
    ],
)
def test_wal_that_never_goes_is_warned_of(place, warned, arguments, said):
    place.expire(*RULE, *arguments)
    if said is None:
        assert warned == []
    else:
        (line,) = warned
        assert line.startswith("WAL segments will not be expired: ")
        assert line.endswith(said)


def test_the_newest_backup_goes_by_name_with_a_warning(place, warned):
    place.expire("--repo1-retention-full=2", f"--set={place.old[1]}")
    assert warned == []
    place.expire("--repo1-retention-full=2", f"--set={place.new[1]}")
    (line,) = warned
    assert line.startswith(f"repo1: expiring latest backup {place.new[1]} - ")


def test_one_repository_that_is_down_keeps_no_other_from_being_expired(place, tmp_path):
    second = tmp_path / "second"
    text = place.config.read_text().replace(
        "[demo]", f"repo2-path={second}\nrepo1-retention-full=1\nrepo2-retention-full=1\n[demo]"
    )
    place.config.write_text(text)
    with pytest.raises(errors.CommandError) as caught:
        expire.run(place.options("expire"))
    assert caught.value.message.startswith("repo2: unable to ")
    assert "stanza-create" in caught.value.hint
    assert place.listed() == place.new
    shutil.copytree(place.path, second, symlinks=True)
    assert [row.repo for row in expire.run(place.options("expire")).repos] == [1, 2]


def test_info_that_does_not_fit_the_archive_stops_before_wal_is_removed(place):
    path = place.path / "archive/demo/archive.info"
    document = infofile.parse(path.read_text())
    sections = {name: dict(rows) for name, rows in document.sections.items()}
    sections["db:history"]["1"]["db-id"] = 5
    for name in ("archive.info", "archive.info.copy"):
        (path.parent / name).write_text(infofile.render(sections))
    before = [name for name in place.tree() if name.startswith("archive/")]
    with pytest.raises(errors.FormatError, match="history lists do not match"):
        place.expire(*RULE)
    assert [name for name in place.tree() if name.startswith("archive/")] == before


def test_what_a_killed_push_left_goes_when_it_is_old(place):
    kept = max(place.path.glob("archive/demo/15-1/*/*-*"))
    histories = kept.parents[1]
    (histories / "00000002.history").write_bytes(b"x")
    old = [
        kept.with_name(f"{kept.name}.0123456789abcdef.pgbackrest.tmp"),
        kept.with_name(f"{kept.name}.pgbackrest.tmp"),  # the peer's
        histories / "00000002.history.0123456789abcdef.pgbackrest.tmp",
    ]
    young = kept.with_name(f"{kept.name}.fedcba9876543210.pgbackrest.tmp")
    for path in (*old, young):
        path.write_bytes(b"half of it")
    for path in old:
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    place.expire(*RULE, "--dry-run")
    assert all(path.exists() for path in old)
    place.expire(*RULE)
    assert not any(path.exists() for path in old)
    assert young.exists()
    assert kept.exists()
    assert (histories / "00000002.history").exists()
