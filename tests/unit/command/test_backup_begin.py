# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a backup that begins comes after all that there ever were."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import begin
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import ClockError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import label, layout
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
    BackupInfo,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.reconstruct import (
    Reconstruction,
    look,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

NOW = 1767225600


class Clock:
    """The cluster's, which goes on while somebody sleeps."""

    def __init__(self, now):
        self.now = now
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock(NOW + 0.75)
    monkeypatch.setattr(begin.time, "sleep", made.sleep)
    return made


FOUND = Reconstruction(BackupInfo((BackupDb(1, 7, "15", 202209061, 1300),), 1, {}))


def chosen(storage, now=lambda: NOW):
    options = Options("backup", stanza="demo", resume=False)
    found = FOUND._replace(history=look(storage, "demo").history)
    return begin.choose(storage, options, RepoOptions(), found, label.FULL, now).label


@pytest.mark.parametrize("stray", [None, "lost+found", "notes", "99999"])
def test_a_label_of_the_history_is_not_given_twice(tmp_path, stray):
    storage = PosixStorage(str(tmp_path))
    first = chosen(storage)
    years = layout.history_path("demo")
    storage.write(f"{years}/1999/19990101-000000F.manifest.gz", b"")
    storage.write(f"{years}/{first[:4]}/{first}.manifest.gz", b"")
    if stray is not None:
        storage.make_paths([f"{years}/{stray}"])
    assert chosen(storage) > first


def test_a_history_of_nothing_but_strays(tmp_path):
    storage = PosixStorage(str(tmp_path))
    first = chosen(storage)
    storage.make_paths([f"{layout.history_path('demo')}/notes"])
    assert chosen(storage) == first


def test_backups_of_less_than_a_second_wait_for_a_label(tmp_path, clock):
    """A script may well take four of a small cluster in a row."""
    storage = PosixStorage(str(tmp_path))
    labels = []
    for _number in range(4):
        labels.append(chosen(storage, clock))
        history = layout.history_path("demo")
        storage.write(f"{history}/{labels[-1][:4]}/{labels[-1]}.manifest.gz", b"")
    assert labels == [
        label.new_label(label.FULL, NOW + second, prior=None, existing=()) for second in range(4)
    ]
    assert clock.slept == [0.25, 1.0]


LATER = label.new_label(label.FULL, NOW + 365 * 86400, prior=None, existing=())


def test_what_was_broken_off_keeps_no_label(tmp_path, clock):
    """It goes before anything is written. If the clock was ahead as it began, no backup could begin
    until that time, and nobody but a person would have removed it.
    """
    storage = PosixStorage(str(tmp_path))
    first = chosen(storage)
    for name in (first, LATER):
        storage.write(f"{layout.label_path('demo', name)}/backup.manifest.copy", b"")
        storage.write(f"{layout.history_path('demo')}/2027/{name}.manifest.gz.pgbackrest.tmp", b"")
    on_disk = look(storage, "demo")
    found = FOUND._replace(
        on_disk=on_disk.labels, history=on_disk.history, unfinished=on_disk.unfinished
    )
    options = Options("backup", stanza="demo", resume=False)
    again = begin.choose(storage, options, RepoOptions(), found, label.FULL, clock)
    assert again.label == first
    begin.remove_leftovers(storage, "demo", found, again)
    assert not look(storage, "demo").labels
    assert not look(storage, "demo").unfinished
    # What was listed once keeps its label, whatever expire has left of it.
    gone = found._replace(removed=(LATER,))
    with pytest.raises(ClockError):
        begin.choose(storage, options, RepoOptions(), gone, label.FULL, clock)
    assert sum(clock.slept) < begin.PATIENCE
