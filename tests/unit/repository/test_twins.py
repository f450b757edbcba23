# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twins: either file is enough, and one of them is always good."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ChecksumError,
    CryptoError,
    EngineError,
    FileMissingError,
    FileOpenError,
    StorageFullError,
    StorageMissingError,
    TransportLostError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.twins import (
    Loading,
    save_twins,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (
    Publish,
    Writer,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage


def decode(chunks: Iterable[bytes]) -> str:
    data = b"".join(chunks)
    errors: dict[bytes, EngineError] = {
        b"crypto": CryptoError("wrong pass"),
        b"checksum": ChecksumError("bad checksum"),
        b"lost": TransportLostError("gone"),
    }
    if data in errors:
        raise errors[data]
    return data.decode()


def put(storage: PosixStorage, main: str | None, copy: str | None) -> None:
    for name, content in (("x.info", main), ("x.info.copy", copy)):
        if content is not None:
            storage.write(name, content.encode())


@pytest.mark.parametrize(
    ("main", "copy"),
    [("good", "other"), (None, "good"), ("crypto", "good"), ("checksum", "good"), ("good", None)],
)
def test_either_is_enough(storage: PosixStorage, main: str | None, copy: str | None) -> None:
    put(storage, main, copy)
    assert Loading(storage, "x.info", decode).result() == "good"


@pytest.mark.parametrize(
    ("main", "copy", "error"),
    [
        (None, None, FileMissingError),
        (None, "crypto", CryptoError),
        ("crypto", None, CryptoError),
        ("crypto", "crypto", CryptoError),
        ("crypto", "checksum", FileOpenError),
    ],
)
def test_when_both_fail(
    storage: PosixStorage, main: str | None, copy: str | None, error: type[EngineError]
) -> None:
    put(storage, main, copy)
    with pytest.raises(error) as caught:
        Loading(storage, "x.info", decode, hint="do this.").result()
    lines = caught.value.message.split("\n")
    assert lines[0] == "unable to load info file 'x.info' or 'x.info.copy':"
    assert len(lines) == 3
    assert caught.value.hint == "do this."


def test_both_missing_is_a_missing_file_of_the_storage(storage: PosixStorage) -> None:
    with pytest.raises(StorageMissingError):
        Loading(storage, "x.info", decode).result()


@pytest.mark.parametrize(("main", "copy"), [("lost", "good"), ("crypto", "lost")])
def test_a_lost_connection_is_nothing_else(storage: PosixStorage, main: str, copy: str) -> None:
    put(storage, main, copy)
    with pytest.raises(TransportLostError):
        Loading(storage, "x.info", decode).result()


def test_both_are_written(storage: PosixStorage, tmp_path: Path) -> None:
    storage.wait(save_twins(storage, "a/x.info", b"content"))
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.info", "x.info.copy"]
    assert (tmp_path / "a/x.info").read_bytes() == (tmp_path / "a/x.info.copy").read_bytes()


class _FullWriter(Writer):
    def __init__(self, inner: Writer) -> None:
        self._inner = inner

    def write(self, data: object) -> None:
        raise StorageFullError("full")

    def finish(self, **_more: object) -> object:  # type: ignore[override]
        raise StorageFullError("full")

    def abort(self) -> None:
        self._inner.abort()


class _FullStorage(PosixStorage):
    def writer(self, path: str, *, publish: Publish, most: int = 0) -> Writer:
        inner = super().writer(path, publish=publish)
        return inner if path.endswith(".copy") else _FullWriter(inner)


def test_the_copy_stays_when_the_first_cannot_be_written(tmp_path: Path) -> None:
    put(PosixStorage(str(tmp_path)), "old", "old")
    with pytest.raises(StorageFullError):
        save_twins(_FullStorage(str(tmp_path)), "x.info", b"new")
    assert (tmp_path / "x.info").read_bytes() == b"old"
    assert (tmp_path / "x.info.copy").read_bytes() == b"old"
    assert not (tmp_path / "x.info.copy.pgbackrest.tmp").exists()
