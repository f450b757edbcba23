# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long archive-get may go on to look for a server that is gone, by who asks."""

from __future__ import annotations

import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import archive_get
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import HostConnectError

NAME = "000000010000000000000001"


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Options of a cluster whose repository is not reached, which takes ten seconds each time."""
    made = Options(
        command="archive-get",
        stanza="demo",
        parameters=(NAME, "got"),
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
