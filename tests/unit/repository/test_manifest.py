# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: those of the real writer byte for byte, and our own."""

from __future__ import annotations

import dataclasses
import io
import tracemalloc
import typing as t

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    EngineError,
    FormatError,
    JsonFormatError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    backup_info,
    infofile,
    layout,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.manifest import (
    BackupFacts,
    Block,
    Database,
    Manifest,
    ManifestLink,
    ManifestOptions,
    ManifestPath,
    Target,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    decode,
)
from ansible_collections.pgsftp.backup.tests.support.fixtures import FixtureRepository
from ansible_collections.pgsftp.backup.tests.support.manifests import (
    LABEL,
    SHA1,
    SHA2,
    example,
    file,
)


def test_manifests_of_the_real_writer(
    fixture_repository: FixtureRepository, fixture_storage: PosixStorage
) -> None:
    info = backup_info.load(fixture_storage, "demo", fixture_repository.cipher_pass)
    for label in info.backups:
        path = layout.manifest_path("demo", label)
        for name, compress_type in (
            (path, "none"),
            (layout.copy_of(path), "none"),
            (layout.history_manifest_path("demo", label), "gz"),
        ):
            encoding = Encoding(compress_type, None, info.cipher_pass)
            text = infofile.to_text(decode(fixture_storage.read(name), encoding))
            assert manifest.render(manifest.parse(text)) == text


def test_sums_are_those_of_backup_info(
    fixture_repository: FixtureRepository, fixture_storage: PosixStorage
) -> None:
    info = backup_info.load(fixture_storage, "demo", fixture_repository.cipher_pass)
    for label, expected in info.backups.items():
        loaded = manifest.load(fixture_storage, "demo", label, info.cipher_pass)
        manifest.validate_whole(loaded)
        assert manifest.entry_for(loaded) == expected


def line(text: str, key: str) -> str:
    (found,) = [line for line in text.split("\n") if line.startswith(f"{key}=")]
    return found[len(key) + 1 :]


def test_a_negative_level_of_compression_is_written_as_the_real_reader_takes_it() -> None:
    """A negative number makes it refuse all of the manifest."""
    made = dataclasses.replace(
        example(), options=ManifestOptions(compress_level=-5, compress_level_network=-1)
    )
    text = manifest.render(made)
    assert line(text, "option-compress-level") == "4294967291"
    assert line(text, "option-compress-level-network") == "4294967295"
    read = manifest.parse(text).options
    assert (read.compress_level, read.compress_level_network) == (-5, -1)


def test_defaults_are_those_of_the_data_directory() -> None:
    text = manifest.render(example())
    assert '\n[target:file:default]\ngroup="postgres"\nmode="0640"\nuser="postgres"\n' in text
    assert '\n[target:path:default]\ngroup="postgres"\nmode="0750"\nuser="postgres"\n' in text
    assert "[target:link" not in text
    assert '"mode":"0600"' in line(text, "pg_data/PG_VERSION")


def test_every_key_of_a_file() -> None:
    full = file(
        "pg_data/base/5/1",
        mode=0o640,
        size=8193,
        user=None,
        group="staff",
        reference="20261121-000000F",
        bundle_id=3,
        bundle_offset=7,
        page_valid=False,
        page_errors=((2, 4), 10),
        block=Block(32768, 7, 68),
        original_size=8192,
    )
    text = manifest.render(example([full]))
    assert line(text, "pg_data/base/5/1") == (
        '{"bi":4,"bic":7,"bim":68,"bni":3,"bno":7,'
        f'"checksum":"{SHA1}","checksum-page":false,"checksum-page-error":[[2,4],10],'
        f'"group":"staff","rck":"{SHA2}","reference":"20261121-000000F","repo-size":100,'
        '"size":8193,"szo":8192,"timestamp":1795345637,"user":false}'
    )
    assert manifest.parse(text).files == [full]


def test_what_goes_without_saying_is_not_said() -> None:
    files = [
        file(
            "pg_data/empty",
            mode=0o640,
            size=0,
            repo_size=0,
            checksum=manifest.EMPTY_SHA1,
            repo_checksum=None,
        ),
        file("pg_data/plain", mode=0o640, repo_size=8192, repo_checksum=SHA1, original_size=8192),
    ]
    text = manifest.render(example(files))
    assert line(text, "pg_data/empty") == '{"size":0,"timestamp":1795345637}'
    assert (
        line(text, "pg_data/plain") == f'{{"checksum":"{SHA1}","size":8192,"timestamp":1795345637}}'
    )
    back = manifest.parse(text).files
    assert back == [files[0], files[1]._replace(repo_checksum=None, original_size=None)]


@pytest.mark.parametrize(
    "odd", [[], [b"pg_data/\xff", b"pg_data/\xc3\xa9", b"pg_data/\xee\x80\x80"]]
)
def test_lists_are_written_by_the_bytes_of_their_names(odd: list[bytes]) -> None:
    names = ["pg_data/b", *map(infofile.to_text, odd), "pg_data/a b", "pg_data/B", "pg_data/a"]
    text = manifest.render(example([file(name) for name in names]))
    found = [entry.name for entry in manifest.parse(text).files]
    assert found == sorted(names, key=infofile.to_bytes)


def test_what_many_files_take() -> None:
    """Of a file that is read its name, its checksums and a row; of one that is written little."""
    count = 20_000
    text = manifest.render(
        example(
            [
                file(
                    f"pg_data/base/5/{number}",
                    size=8192 * (1 + number % 50),
                    timestamp=1795345637 + number // 50,
                    checksum=f"{number:040x}",
                    repo_checksum=f"{number:040d}",
                )
                for number in range(10_000, 10_000 + count)
            ]
        )
    )
    tracemalloc.start()
    try:
        parsed = manifest.parse_pieces(io.StringIO(text))
        held, _peak = tracemalloc.get_traced_memory()
        assert held < 500 * count
        tracemalloc.reset_peak()
        for _piece in manifest.render_pieces(parsed):
            pass
        assert tracemalloc.get_traced_memory()[1] - held < 80 * count
    finally:
        tracemalloc.stop()


def test_everything_else_comes_back(storage: PosixStorage) -> None:
    whole = example(
        [file('pg_data/we=ird "name"', user=None)],
        backup=BackupFacts(
            LABEL + "_20261122-110724I",
            "incr",
            10,
            12,
            13,
            (LABEL, LABEL + "_20261122-110724I"),
            prior=LABEL,
            archive_start="000000010000000000000001",
            archive_stop="000000010000000000000002",
            lsn_start="0/1000028",
            lsn_stop="0/2000100",
            bundle=True,
            bundle_raw=True,
            block_incr=True,
        ),
        targets=[
            Target("pg_data", "path", "/srv/pg/data"),
            Target("pg_data/postgresql.conf", "link", "/etc/pg", file="postgresql.conf"),
            Target("pg_tblspc/16384", "link", "/srv/ts1", None, 16384, "ts1"),
        ],
        links=[
            ManifestLink("pg_data/pg_tblspc/16384", "/srv/ts1", "postgres", "postgres"),
            ManifestLink("pg_data/postgresql.conf", "/etc/pg/postgresql.conf", None, "staff"),
        ],
        paths=[
            ManifestPath("pg_data", 0o700, "postgres", "postgres"),
            ManifestPath("pg_data/base", 0o750, None, "staff"),
        ],
        databases=[Database("a=b", 5, 4), Database("postgres", 6, 4)],
        annotation={"note": "x = y"},
        cipher_pass="sub-key",
        options=ManifestOptions(True, True, True, 1, True, 3, 1, "gz", True, True, False, 8),
    )
    text = manifest.render(whole)
    back = manifest.parse(text)
    assert back == dataclasses.replace(whole, defaults=whole.resolved_defaults())
    assert manifest.render(back) == text
    assert "sub-key" not in repr(back)

    manifest.save(storage, "demo", whole, "manifest-pass")
    loaded = manifest.load(storage, "demo", whole.backup.label, "manifest-pass")
    assert loaded == back


def test_an_old_manifest_without_references() -> None:
    chain = (LABEL, LABEL + "_20261122-110724I")
    whole = example(
        [file("pg_data/a", reference=LABEL)],
        backup=BackupFacts(chain[1], "incr", 10, 12, 13, chain, prior=LABEL),
    )
    sections = _sections(whole)
    del sections["backup"]["backup-reference"]
    assert manifest.parse(infofile.render(sections)).backup.references == chain


def test_an_old_manifest_without_compress_type() -> None:
    sections = _sections(example())
    del sections["backup:option"]["option-compress-type"]
    assert manifest.parse(infofile.render(sections)).options.compress_type == "gz"
    sections["backup:option"]["option-compress"] = False
    assert manifest.parse(infofile.render(sections)).options.compress_type == "none"


def _sections(whole: Manifest) -> dict[str, dict[str, t.Any]]:
    parsed = infofile.parse(manifest.render(whole)).sections
    return {name: dict(rows) for name, rows in parsed.items()}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("target:file", "pg_data/PG_VERSION", {"size": 1}),
        ("target:file", "pg_data/PG_VERSION", {"timestamp": 1}),
        ("target:file", "pg_data/PG_VERSION", {"size": "1", "timestamp": 1}),
        ("target:file", "pg_data/PG_VERSION", 7),
        ("target:file", "pg_data/PG_VERSION", {"size": 1, "timestamp": 1, "mode": "rwx"}),
        ("target:file", "pg_data/PG_VERSION", {"size": 1, "timestamp": 1, "user": 7}),
        ("target:path", "pg_data", {"mode": 7}),
        ("target:path", "pg_data", []),
        ("backup:target", "pg_data", {"path": "/x"}),
        ("backup:target", "pg_tblspc/1", {"path": "/x", "type": "link", "tablespace-id": "x"}),
        ("backup", "backup-label", 5),
        ("backup", "backup-label", "../x"),
        ("backup", "backup-prior", "../x"),
        ("backup", "backup-reference", ""),
        ("backup", "backup-reference", LABEL + ",../x"),
        ("backup", "backup-archive-start", "zz"),
        ("backup", "backup-lsn-stop", "x"),
        ("backup", "backup-timestamp-stop", -1),
        ("backup", "backup-timestamp-start", 10**12),
        ("backup:db", "db-version", "x"),
        ("backup:db", "db-version", "../../.."),
        ("backup:db", "db-system-id", -1),
        ("backup:option", "option-process-max", 10**30),
        ("target:file:default", "mode", "rwx"),
    ],
)
def test_what_is_refused(section: str, key: str, value: object) -> None:
    sections = _sections(example())
    sections[section][key] = value
    with pytest.raises(JsonFormatError):
        manifest.parse(infofile.render(sections))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checksum": None}, "missing checksum for file 'pg_data/a'"),
        ({"size": 0}, "for zero size file 'pg_data/a'"),
        ({"repo_size": 0}, "repo size must be > 0 for file 'pg_data/a'"),
    ],
)
def test_an_unfinished_manifest_is_not_valid(change: dict[str, t.Any], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        manifest.validate(example([file("pg_data/a", **change)]))


@pytest.mark.parametrize("missing", ["targets", "paths"])
def test_a_manifest_without_a_data_directory_is_not_valid(missing: str) -> None:
    with pytest.raises(FormatError, match=f"missing {missing[:-1]} 'pg_data'"):
        manifest.validate(example(**{missing: []}, defaults=example().resolved_defaults()))


def test_files_are_in_directories_that_are_listed() -> None:
    paths = [ManifestPath(name, 0o700, None, None) for name in ("pg_data", "pg_data/global")]
    whole = example([file("pg_data/global/pg_control")], paths=paths)
    manifest.validate_whole(whole)
    control = list(whole.files)
    for changes, message in (
        ({"files": [file("pg_data/PG_VERSION")]}, "no file 'pg_data/global/pg_control'"),
        ({"files": [*control, file("pg_data/a/b")]}, "'pg_data/a/b' without its directory"),
        ({"files": [*control, file("pg_data/global")]}, "'pg_data/global' as a file and as a"),
        ({"paths": paths[:1]}, "'pg_data/global/pg_control' without its directory"),
        ({"paths": [*paths, paths[0]._replace(name="pg_data/a/b")]}, "'pg_data/a/b' without its"),
    ):
        with pytest.raises(FormatError, match=message):
            manifest.validate_whole(dataclasses.replace(whole, **changes))


@pytest.mark.parametrize("section", ["target:file", "target:path", "target:link", "backup:target"])
def test_names_of_every_list_are_looked_at(section: str) -> None:
    sections = _sections(example())
    value = {"size": 0, "timestamp": 1, "destination": "/x", "type": "link", "path": "/x"}
    sections.setdefault(section, {})["pg_data/../../x"] = value
    with pytest.raises(FormatError, match=r"manifest has the .* 'pg_data/\.\./\.\./x'"):
        manifest.parse(infofile.render(sections))


def test_many_errors_are_not_all_shown() -> None:
    with pytest.raises(FormatError, match="\n5 more") as caught:
        manifest.validate(example([file(f"pg_data/{n}", checksum=None) for n in range(15)]))
    assert len(caught.value.message.split("\n")) == 12
