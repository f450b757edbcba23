# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""archive-push without a server: the queue that overflows."""

from __future__ import annotations

import logging

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import archive_push
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FileMissingError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import archive_info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.pg_files import SYSTEM_ID, DataDirectory

NAMES = [f"0000000100000000000000{number:02X}" for number in range(1, 5)]


@pytest.fixture
def data(tmp_path):
    return DataDirectory(tmp_path / "data")


@pytest.fixture
def push(data, tmp_path):
    """Run archive-push with some options."""
    repo = tmp_path / "repo"
    archive_info.save(
        PosixStorage(str(repo)), "demo", archive_info.create(SYSTEM_ID, "15", None), None
    )

    def run(path, *arguments, repo=repo):
        words = [
            "--no-config",
            "--stanza=demo",
            f"--repo1-path={repo}",
            f"--pg1-path={data.path}",
            f"--lock-path={tmp_path}/lock",
            *arguments,
            str(path),
        ]
        return archive_push.run(load("archive-push", words, {}))

    return run


def test_a_queue_that_overflows_is_emptied_and_that_is_said(data, push, caplog):
    paths = data.ready(NAMES)
    with caplog.at_level(logging.WARNING):
        result = push(paths[0], "--archive-push-queue-max=3MiB")
    assert result.as_dict() == {"name": NAMES[0], "stored": False, "dropped": True}
    said = f"dropped WAL file '{NAMES[0]}' because archive queue exceeded 3MB"
    assert said in caplog.text
    assert "full" in caplog.text


def test_dropping_asks_no_repository(data, push):
    paths = data.ready(NAMES)
    assert push(paths[0], "--archive-push-queue-max=3MiB", repo="/proc/nowhere").dropped
    with pytest.raises(FileMissingError):
        push(paths[0], repo="/proc/nowhere")


def test_what_there_is_room_for_is_stored(data, push):
    paths = data.ready(NAMES)
    assert push(paths[0], "--archive-push-queue-max=4MiB").stored
    assert push(paths[1]).stored


def test_a_history_is_never_dropped(data, push):
    data.ready(NAMES)
    history = data.wal("00000002.history", b"1\t0/3000000\tno reason\n")
    assert push(history, "--archive-push-queue-max=0").stored
