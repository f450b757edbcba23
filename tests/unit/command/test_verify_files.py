# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker of verify does with good and damaged files, and how seldom it waits."""

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify.files import (
    Checker,
    FilesJob,
    VerifyFile,
    WalJob,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify.result import (
    Problem,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    StorageAccessError,
    TransportLostError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.archive import (
    StoredSegment,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.blockmap import Chain
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.stored import Stored
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    PLAIN,
    Encoding,
    Framing,
    encode,
)
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects, Line, SftpServer

ZST = Encoding("zst", 3)


def sha1(data):
    return hashlib.sha1(data).hexdigest()


def checker(storage):
    return Checker(storage, lambda size: None)


def chain(encoding):
    return Chain("demo", ("F",), encoding)


def alone(root, name, data, encoding=PLAIN, *, digest=True):
    stored = encode(data, encoding)
    (root / name).write_bytes(stored)
    place = Stored(name, 0, len(stored), Framing.WHOLE)
    own = sha1(stored) if digest and not encoding.is_plain else None
    return VerifyFile(name, len(data), sha1(data), own, place, True, None)


def bundle(root, contents, encoding=ZST):
    """Files in one bundle, with digests of what is stored."""
    files, whole = [], b""
    for name, data in contents.items():
        stored = encode(data, encoding)
        place = Stored("bundle", len(whole), len(stored), Framing.WHOLE)
        files.append(VerifyFile(name, len(data), sha1(data), sha1(stored), place, False, None))
        whole += stored
    (root / "bundle").write_bytes(whole)
    return files


def run(storage, files, encoding=PLAIN):
    return checker(storage)(FilesJob(chain(encoding), tuple(files))).result()


def problems(found):
    return [(row.name, row.problem) for row in found]


@pytest.mark.parametrize("encoding", [PLAIN, ZST, Encoding("gz", 6, "secret")])
@pytest.mark.parametrize("digest", [True, False])
def test_a_good_file_passes(tmp_path, encoding, digest):
    file = alone(tmp_path, "a", os.urandom(100000), encoding, digest=digest)
    assert run(PosixStorage(str(tmp_path)), [file], encoding) == []


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("encoding", [PLAIN, ZST, Encoding("gz", 6, "secret")])
@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("damage", [flip, cut, lengthen])
def test_a_damaged_file_does_not(tmp_path, encoding, digest, damage):
    good = alone(tmp_path, "a", b"a" * 5000, encoding, digest=digest)
    bad = alone(tmp_path, "b", os.urandom(5000), encoding, digest=digest)
    damage(tmp_path / "b")
    found = run(PosixStorage(str(tmp_path)), [good, bad], encoding)
    assert problems(found) == [("b", Problem.CHECKSUM)]


def test_a_file_that_is_gone(tmp_path):
    file = alone(tmp_path, "a", b"data")
    (tmp_path / "a").unlink()
    assert problems(run(PosixStorage(str(tmp_path)), [file])) == [("a", Problem.MISSING)]


def test_a_digest_of_what_is_stored_is_enough_nothing_is_decoded(tmp_path):
    """Whatever the compression type is: a library for it need not be there."""
    data = os.urandom(1000)
    (tmp_path / "a").write_bytes(data)
    place = Stored("a", 0, 1000, Framing.WHOLE)
    file = VerifyFile("a", 7000, "0" * 40, sha1(data), place, True, None)
    assert run(PosixStorage(str(tmp_path)), [file], Encoding("lz4", 1)) == []


def test_only_the_damaged_part_of_a_bundle_is_named(tmp_path):
    files = bundle(tmp_path, {name: os.urandom(3000) for name in ("one", "two", "three")})
    data = bytearray((tmp_path / "bundle").read_bytes())
    data[files[1].stored.offset + 10] ^= 1
    (tmp_path / "bundle").write_bytes(data)
    assert problems(run(PosixStorage(str(tmp_path)), files, ZST)) == [("two", Problem.CHECKSUM)]


def test_what_is_left_of_a_bundle_that_was_cut_is_good(tmp_path):
    files = bundle(tmp_path, {name: os.urandom(3000) for name in ("one", "two", "three")})
    os.truncate(tmp_path / "bundle", files[1].stored.offset + 10)
    found = run(PosixStorage(str(tmp_path)), files, ZST)
    assert problems(found) == [("two", Problem.CHECKSUM), ("three", Problem.CHECKSUM)]
    (tmp_path / "bundle").unlink()
    found = run(PosixStorage(str(tmp_path)), files, ZST)
    assert {row.problem for row in found} == {Problem.MISSING}
    assert len(found) == 3


class Unreadable(PosixStorage):
    """A storage where a range that begins in one place gives an error."""

    def __init__(self, path, error):
        super().__init__(path)
        self.error = error

    def reader(self, path, *, offset=0, size=None):
        reader = super().reader(path, offset=offset, size=size)
        if offset == 0:
            taken = reader.take

            def take():
                taken()
                raise self.error

            reader.take = take
        return reader


def test_after_a_read_error_the_rest_of_the_bundle_is_looked_at_again(tmp_path):
    files = bundle(tmp_path, {name: os.urandom(3000) for name in ("one", "two", "three")})
    flipped = bytearray((tmp_path / "bundle").read_bytes())
    flipped[-5] ^= 1
    (tmp_path / "bundle").write_bytes(flipped)
    found = run(Unreadable(str(tmp_path), StorageAccessError("input/output error")), files, ZST)
    assert problems(found) == [("one", Problem.OTHER), ("three", Problem.CHECKSUM)]
    assert found[0].message == "input/output error"


def test_a_lost_transport_is_no_damage(tmp_path):
    files = bundle(tmp_path, {"one": b"1"})
    with pytest.raises(TransportLostError):
        run(Unreadable(str(tmp_path), TransportLostError("gone")), files, ZST)


# WAL.


def segment(root, data, *, name="000000010000000000000001", encoding=PLAIN, extension=""):
    path = f"{name}-{sha1(data)}{extension}"
    (root / path).write_bytes(encode(data, encoding))
    return StoredSegment(name, sha1(data), path, (root / path).stat().st_size)


def wal_bytes(size, *, said=None):
    """A segment of PostgreSQL 15 with a first page as it should be."""
    head = (0xD110).to_bytes(2, "little") + (2).to_bytes(2, "little") + (1).to_bytes(4, "little")
    head += (0).to_bytes(8, "little") + bytes(8) + (77).to_bytes(8, "little")
    head += (said or size).to_bytes(4, "little") + (8192).to_bytes(4, "little")
    return head + bytes(size - len(head))


def check_wal(root, segments, cipher_pass=None):
    job = WalJob(cipher_pass, tuple(segments))
    return checker(PosixStorage(str(root)))(job).result()


@pytest.mark.parametrize(
    ("encoding", "extension"),
    [(PLAIN, ""), (ZST, ".zst"), (Encoding("gz", 6, "secret"), ".gz")],
)
def test_a_good_segment_passes_and_tells_the_size_of_all(tmp_path, encoding, extension):
    row = segment(tmp_path, wal_bytes(1 << 20), encoding=encoding, extension=extension)
    (checked,) = check_wal(tmp_path, [row], encoding.cipher_pass)
    assert checked.finding is None
    assert checked.segment_size == 1 << 20


@pytest.mark.parametrize("damage", [flip, cut, lengthen])
@pytest.mark.parametrize(("encoding", "extension"), [(PLAIN, ""), (ZST, ".zst")])
def test_a_damaged_segment_does_not(tmp_path, damage, encoding, extension):
    row = segment(tmp_path, wal_bytes(1 << 20), encoding=encoding, extension=extension)
    damage(tmp_path / row.path)
    (checked,) = check_wal(tmp_path, [row])
    assert checked.finding.problem is Problem.CHECKSUM


def test_a_segment_of_the_wrong_size(tmp_path):
    row = segment(tmp_path, wal_bytes(1 << 20, said=1 << 24))
    (checked,) = check_wal(tmp_path, [row])
    assert checked.finding.problem is Problem.SIZE
    assert checked.finding.message == "it has 1048576 bytes, its header says 16777216"


def test_what_is_no_wal_although_its_name_and_checksum_say_so(tmp_path):
    row = segment(tmp_path, b"x" * 5000)
    (checked,) = check_wal(tmp_path, [row])
    assert checked.finding.problem is Problem.OTHER


def test_a_segment_that_went_away(tmp_path):
    row = segment(tmp_path, wal_bytes(1 << 20))
    (tmp_path / row.path).unlink()
    (checked,) = check_wal(tmp_path, [row])
    assert checked.finding.problem is Problem.MISSING


# Over SFTP.


def test_a_file_costs_no_round_trip_of_its_own(tmp_path):
    server = SftpServer(Defects())
    line = Line(server, 1 << 40)
    storage = SftpStorage(Channel(line, "sftp-srv", line.close), "sftp-srv", str(tmp_path))
    files = [alone(tmp_path, f"f{number}", os.urandom(200), ZST) for number in range(1000)]
    flip(tmp_path / "f500")
    before = storage.round_trips
    assert problems(run(storage, files, ZST)) == [("f500", Problem.CHECKSUM)]
    assert storage.round_trips - before < len(files) / 10
