# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive.info and backup.info: those of the real writer, and our own."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    CryptoError,
    EngineError,
    FormatError,
    JsonFormatError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
    infofile,
    layout,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupEntry,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    decode,
)
from ansible_collections.pgsftp.backup.tests.support.fixtures import FixtureRepository

ROW = BackupDb(1, 7710950800232444755, "15", 202209061, 1300)


def plain(storage: PosixStorage, path: str, repository: FixtureRepository) -> str:
    encoding = Encoding(cipher_pass=repository.cipher_pass)
    return infofile.to_text(decode(storage.read(path), encoding))


@pytest.mark.parametrize("suffix", ["", ".copy"])
def test_archive_info_of_the_real_writer(
    fixture_repository: FixtureRepository, fixture_storage: PosixStorage, suffix: str
) -> None:
    text = plain(fixture_storage, layout.archive_info("demo") + suffix, fixture_repository)
    info = archive_info.parse(text)
    assert archive_info.render(info, info.writer_version) == text
    assert info.current.archive_id == "15-1"
    assert (info.cipher_pass is None) == (fixture_repository.cipher_pass is None)
    assert [
        {"id": row.id, "repo-key": 1, "system-id": row.system_id, "version": row.version}
        for row in info.history
    ] == fixture_repository.expected["info"][0]["db"]


@pytest.mark.parametrize("suffix", ["", ".copy"])
def test_backup_info_of_the_real_writer(
    fixture_repository: FixtureRepository, fixture_storage: PosixStorage, suffix: str
) -> None:
    text = plain(fixture_storage, layout.backup_info("demo") + suffix, fixture_repository)
    info = backup_info.parse(text)
    assert backup_info.render(info, info.writer_version) == text
    assert list(info.backups) == [
        backup["label"] for backup in fixture_repository.expected["info"][0]["backup"]
    ]


def test_the_two_agree(
    fixture_repository: FixtureRepository, fixture_storage: PosixStorage
) -> None:
    archive = archive_info.load(fixture_storage, "demo", fixture_repository.cipher_pass)
    backup = backup_info.load(fixture_storage, "demo", fixture_repository.cipher_pass)
    assert [tuple(row) for row in archive.history] == [row[:3] for row in backup.history]
    assert archive.current_id == backup.current_id


def entry(label: str, **changes: t.Any) -> BackupEntry:
    base = BackupEntry(
        label=label,
        backup_type="full",
        db_id=1,
        timestamp_start=1,
        timestamp_stop=2,
        size=30,
        size_delta=20,
        repo_size=10,
        repo_size_delta=5,
        archive_start=None,
        archive_stop=None,
    )
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize("user_pass", [None, "user-pass"])
def test_what_is_saved_is_loaded(storage: PosixStorage, user_pass: str | None) -> None:
    sub_key = None if user_pass is None else "sub-key"
    archive = archive_info.create(ROW.system_id, "15", sub_key)
    archive_info.save(storage, "demo", archive, user_pass)
    assert archive_info.load(storage, "demo", user_pass) == archive

    full, incr = "20261122-110720F", "20261122-110720F_20261122-110724I"
    info = backup_info.create(ROW, sub_key)
    assert "[backup:current]" not in backup_info.render(info)
    info = info.with_backup(
        entry(
            incr,
            backup_type="incr",
            prior=full,
            reference=(full,),
            archive_start="000000010000000000000001",
            archive_stop="000000010000000000000002",
            lsn_start="0/1000028",
            lsn_stop="0/2000100",
            error=True,
            annotation={"note": 'a = "b"'},
            repo_size_map=7,
            repo_size_map_delta=3,
        )
    ).with_backup(entry(full))
    assert list(info.backups) == [full, incr]
    backup_info.save(storage, "demo", info, user_pass)
    assert backup_info.load(storage, "demo", user_pass) == info

    if user_pass is not None:
        assert b"sub-key" not in storage.read(layout.backup_info("demo"))
        assert storage.read(layout.backup_info("demo")) == storage.read(
            layout.copy_of(layout.backup_info("demo"))
        )
        with pytest.raises(EngineError) as caught:
            archive_info.load(storage, "demo", "another")
        assert isinstance(caught.value, (CryptoError, FormatError)) or caught.value.code == 26
        assert "another" not in str(caught.value)


def test_passes_never_show() -> None:
    assert "sub-key" not in repr(archive_info.create(1, "15", "sub-key"))
    assert "sub-key" not in repr(backup_info.create(ROW, "sub-key"))


def test_an_upgrade_keeps_the_past() -> None:
    archive = archive_info.create(1, "15", None).upgraded(2, "17")
    assert archive.current == archive_info.ArchiveDb(2, 2, "17")
    assert archive_info.parse(archive_info.render(archive)) == archive
    backup = backup_info.create(ROW, None).upgraded(ROW._replace(system_id=2, version="17"))
    assert backup.current == BackupDb(2, 2, "17", 202209061, 1300)
    assert backup_info.parse(backup_info.render(backup)) == backup


def test_ten_clusters_stay_in_order_of_their_ids() -> None:
    archive = archive_info.create(1, "15", None)
    for system_id in range(2, 12):
        archive = archive.upgraded(system_id, "15")
    text = archive_info.render(archive)
    assert text.index("\n9={") < text.index("\n10={") < text.index("\n11={")
    assert archive_info.parse(text) == archive


def test_the_current_cluster_must_be_in_the_history() -> None:
    sections = {"db": {"db-id": 2}, "db:history": {"1": {"db-id": 1, "db-version": "15"}}}
    with pytest.raises(FormatError, match="db-id 2 is not in the history"):
        archive_info.parse(infofile.render(sections))
    with pytest.raises(FormatError, match="db-id 2 is not in the history"):
        backup_info.parse(infofile.render({"db": {"db-id": 2}}))


@pytest.mark.parametrize(
    "key",
    [
        "backrest-format",
        "backrest-version",
        "backup-info-size",
        "backup-info-repo-size-delta",
        "backup-timestamp-stop",
        "backup-type",
        "db-id",
        "option-hardlink",
        "option-online",
    ],
)
def test_a_missing_key_is_named(key: str) -> None:
    info = backup_info.create(ROW, None).with_backup(entry("20261122-110720F"))
    sections = {
        name: dict(rows) for name, rows in infofile.parse(backup_info.render(info)).sections.items()
    }
    del sections["backup:current"]["20261122-110720F"][key]
    with pytest.raises(
        JsonFormatError, match=f"'20261122-110720F': required key '{key}' not found"
    ):
        backup_info.parse(infofile.render(sections))


@pytest.mark.parametrize(
    ("key", "value"), [("db-id", "1"), ("option-online", 1), ("backup-type", True), ("db-id", True)]
)
def test_a_wrong_type_is_named(key: str, value: object) -> None:
    info = backup_info.create(ROW, None).with_backup(entry("20261122-110720F"))
    sections = {
        name: dict(rows) for name, rows in infofile.parse(backup_info.render(info)).sections.items()
    }
    sections["backup:current"]["20261122-110720F"][key] = value
    with pytest.raises(JsonFormatError, match=f"'{key}' is not a"):
        backup_info.parse(infofile.render(sections))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backup-timestamp-start", 10**12),
        ("backup-timestamp-start", int("9" * 30)),
        ("backup-timestamp-stop", -99999999999999),
        ("backup-info-size", -5),
        ("backup-info-repo-size", 10**30),
        ("backup-archive-start", "zz"),
        ("backup-archive-stop", "00000001000000000000000"),
        ("backup-lsn-start", "x"),
        ("backup-lsn-stop", ""),
        ("backup-prior", "../x"),
        ("backup-reference", ["../x"]),
        ("db-id", 77),
        ("db-id", -1),
    ],
)
def test_a_value_that_no_backup_has_is_named(key: str, value: object) -> None:
    info = backup_info.create(ROW, None).with_backup(entry("20261122-110720F"))
    sections = {
        name: dict(rows) for name, rows in infofile.parse(backup_info.render(info)).sections.items()
    }
    sections["backup:current"]["20261122-110720F"][key] = value
    with pytest.raises((FormatError, JsonFormatError), match=f"'?{key}'? .*is not "):
        backup_info.parse(infofile.render(sections))


@pytest.mark.parametrize("end", ["archive_start", "archive_stop"])
def test_wal_has_two_ends(end: str) -> None:
    row = entry("20261122-110720F", **{end: "000000010000000000000001"})
    text = backup_info.render(backup_info.create(ROW, None).with_backup(row))
    with pytest.raises(FormatError, match="only one end"):
        backup_info.parse(text)


@pytest.mark.parametrize("label", ["x", "../../../x", "20261122-110720F/.."])
def test_a_label_is_one(label: str) -> None:
    text = backup_info.render(backup_info.create(ROW, None).with_backup(entry(label)))
    with pytest.raises(FormatError, match="is not the name of a backup"):
        backup_info.parse(text)


@pytest.mark.parametrize("version", ["x", "", "../../..", "15/..", "1٥", "1" * 5000])
def test_a_version_is_one(version: str) -> None:
    for text, parse in (
        (archive_info.render(archive_info.create(1, version, None)), archive_info.parse),
        (backup_info.render(backup_info.create(ROW._replace(version=version), None)),
         backup_info.parse),
    ):  # fmt: skip
        with pytest.raises(JsonFormatError, match="'db-version' is not a version"):
            parse(text)


@pytest.mark.parametrize("key", ["²", "x", "0", "-1", "1" * 5000])
def test_an_id_of_the_history_is_one(key: str) -> None:
    row = {"db-id": 1, "db-version": "15"}
    text = infofile.render({"db": {"db-id": 1}, "db:history": {key: row}})
    for parse in (archive_info.parse, backup_info.parse):
        with pytest.raises(FormatError, match="invalid history id"):
            parse(text)


def test_dependents_are_found_through_any_number_of_priors() -> None:
    full, other = "20261122-110720F", "20261123-110720F"
    diff, incr1, incr2 = (
        full + "_20261122-110722D",
        full + "_20261122-110724I",
        full + "_20261122-110726I",
    )
    backups = {
        row.label: row
        for row in (
            entry(full),
            entry(diff, prior=full),
            entry(incr1, prior=diff),
            entry(incr2, prior=incr1),
            entry(other),
        )
    }
    assert backup_info.dependents(backups, full) == [full, diff, incr1, incr2]
    assert backup_info.dependents(backups, incr1) == [incr1, incr2]
    assert backup_info.dependents(backups, other) == [other]
