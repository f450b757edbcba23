# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""info: equal to the real tool's output for its repositories, and texts for everything else."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta, timezone

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import CryptoError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive,
    archive_info,
    backup_info,
    manifest,
    report,
    report_text,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.lock import LockState
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.report import (
    RepoFacts,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.fixtures import (
    FixtureRepositories,
    FixtureRepository,
)

UTC = timezone.utc
ROW = BackupDb(1, 7710950800232444755, "15", 202209061, 1300)


def facts(repository: FixtureRepository, key: int = 1) -> RepoFacts:
    storage = PosixStorage(str(repository.path))
    info = archive_info.load(storage, "demo", repository.cipher_pass)
    ids = [row.archive_id for row in info.history]
    return RepoFacts(
        key,
        "none" if repository.cipher_pass is None else "aes-256-cbc",
        info,
        backup_info.load(storage, "demo", repository.cipher_pass),
        archive.wal_ranges(storage, "demo", ids),
    )


def test_equal_to_the_real_tool(fixture_repository: FixtureRepository) -> None:
    found = report.stanza_report("demo", [facts(fixture_repository)])
    assert [found] == fixture_repository.expected["info"]
    assert json.loads(report.render_json([found])) == [found]
    assert "\n" not in report.render_json([found])
    text = report_text.render_text([found], zone=UTC)
    assert text == fixture_repository.expected["info_text"]


def detailed(repository: FixtureRepository, label: str) -> str:
    storage = PosixStorage(str(repository.path))
    repo = facts(repository)
    assert repo.backup is not None
    loaded = manifest.load(storage, "demo", label, repo.backup.cipher_pass)
    whole = dataclasses.replace(repo, manifest=loaded)
    found = report.stanza_report("demo", [whole], backup_set=label)
    return report_text.render_text([found], backup_set=label, zone=UTC)


def test_one_backup_in_detail(fixture_repositories: FixtureRepositories) -> None:
    text = detailed(fixture_repositories["a"], "20261122-113137F_20261122-113142I")
    assert text.endswith(
        """
        incr backup: 20261122-113137F_20261122-113142I
            timestamp start/stop: 2026-11-22 11:31:42+00 / 2026-11-22 11:31:43+00
            wal start/stop: 00000001000000000000000C / 00000001000000000000000C
            lsn start/stop: 0/C00028 / 0/C00100
            database size: 22.3MB, database backup size: 784.3KB
            repo1: backup set size: 22.3MB, backup size: 784.3KB
            backup reference list: 20261122-113137F
            database list: postgres (5)
            symlinks:
                log => ../log
                postgresql.conf => /srv/pg/a/etc/postgresql.conf
"""
    )
    text = detailed(fixture_repositories["b"], "20261122-113150F")
    assert text.endswith(
        """
            database list: app (16385), postgres (5)
            tablespaces:
                ts1 (16384) => /srv/pg/b/ts1
            annotation(s)
                note: first = full
                source: fixture
"""
    )


def stanza() -> RepoFacts:
    return RepoFacts(
        1,
        "none",
        archive_info.create(ROW.system_id, "15", None),
        backup_info.create(ROW, None),
        {"15-1": None},
    )


def text_of(*repos: RepoFacts, backup_set: str | None = None) -> str:
    found = report.stanza_report("demo", repos, backup_set=backup_set)
    return report_text.render_text([found], backup_set=backup_set, zone=UTC)


def test_nothing_at_all() -> None:
    assert report.render_json([]) == "[]"
    assert report_text.render_text([]) == "No stanzas exist in the repository.\n"


def test_a_new_stanza() -> None:
    assert text_of(stanza()) == (
        "stanza: demo\n"
        "    status: error (no valid backups)\n"
        "    cipher: none\n"
        "\n"
        "    db (current)\n"
        "        wal archive min/max (15): none present\n"
    )
    found = report.stanza_report("demo", [stanza()])
    assert found["archive"] == [
        {"database": {"id": 1, "repo-key": 1}, "id": "15-1", "max": None, "min": None}
    ]
    assert found["status"]["code"] == 2


@pytest.mark.parametrize(
    ("repo", "code", "message", "rest"),
    [
        (RepoFacts(1, "none", present=False), 1, "missing stanza path", ""),
        (RepoFacts(1, "none"), 3, "missing stanza data", "    cipher: none\n"),
    ],
)
def test_no_stanza(repo: RepoFacts, code: int, message: str, rest: str) -> None:
    found = report.stanza_report("demo", [repo])
    assert (found["archive"], found["backup"], found["db"]) == ([], [], [])
    assert found["status"]["code"] == code
    assert text_of(repo) == f"stanza: demo\n    status: error ({message})\n{rest}"


def test_an_error_is_shown_and_is_no_failure() -> None:
    repo = RepoFacts(1, "aes-256-cbc", error=CryptoError("unable to load", hint="is it right?"))
    found = report.stanza_report("demo", [repo])
    assert found["status"]["message"] == "other"
    assert found["repo"][0]["status"] == {
        "code": 99,
        "message": "[CryptoError] unable to load\nHINT: is it right?",
    }
    assert text_of(repo) == (
        "stanza: demo\n"
        "    status: error (other)\n"
        "            [CryptoError] unable to load\n"
        "            HINT: is it right?\n"
        "    cipher: aes-256-cbc\n"
    )


def test_a_backup_that_is_not_there(fixture_repositories: FixtureRepositories) -> None:
    text = text_of(facts(fixture_repositories["a"]), backup_set="20200101-000000F")
    assert text == (
        "stanza: demo\n    status: error (requested backup not found)\n    cipher: none\n"
    )


def test_one_type_of_backup(fixture_repositories: FixtureRepositories) -> None:
    repo = facts(fixture_repositories["a"])
    kinds = {row["type"] for row in report.stanza_report("demo", [repo])["backup"]}
    assert len(kinds) > 1
    for kind in kinds:
        found = report.stanza_report("demo", [repo], kind=kind)
        assert {row["type"] for row in found["backup"]} == {kind}
        assert found["status"]["code"] == 0


def test_a_former_cluster(fixture_repositories: FixtureRepositories) -> None:
    repo = facts(fixture_repositories["f"])
    assert repo.archive is not None
    assert repo.backup is not None
    upgraded = dataclasses.replace(
        repo,
        archive=repo.archive.upgraded(99, "17"),
        backup=repo.backup.upgraded(BackupDb(0, 99, "17", 1, 1700)),
    )
    text = text_of(upgraded)
    assert text.index("db (prior)") < text.index("(15): 000000010000000000000008/")
    assert text.index("full backup") < text.index("db (current)")
    assert text.endswith("        wal archive min/max (17): none present\n")
    without_wal = dataclasses.replace(upgraded, wal={})
    found = report.stanza_report("demo", [without_wal])
    assert [row["id"] for row in found["archive"]] == ["17-2"]


def test_a_cluster_with_another_id_in_the_archive() -> None:
    repo = stanza()
    other = archive_info.ArchiveInfo((archive_info.ArchiveDb(3, ROW.system_id, "15"),), 3)
    found = report.stanza_report("demo", [dataclasses.replace(repo, archive=other)])
    assert found["archive"][0]["id"] == "15-3"


def test_a_running_backup() -> None:
    copying = dataclasses.replace(stanza(), backup_lock=LockState(True, 1, 25975317, 18997087))
    found = report.stanza_report("demo", [copying])
    assert found["status"]["lock"] == {
        "backup": {
            "held": True,
            "repo": [{"key": 1, "size": 25975317, "size-cplt": 18997087}],
            "size": 25975317,
            "size-cplt": 18997087,
        },
        "restore": {"held": False},
    }
    begun = dataclasses.replace(
        stanza(), backup_lock=LockState(True, 1, 0, 0), restore_lock=LockState(True, 2, 8, 2)
    )
    assert report.stanza_report("demo", [begun])["status"]["lock"] == {
        "backup": {"held": True},
        "restore": {"held": True, "size": 8, "size-cplt": 2},
    }
    assert "(no valid backups, backup/expire running - 73.13% complete)" in text_of(copying)
    started = dataclasses.replace(stanza(), backup_lock=LockState(True, 1))
    assert "(no valid backups, backup/expire running)" in text_of(started)


def test_a_running_backup_of_a_good_stanza(fixture_repositories: FixtureRepositories) -> None:
    repo = dataclasses.replace(
        facts(fixture_repositories["a"]),
        backup_lock=LockState(True, 1, 200, 1),
        restore_lock=LockState(True, 2),
    )
    assert "    status: ok (backup/expire running - 0.50% complete, restore running)\n" in text_of(
        repo
    )


def test_two_repositories(fixture_repositories: FixtureRepositories) -> None:
    good = facts(fixture_repositories["a"])
    same = dataclasses.replace(facts(fixture_repositories["a"], key=2), cipher="aes-256-cbc")
    found = report.stanza_report("demo", [good, same])
    assert found["status"]["code"] == 0
    assert found["cipher"] == "mixed"
    assert [row["database"]["repo-key"] for row in found["backup"]] == [1, 2, 1, 2]
    text = text_of(good, same)
    assert "    cipher: mixed\n        repo1: none\n        repo2: aes-256-cbc\n" in text
    assert text.count("db (current)") == 1

    lost = RepoFacts(2, "none", error=CryptoError("unable to load"))
    text = text_of(good, lost)
    assert (
        "    status: mixed\n"
        "        repo1: ok\n"
        "        repo2: error (other)\n"
        "               [CryptoError] unable to load\n"
    ) in text

    other = dataclasses.replace(facts(fixture_repositories["f"]), key=2)
    assert report.stanza_report("demo", [good, other])["status"]["code"] == 5


def test_backups_of_several_repositories_at_once(fixture_repositories: FixtureRepositories) -> None:
    repos = [
        dataclasses.replace(
            facts(fixture_repositories["a"], key=key), backup_lock=LockState(True, 1, 100, key)
        )
        for key in (1, 2)
    ]
    assert (
        "    status: ok (backup/expire running - 1.50% complete)\n"
        "        repo1 backup: 1.00% complete\n"
        "        repo2 backup: 2.00% complete\n"
        "    cipher: none\n"
    ) in text_of(*repos)


def test_what_a_backup_may_lack() -> None:
    repo = stanza()
    entry = backup_info.BackupEntry(
        "20261122-110720F", "full", 1, 1, 2, 1023, 1024, 0, 5, None, None, error=True
    )
    assert repo.backup is not None
    repo = dataclasses.replace(repo, backup=repo.backup.with_backup(entry))
    text = text_of(repo)
    assert "            wal start/stop: n/a\n" in text
    assert "            database size: 1023B, database backup size: 1KB\n" in text
    assert text.endswith("            error(s) detected during backup\n")
    (found,) = report.stanza_report("demo", [repo])["backup"]
    assert "lsn" not in found
    assert found["archive"] == {"start": None, "stop": None}


def test_files_with_bad_pages_are_listed() -> None:
    bad = manifest.ManifestFile("pg_data/base/5/1", 1, 1, 1, 0, None, None, page_valid=False)
    whole = manifest.Manifest(
        manifest.BackupFacts("20261122-110720F", "full", 1, 1, 1, ("20261122-110720F",)),
        manifest.ManifestDb(1, 1, "15", 1, 1),
        manifest.ManifestOptions(),
        [manifest.Target("pg_data", "path", "/d")],
        [bad, bad._replace(name="pg_tblspc/1/PG_15_1/5/2"), bad._replace(page_valid=True)],
        [manifest.ManifestPath("pg_data", 0o700, None, None)],
    )
    repo = stanza()
    assert repo.backup is not None
    repo = dataclasses.replace(repo, backup=repo.backup.with_backup(manifest.entry_for(whole)))
    label = whole.backup.label
    found = report.stanza_report(
        "demo", [dataclasses.replace(repo, manifest=whole)], backup_set=label
    )
    assert found["backup"][0]["error"] is True
    text = report_text.render_text([found], backup_set=label, zone=UTC)
    assert "            database list: none\n" in text
    assert text.endswith("            error list: base/5/1, pg_tblspc/1/PG_15_1/5/2\n")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KB"),
        (1075, "1KB"),
        (1076, "1.1KB"),
        (2047, "2KB"),
        (1024**2 - 1, "1024KB"),
        (803072, "784.3KB"),
        (23361381, "22.3MB"),
        (1024**3, "1GB"),
        (5 * 1024**4, "5120GB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert report_text.size_text(size) == text


def test_times_have_their_offset() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    assert report_text.time_text(1795345640, UTC) == "2026-11-22 11:07:20+00"
    assert report_text.time_text(1795345640, india) == "2026-11-22 16:37:20+05:30"
    assert report_text.time_text(1795345640, timezone(-timedelta(hours=8))).endswith("-08")
