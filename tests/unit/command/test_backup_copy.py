# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker of a backup stores, and what it finds out about each file."""

from __future__ import annotations

import hashlib
import os
import struct

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import copy
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.copy import (
    Copier,
    CopyJob,
    Outcome,
    PageRule,
    SourceFile,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.whose import Whose
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.node import LocalNode
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import prepare
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    Framing,
    decode,
)

ZST = Encoding("zst", 3)


@pytest.fixture
def data(tmp_path):
    """A data directory with files of several kinds."""
    root = tmp_path / "data"
    root.mkdir()
    contents = {
        "small": b"s" * 100,
        "random": os.urandom(5000),
        "large": os.urandom(3 * copy.CHUNK + 17),
        "empty": b"",
    }
    for name, content in contents.items():
        (root / name).write_bytes(content)
    return root, contents


def source(data, name, *, limit=None, pages=None, unchanged=None, size=None):
    size = len(data[1][name]) if size is None else size
    return SourceFile(f"pg_data/{name}", name, size, limit, pages, unchanged)


def run(tmp_path, data, files, *, bundle_id=0, store_empty=True, encoding=ZST):
    extension = ".zst" if encoding.compress_type == "zst" else ""
    job = CopyJob(
        1, "demo", "L", extension, encoding, Framing.WHOLE, bundle_id, store_empty, tuple(files)
    )
    pg = PgOptions(path=str(data[0]))
    node = LocalNode(pg, Options("backup", pgs=(pg,)))
    copier = Copier(PosixStorage(str(tmp_path / "repo")), lambda key: node)
    return {row.name.rsplit("/", 1)[1]: row for row in copier(job).result()}


def repo_files(tmp_path):
    root = tmp_path / "repo"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_files_stored_alone(tmp_path, data):
    copied = run(tmp_path, data, [source(data, name) for name in data[1]])
    base = "backup/demo/L/pg_data"
    assert repo_files(tmp_path) == sorted(f"{base}/{name}.zst" for name in data[1])
    for name, content in data[1].items():
        stored = (tmp_path / "repo" / base / f"{name}.zst").read_bytes()
        row = copied[name]
        assert decode(stored, ZST) == content
        assert (row.size, row.checksum) == (len(content), hashlib.sha1(content).hexdigest())
        assert (row.repo_size, row.repo_checksum) == (
            len(stored),
            hashlib.sha1(stored).hexdigest(),
        )


def test_a_bundle_is_the_concatenation_of_its_parts(tmp_path, data):
    names = ["small", "empty", "random", "large"]
    files = [source(data, name) for name in names]
    copied = run(tmp_path, data, files, bundle_id=7, store_empty=False)
    assert repo_files(tmp_path) == ["backup/demo/L/bundle/7"]
    stored = (tmp_path / "repo/backup/demo/L/bundle/7").read_bytes()
    end = 0
    for name in ("small", "random", "large"):
        row = copied[name]
        assert (row.bundle_id, row.bundle_offset) == (7, end)
        end += row.repo_size
        assert decode(stored[row.bundle_offset : end], ZST) == data[1][name]
    assert end == len(stored)
    # An empty file is nowhere in a bundled backup.
    assert (copied["empty"].size, copied["empty"].bundle_id, copied["empty"].checksum) == (
        0,
        0,
        None,
    )


def test_without_compression_the_bytes_are_as_they_are(tmp_path, data):
    copied = run(tmp_path, data, [source(data, "random")], encoding=Encoding())
    assert (tmp_path / "repo/backup/demo/L/pg_data/random").read_bytes() == data[1]["random"]
    assert copied["random"].repo_size == 5000


def test_what_grows_beyond_its_limit_is_left_to_the_wal(tmp_path, data):
    copied = run(tmp_path, data, [source(data, "random", limit=4096, size=4096)])
    assert copied["random"].size == 4096
    assert copied["random"].checksum == hashlib.sha1(data[1]["random"][:4096]).hexdigest()


def test_what_shrinks_is_stored_as_it_is(tmp_path, data):
    copied = run(tmp_path, data, [source(data, "random", limit=9000, size=9000)])
    assert copied["random"].size == 5000


def test_a_file_that_vanished_is_said_so(tmp_path, data):
    (data[0] / "small").unlink()
    copied = run(tmp_path, data, [source(data, "small"), source(data, "random")], bundle_id=1)
    assert copied["small"].outcome is Outcome.VANISHED
    assert copied["random"].bundle_offset == 0


def test_a_bundle_of_which_all_vanished_is_not_made(tmp_path, data):
    (data[0] / "small").unlink()
    run(tmp_path, data, [source(data, "small")], bundle_id=1)
    assert repo_files(tmp_path) == []


@pytest.mark.parametrize("name", ["random", "large"])
@pytest.mark.parametrize("bundle_id", [0, 1])
def test_an_unchanged_file_is_not_stored_again(tmp_path, data, name, bundle_id):
    before = hashlib.sha1(data[1][name]).hexdigest()
    files = [source(data, name, unchanged=before)]
    copied = run(tmp_path, data, files, bundle_id=bundle_id)
    assert copied[name].outcome is Outcome.UNCHANGED
    assert repo_files(tmp_path) == []


@pytest.mark.parametrize("name", ["random", "large"])
def test_a_changed_file_of_the_same_size_is_stored(tmp_path, data, name):
    copied = run(tmp_path, data, [source(data, name, unchanged="0" * 40)])
    assert copied[name].outcome is Outcome.COPIED
    stored = (tmp_path / f"repo/backup/demo/L/pg_data/{name}.zst").read_bytes()
    assert decode(stored, ZST) == data[1][name]


def test_pages_are_checked_on_the_way(tmp_path, data):
    zero, bad = bytes(8192), b"\1" * 8192
    (data[0] / "relation").write_bytes(zero + bad + zero)
    data[1]["relation"] = zero + bad + zero
    rule = PageRule(8192, 0)
    copied = run(tmp_path, data, [source(data, "relation", pages=rule)])
    assert (copied["relation"].page_valid, copied["relation"].page_errors) == (False, (1,))


@pytest.mark.parametrize("bad", [False, True])
def test_a_page_that_counts_by_its_position_is_to_be_read_again(tmp_path, data, bad):
    """Neither good nor bad: nothing but the WAL of this backup puts it right."""
    replayed = struct.pack("<II", 0, 5000) + b"x" * 8184
    content = replayed + (b"\1" * 8192 if bad else bytes(8192))
    (data[0] / "relation").write_bytes(content)
    data[1]["relation"] = content
    rule = PageRule(8192, 0, 5000)
    row = run(tmp_path, data, [source(data, "relation", pages=rule)])["relation"]
    assert (row.page_valid, row.page_errors) == ((False, (1,)) if bad else (None, ()))
    assert row.again
    rule = PageRule(8192, 0, 5001)
    row = run(tmp_path, data, [source(data, "relation", pages=rule)])["relation"]
    assert (row.page_valid, row.again) == (False, False)


def test_bytes_read_are_reported(tmp_path, data, monkeypatch):
    monkeypatch.setattr(copy, "REPORT_EVERY", copy.CHUNK)
    reported = []
    pg = PgOptions(path=str(data[0]))
    node = LocalNode(pg, Options("backup", pgs=(pg,)))
    copier = Copier(PosixStorage(str(tmp_path / "repo")), lambda key: node).reporting(
        reported.append
    )
    files = tuple(source(data, name) for name in data[1])
    copier(CopyJob(1, "demo", "L", "", Encoding(), Framing.WHOLE, 0, True, files)).result()
    assert sum(reported) == sum(map(len, data[1].values()))
    assert len(reported) > 2


def test_others_hear_of_a_large_file_before_its_end(tmp_path, data, monkeypatch):
    """Who waits for a session meanwhile must not take it for silence."""
    monkeypatch.setattr(copy, "REPORT_EVERY", copy.CHUNK)
    opener = prepare(RepoOptions(path=str(tmp_path / "repo")))
    pg = PgOptions(path=str(data[0]))
    options = Options("backup", pgs=(pg,))
    heard = []
    setup = copy.worker_setup(opener, options, lambda _options, _key: LocalNode(pg, options))
    handler = setup(1, lambda _size: heard.append(opener.turns.achieved_at), Whose.OWN)
    file = source(data, "large")
    result = handler(CopyJob(1, "demo", "L", "", ZST, Framing.WHOLE, 0, True, (file,)))
    assert len(heard) == 4
    assert heard[0] > 0
    assert result.result()[0].outcome is Outcome.COPIED
