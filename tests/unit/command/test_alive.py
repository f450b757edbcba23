# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an unfinished backup is still being made."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import alive
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import LockAcquireError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    layout,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    BackupFacts,
    Manifest,
    ManifestDb,
    ManifestOptions,
    ManifestPath,
    Target,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.reconstruct import (
    Reconstruction,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

LABEL = "20260101-000000F_20260102-000000I"
OURS = Options("backup", stanza="demo", lock_path="/here")
THEIRS = Options("backup", stanza="demo", lock_path="/there", annotation=(("why", "daily"),))
COPY = f"backup/demo/{LABEL}/backup.manifest.copy"


class Repository:
    """A directory whose clock may differ from this host's."""

    def __init__(self, root):
        self.root = root
        self.storage = PosixStorage(str(root))
        self.found = Reconstruction(
            BackupInfo((BackupDb(1, 7, "15", 202209061, 1300),), 1, {}),
            on_disk={"20260101-000000F": True, LABEL: False},
        )

    def announce(self, options, *, age=0.0, ended=0):
        """What a command with these options has written so many seconds ago."""
        made = Manifest(
            BackupFacts(LABEL, "incr", 1, 1, ended, ("20260101-000000F", LABEL)),
            ManifestDb(1, 7, "15", 202209061, 1300),
            ManifestOptions(compress_type="none"),
            [Target("pg_data", "path", "/data")],
            [],
            [ManifestPath("pg_data", 0o700, None, None)],
            annotation={} if options is None else alive.mark(options),
        )
        manifest.save_checkpoint(self.storage, "demo", made, None)
        self.age(COPY, age)

    def age(self, path, seconds):
        when = time.time() - seconds
        os.utime(self.root / path, (when, when))

    def refuse(self):
        alive.refuse(self.storage, OURS, self.found)
        assert not (self.root / "backup/demo/clock.pgbackrest.tmp").exists()


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_a_repository_without_unfinished_backups_is_not_written_to(repository):
    repository.refuse()
    alive.refuse(repository.storage, OURS, Reconstruction(repository.found.info, on_disk={}))
    assert not list(repository.root.iterdir())


def test_what_another_host_makes(repository):
    repository.announce(THEIRS, age=60)
    with pytest.raises(LockAcquireError) as caught:
        repository.refuse()
    assert f"backup {LABEL} is being made by {alive.here(THEIRS)}: a file of it is" in (
        caught.value.message
    )
    assert "given up 15 minutes after its last file" in caught.value.hint
    assert not (repository.root / "backup/demo/clock.pgbackrest.tmp").exists()


def test_a_server_without_times(repository, monkeypatch):
    """Nobody can tell how old it is: the message says what to do when it is nobody's any more."""
    repository.announce(THEIRS, age=alive.QUIET + 5)
    monkeypatch.setattr(alive, "_now", lambda storage, stanza: 0)
    monkeypatch.setattr(alive, "_newest", lambda storage, top: 0)
    with pytest.raises(LockAcquireError, match="the server tells no times") as caught:
        repository.refuse()
    assert f"remove its directory {LABEL}" in caught.value.hint


def test_what_this_host_began_has_ended(repository):
    """The caller has the lock that its maker had."""
    repository.announce(OURS)
    repository.refuse()


@pytest.mark.parametrize("name", ["bundle/1", "pg_data/base/5/1.pgbackrest.tmp"])
def test_what_another_host_made_long_ago(repository, name):
    repository.announce(THEIRS, age=alive.QUIET + 5)
    repository.refuse()
    path = f"{layout.label_path('demo', LABEL)}/{name}"
    repository.storage.write(path, b"x")
    with pytest.raises(LockAcquireError):
        repository.refuse()
    repository.age(path, alive.QUIET + 5)
    repository.refuse()


@pytest.mark.parametrize("content", [None, b"not to be read"])
def test_nobody_knows_who_makes_it(repository, content):
    """Another tool, say."""
    repository.announce(None)
    if content is not None:
        repository.storage.write(COPY, content)
    with pytest.raises(LockAcquireError, match="is being made by somebody else"):
        repository.refuse()
    repository.age(COPY, alive.QUIET + 5)
    repository.refuse()


@pytest.mark.parametrize("options", [None, THEIRS])
def test_a_copy_of_a_whole_manifest_is_made_by_nobody(repository, options):
    """Its maker was killed before the manifest itself had its name, or an expire after it had lost
    it.
    """
    repository.announce(options, ended=2)
    repository.refuse()


def test_without_a_copy_it_is_what_an_expire_has_left(repository):
    repository.storage.write(layout.bundle_path("demo", LABEL, 1), b"x")
    repository.refuse()


def test_what_was_listed_is_what_an_expire_has_left(repository):
    """It ended between the manifest and its copy, and both were young."""
    repository.announce(None)
    repository.found = repository.found._replace(removed=(LABEL,))
    repository.refuse()


@pytest.mark.parametrize("skew", [-10_000, 10_000])
def test_only_the_clock_of_the_repository_counts(repository, monkeypatch, skew):
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0 + skew)
    repository.announce(THEIRS)
    os.utime(repository.root / COPY)
    with pytest.raises(LockAcquireError):
        repository.refuse()


def test_the_mark_is_one_more_annotation():
    assert dict(alive.mark(THEIRS)) == {"why": "daily", alive.MARK: alive.here(THEIRS)}
    assert alive.here(OURS) != alive.here(THEIRS)
