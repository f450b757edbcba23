# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long archive-get looks for a server that is gone, and how much it takes from one."""

from __future__ import annotations

import dataclasses
import hashlib
import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import archive_get
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    FormatError,
    HostConnectError,
    OptionInvalidValueError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import archive_info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    encode,
)

NAME = "000000010000000000000001"


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Options of a cluster whose repository is not reached, which takes ten seconds each time."""
    made = Options(
        command="archive-get",
        stanza="demo",
        parameters=(NAME, str(tmp_path / "got")),
        archive_timeout=60.0,
        pgs=(PgOptions(path=str(tmp_path)),),
        repos=(RepoOptions(key=1),),
    )
    now = 1000.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(
        archive_get, "time", types.SimpleNamespace(monotonic=lambda: now, sleep=sleep)
    )
    monkeypatch.setattr(archive_get.control, "load", lambda _path: None)
    return made


@pytest.fixture
def patience(options, monkeypatch):
    """For how long every session that is lost may be replaced."""
    asked = []

    def open_storage(_repo, *, patience, **_more):
        asked.append(patience)
        archive_get.time.sleep(10)
        raise HostConnectError("unable to connect to 'sftp-srv:22': connection refused")

    monkeypatch.setattr(archive_get, "open_storage", open_storage)
    return asked


def test_a_standby_asks_again_by_itself(options, patience, tmp_path):
    (tmp_path / "standby.signal").touch()
    result = archive_get.run(options)
    assert (result.exit_code, result.reached) == (1, False)
    assert patience == [0.0]


def test_a_recovery_waits_for_no_longer_than_archive_timeout_in_all(options, patience, tmp_path):
    (tmp_path / "recovery.signal").touch()
    with pytest.raises(HostConnectError, match="given up after 60s"):
        archive_get.run(options)
    assert patience[0] == 60.0
    assert patience == sorted(patience, reverse=True)
    assert all(before - after >= 10 for before, after in zip(patience[:-1], patience[1:-1]))
    assert patience[-1] < 10


def test_a_person_does_not_wait_for_longer_than_a_server(options, patience):
    with pytest.raises(HostConnectError):
        archive_get.run(options)
    assert patience == [60.0]


@pytest.mark.parametrize("signal", ["standby.signal", "recovery.signal"])
def test_the_server_that_asks_is_the_one_that_the_command_runs_in(
    options, patience, tmp_path, monkeypatch, signal
):
    """Whatever pg1-path says: it may be that of the cluster of which the server is a copy."""
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "PG_VERSION").write_text("15\n")
    (copy / signal).touch()
    monkeypatch.chdir(copy)
    if signal == "standby.signal":
        assert archive_get.run(options).exit_code == 1
    else:
        with pytest.raises(HostConnectError, match="recovery stops here"):
            archive_get.run(options)


def test_nothing_is_written_into_another_cluster(options, tmp_path, monkeypatch):
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    relative = dataclasses.replace(options, parameters=(NAME, "pg_wal/RECOVERYXLOG"))
    with pytest.raises(OptionInvalidValueError, match="is not the same as option pg1-path"):
        archive_get.run(relative)


SEGMENT = 1 << 20


@pytest.mark.parametrize("name", [NAME, f"{NAME}.partial"])
@pytest.mark.parametrize("extension", ["gz", "bz2", "zst"])
def test_a_bomb_does_not_fill_the_disk(tmp_path, name, extension):
    """Of a segment no more is written than one of this cluster has, and then nothing is left."""
    cluster = types.SimpleNamespace(version="15", system_id=7, wal_segment_size=SEGMENT)
    directory = tmp_path / "archive/demo/15-1" / NAME[:16]
    directory.mkdir(parents=True)
    storage = PosixStorage(str(tmp_path))
    archive = archive_info.create(7, "15", None)
    target = tmp_path / "got"
    for size in (SEGMENT, 64 * SEGMENT):
        stored = encode(bytes(size), Encoding(extension))
        sha1 = hashlib.sha1(bytes(size)).hexdigest()
        path = directory / f"{name}-{sha1}.{extension}"
        path.write_bytes(stored)
        found = archive_get.find(storage, "demo", archive, cluster, name)
        if size == SEGMENT:
            archive_get.fetch(storage, found, str(target))
            assert target.stat().st_size == SEGMENT
            target.unlink()
        else:
            with pytest.raises(FormatError, match=f"is damaged: it holds more than {SEGMENT} b"):
                archive_get.fetch(storage, found, str(target))
        path.unlink()
    assert not list(tmp_path.glob("got*"))


def test_a_history_is_not_as_large_as_the_disk(tmp_path):
    cluster = types.SimpleNamespace(version="15", system_id=7, wal_segment_size=SEGMENT)
    directory = tmp_path / "archive/demo/15-1"
    directory.mkdir(parents=True)
    with open(directory / "00000002.history", "wb") as file:
        file.truncate(1 << 30)
    storage = PosixStorage(str(tmp_path))
    archive = archive_info.create(7, "15", None)
    found = archive_get.find(storage, "demo", archive, cluster, "00000002.history")
    with pytest.raises(FormatError, match="is damaged: it holds more than"):
        archive_get.fetch(storage, found, str(tmp_path / "got"))
    assert not list(tmp_path.glob("got*"))
