# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of the real tool are read to the last byte.

Every backup of every repository is read through its manifest, and what the newest one gives is
compared with what the real tool restored.
"""

from __future__ import annotations

import hashlib
import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    CryptoError,
    EngineError,
    FormatError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive,
    archive_info,
    backup_info,
    blockmap,
    layout,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    Manifest,
    ManifestFile,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.stored import stored
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.compression import (
    type_of_name,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Decoder,
    Encoding,
    decode,
)
from ansible_collections.pgsftp.backup.tests.support.fixtures import (
    NAMES,
    FixtureRepositories,
    FixtureRepository,
)


def content(storage: PosixStorage, whole: Manifest, file: ManifestFile) -> Iterator[bytes]:
    """What the repository holds of a file."""
    place = stored("demo", whole, file)
    if place is None:
        return
    if file.block is None:
        chunks = storage.reader(place.path, offset=place.offset, size=place.size)
        yield from Decoder(whole.encoding, framing=place.framing).stream(chunks)
        return
    end = place.offset + place.size
    size = file.block.map_size
    stored_map = storage.reader(place.path, offset=end - size, size=size).read_all()
    chain = blockmap.Chain.of("demo", whole)
    entries = blockmap.load_map(chain, file.name, file.block, stored_map, file.size)
    units = (
        decode(
            storage.reader(
                blockmap.super_block_path(chain, file.name, unit),
                offset=unit.offset,
                size=unit.stored_size,
            ).read_all(),
            whole.encoding,
            framing=blockmap.FRAMING,
        )
        for unit in blockmap.super_blocks(entries)
    )
    yield from blockmap.assemble(entries, file.block.size, units)


def restored_path(whole: Manifest, name: str) -> str:
    """Where the real tool's restore put a file, relative to the restore directory."""
    for target in whole.targets:
        if target.kind == "link" and name.startswith(target.name + "/"):
            top = target.tablespace_name or target.name.split("/")[-1]
            return top + name[len(target.name) :]
    return "data" + name[len("pg_data") :]


@pytest.mark.parametrize("name", NAMES)
def test_every_backup_is_read(name: str, fixture_repositories: FixtureRepositories) -> None:
    repository = fixture_repositories[name]
    storage = PosixStorage(str(repository.path))
    info = backup_info.load(storage, "demo", repository.cipher_pass)
    for label in info.backups:
        whole = manifest.load(storage, "demo", label, info.cipher_pass)
        for file in whole.files:
            size = 0
            digest = hashlib.sha1()
            for piece in content(storage, whole, file):
                size += len(piece)
                digest.update(piece)
            assert (size, digest.hexdigest()) == (file.size, file.checksum), file.name


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_backup_is_what_the_real_tool_restored(
    name: str, fixture_repositories: FixtureRepositories
) -> None:
    repository = fixture_repositories[name]
    storage = PosixStorage(str(repository.path))
    info = backup_info.load(storage, "demo", repository.cipher_pass)
    whole = manifest.load(storage, "demo", repository.newest, info.cipher_pass)
    entries = {row["path"]: row for row in repository.expected["entries"]}
    expected = {path: row for path, row in entries.items() if row["type"] == "file"}
    compared = 0
    for file in whole.files:
        if file.name == "pg_data/tablespace_map":
            continue
        row = find(expected, whole, file)
        if file.name == manifest.PG_CONTROL:
            continue
        digest = hashlib.sha256()
        for piece in content(storage, whole, file):
            digest.update(piece)
        assert row["sha256"] == digest.hexdigest(), file.name
        assert row["size"] == file.size
        assert int(row["mode"], 8) == file.mode
        if "mtime" in row:
            assert row["mtime"] == file.timestamp
        compared += 1
    assert compared == len(expected) - 1


def find(expected: dict[str, t.Any], whole: Manifest, file: ManifestFile) -> dict[str, t.Any]:
    for path in (restored_path(whole, file.name), "data" + file.name[len("pg_data") :]):
        if path in expected:
            return t.cast("dict[str, t.Any]", expected[path])
    # A linked file lies at the top.
    return t.cast("dict[str, t.Any]", expected[file.name.split("/")[-1]])


def test_stored_digests_are_those_of_the_manifest(fixture_repository: FixtureRepository) -> None:
    """Also of repository e: stored bytes can be verified without decoding them."""
    storage = PosixStorage(str(fixture_repository.path))
    info = backup_info.load(storage, "demo", fixture_repository.cipher_pass)
    whole = manifest.load(storage, "demo", fixture_repository.newest, info.cipher_pass)
    checked = 0
    for file in whole.files:
        place = stored("demo", whole, file)
        if place is not None and file.repo_checksum is not None:
            data = storage.reader(place.path, offset=place.offset, size=place.size).read_all()
            assert hashlib.sha1(data).hexdigest() == file.repo_checksum
            checked += 1
    assert checked > 500 or fixture_repository.name.startswith("a")


@pytest.mark.parametrize("name", NAMES)
def test_wal_is_what_its_name_says(name: str, fixture_repositories: FixtureRepositories) -> None:
    repository = fixture_repositories[name]
    storage = PosixStorage(str(repository.path))
    info = archive_info.load(storage, "demo", repository.cipher_pass)
    archive_id = info.current.archive_id
    (first, last) = archive.wal_ranges(storage, "demo", [archive_id])[archive_id] or ("", "")
    directory = layout.wal_directory("demo", archive_id, first)
    names = [archive.parse_segment(entry.name) for entry in storage.list(directory)]
    segments = sorted(row.name for row in names if row is not None)
    assert (segments[0], segments[-1]) == (first, last)
    found = archive.Archive(storage, "demo").find_many(archive_id, segments)
    for rows in found.values():
        (segment,) = rows
        compress_type = type_of_name(segment.path).name
        decoder = Decoder(Encoding(compress_type, None, info.cipher_pass))
        for _piece in decoder.stream(storage.reader(segment.path)):
            pass
        assert decoder.source_sha1 == segment.sha1
        assert decoder.source_size == (16 if "wal16" in name else 1) << 20


def test_backup_history_files_are_never_compressed(
    fixture_repositories: FixtureRepositories,
) -> None:
    repository = fixture_repositories["c"]
    storage = PosixStorage(str(repository.path))
    info = archive_info.load(storage, "demo", repository.cipher_pass)
    path = layout.wal_file_path("demo", "15-1", "000000010000000000000009.00000028.backup")
    text = decode(storage.read(path), Encoding(cipher_pass=info.cipher_pass))
    assert text.startswith(b"START WAL LOCATION: 0/900028 (file 000000010000000000000009)")


@pytest.mark.parametrize("name", ["c", "g"])
def test_a_wrong_pass_is_refused(name: str, fixture_repositories: FixtureRepositories) -> None:
    storage = PosixStorage(str(fixture_repositories[name].path))
    with pytest.raises(EngineError) as caught:
        backup_info.load(storage, "demo", "not-the-pass")
    assert isinstance(caught.value, (CryptoError, FormatError))
    with pytest.raises(FormatError):
        backup_info.load(storage, "demo", None)


def test_an_encrypted_reader_refuses_plain_files(
    fixture_repositories: FixtureRepositories,
) -> None:
    storage = PosixStorage(str(fixture_repositories["a"].path))
    with pytest.raises(CryptoError, match="cipher header invalid"):
        backup_info.load(storage, "demo", "some-pass")


def test_a_map_has_no_more_blocks_than_the_file(fixture_repositories: FixtureRepositories) -> None:
    storage = PosixStorage(str(fixture_repositories["d"].path))
    whole = manifest.load(storage, "demo", fixture_repositories["d"].newest, None)
    file = next(file for file in whole.files if file.block is not None)
    assert file.block is not None
    assert b"".join(content(storage, whole, file))
    with pytest.raises(FormatError, match=r"more than the \d+ blocks of the file"):
        list(content(storage, whole, file._replace(size=file.size - file.block.size)))


def test_a_map_must_fit_its_manifest(fixture_repositories: FixtureRepositories) -> None:
    storage = PosixStorage(str(fixture_repositories["d"].path))
    whole = manifest.load(storage, "demo", fixture_repositories["d"].newest, None)
    chain = blockmap.Chain.of("demo", whole)
    file = next(file for file in whole.files if file.block is not None)
    with pytest.raises(FormatError, match="block map is damaged"):
        blockmap.load_map(chain, file.name, file.block, b"\0", file.size)
    far = b"\0" + bytes([0x80 | (100 << 3 & 0x7F) | 1, 100 << 3 >> 7]) + b"\x0b\x02" + bytes(6)
    with pytest.raises(FormatError, match="refers to a backup that is not in the manifest"):
        blockmap.load_map(chain, file.name, manifest.Block(8192), far, 8192)
