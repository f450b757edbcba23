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
FOUND = Reconstruction(BackupInfo((BackupDb(1, 7, "15", 202209061, 1300),), 1, {}))


def chosen(storage):
    options = Options("backup", stanza="demo", resume=False)
    found = FOUND._replace(history=look(storage, "demo").history)
    return begin.choose(storage, options, RepoOptions(), found, label.FULL, NOW).label


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


LATER = label.new_label(label.FULL, NOW + 365 * 86400, prior=None, existing=())


def test_what_was_broken_off_keeps_no_label(tmp_path):
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
    again = begin.choose(storage, options, RepoOptions(), found, label.FULL, NOW)
    assert again.label == first
    begin.remove_leftovers(storage, "demo", found, again)
    assert not look(storage, "demo").labels
    assert not look(storage, "demo").unfinished
    # What was listed once keeps its label, whatever expire has left of it.
    gone = found._replace(removed=(LATER,))
    with pytest.raises(ClockError):
        begin.choose(storage, options, RepoOptions(), gone, label.FULL, NOW)
