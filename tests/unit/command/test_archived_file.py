# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A history that the archive has already: the same, another one, or what is left of one."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import archived_file
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import RepoOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import archive_info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    encode,
)

NAME = "00000002.history"
TEXT = b"1\t0/5000000\tno recovery target specified\n"
REPO = RepoOptions(key=1)


@pytest.fixture(params=[None, "secret"], ids=["plain", "encrypted"])
def archive(request):
    made = archive_info.create(7, "15", None)
    return dataclasses.replace(made, cipher_pass=request.param)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "repo/archive/demo/15-1" / NAME
    path.parent.mkdir(parents=True)
    return path


def is_stored(tmp_path, archive, source):
    storage = PosixStorage(str(tmp_path / "repo"))
    return archived_file.ask(storage, "demo", archive, str(source), NAME).is_stored(REPO)


def encoded(archive, text):
    return encode(text, Encoding(cipher_pass=archive.cipher_pass))


def test_the_same(tmp_path, archive, source, stored):
    stored.write_bytes(encoded(archive, TEXT))
    assert is_stored(tmp_path, archive, source)


def test_none_and_an_empty_one(tmp_path, archive, source, stored):
    assert not is_stored(tmp_path, archive, source)
    stored.touch()
    assert not is_stored(tmp_path, archive, source)


@pytest.mark.parametrize(
    "other",
    [TEXT.replace(b"5", b"6"), TEXT[:-1], TEXT + b"2\t0/6000000\tno\n", TEXT * 1000],
    ids=["fork", "shorter", "longer", "long"],
)
def test_another_one(tmp_path, archive, source, stored, other):
    stored.write_bytes(encoded(archive, other))
    with pytest.raises(errors.ArchiveDuplicateError, match="already exists in the repo1 archive"):
        is_stored(tmp_path, archive, source)


def test_a_source_that_cannot_be_read(tmp_path, archive, stored):
    stored.write_bytes(encoded(archive, TEXT))
    with pytest.raises(errors.FileReadError):
        is_stored(tmp_path, archive, tmp_path / "nowhere")
