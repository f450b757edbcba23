# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that ends in the midst of its work: what it leaves, and what goes on from there."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    run as restore,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.tests.support import peer

pytestmark = pytest.mark.integration


class Place:
    """An encrypted repository that the real tool wrote, and where its newest backup goes."""

    def __init__(self, repository, tmp_path):
        self.repository = repository
        self.data = tmp_path / "restore/data"
        self.data.parent.mkdir()
        config = tmp_path / "pgbackrest.conf"
        config.write_text(
            f"[global]\nrepo1-path={repository.path}\nrepo1-cipher-type=aes-256-cbc\n"
            f"repo1-cipher-pass={repository.cipher_pass}\nlock-path={tmp_path}/lock\n"
            f"spool-path={tmp_path}/spool\nlog-path={tmp_path}\n[demo]\npg1-path={self.data}\n"
        )
        self.words = [f"--config={config}", "--stanza=demo", "--type=none", "--archive-mode=off",
                      f"--tablespace-map-all={tmp_path}/restore/spaces"]  # fmt: skip

    def restore(self, *arguments):
        return restore.run(load.load("restore", [*self.words, *arguments], {}))


@pytest.fixture
def place(fixture_repositories, tmp_path):
    return Place(fixture_repositories["c"], tmp_path)


class Interrupted(Exception):
    pass


def interrupt(*_arguments, **_named):
    raise Interrupted


def test_a_server_that_is_started_meanwhile_is_found_before_anything_goes(place, monkeypatch):
    place.restore()
    before = {path: path.stat().st_mtime_ns for path in place.data.rglob("*")}

    def started(*_arguments, **_named):
        (place.data / "postmaster.pid").write_text(f"{os.getpid()}\n")

    monkeypatch.setattr(restore.space, "check", started)
    with pytest.raises(errors.PostgresRunningError):
        place.restore("--delta")
    (place.data / "postmaster.pid").unlink()
    assert before == {path: path.stat().st_mtime_ns for path in place.data.rglob("*")}


def test_wal_that_was_fetched_for_another_recovery_goes_before_anything_is_written(place, tmp_path):
    ahead = tmp_path / "spool/archive/demo/in/000000010000000000000001"
    ahead.parent.mkdir(parents=True)
    ahead.write_bytes(b"of another timeline")
    place.restore()
    assert not ahead.parents[1].exists()


def test_what_marks_a_restore_under_way_tells_no_secret(place, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(restore, "_copy", interrupt)
        with pytest.raises(Interrupted):
            place.restore()
    marker = place.data / "backup.manifest"
    manifest = place.repository.manifest(place.repository.newest)
    secret = manifest.split("\ncipher-pass=", 1)[1].partition("\n")[0].strip('"')
    assert secret and secret not in marker.read_text("utf-8")
    assert marker.stat().st_mode & 0o777 == 0o600
    assert not (place.data / "PG_VERSION").exists()
    place.restore("--delta")
    assert not marker.exists() and (place.data / "global/pg_control").exists()


@pytest.mark.interop
def test_the_real_tool_goes_on_with_what_ours_has_begun(place, monkeypatch):
    if not peer.COMMAND.exists():
        pytest.skip("pgBackRest is not installed")
    with monkeypatch.context() as patched:
        patched.setattr(restore, "_copy", interrupt)
        with pytest.raises(Interrupted):
            place.restore()
    subprocess.run([peer.COMMAND, *place.words, "--delta", "restore"], check=True)
    assert (place.data / "global/pg_control").exists()
    assert not (place.data / "backup.manifest").exists()
