# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""expire, interrupted at every step, without room, or beside another one: nothing that is listed is
lost, and the next run ends it.
"""

from __future__ import annotations

import functools
import json
import os
import shutil

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import expire
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify import (
    run as verify,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.expiring import RULE, two_sets


@pytest.fixture
def place(fixture_repositories, tmp_path):
    return two_sets(fixture_repositories, tmp_path)


class Failing(PosixStorage):
    """A storage whose connection breaks at a change: before it is made, or before it is told."""

    def __init__(self, path, number, *, made):
        super().__init__(path)
        self.number = number
        self.made = made
        self.count = 0

    def _step(self, change):
        self.count += 1
        if self.count < self.number:
            return change()
        if self.count == self.number and self.made:
            change()
        raise errors.TransportLostError("the connection is gone")

    def remove_many(self, paths):
        parent = super().remove_many
        return sum(self._step(lambda path=path: parent([path])) for path in paths)

    def remove_tree(self, path):
        # What lies in it goes piece by piece, too.
        root = os.path.join(self.location, path)
        for directory, _paths, files in os.walk(root, topdown=False):
            for name in sorted(files)[:2]:
                self._step(functools.partial(os.unlink, os.path.join(directory, name)))
        parent = super().remove_tree
        self._step(lambda: parent(path))

    def link(self, target, path):
        parent = super().link
        self._step(lambda: parent(target, path))

    def rename(self, source, target):
        parent = super().rename
        self._step(lambda: parent(source, target))

    def writer(self, path, *, publish, most=0):
        writer = super().writer(path, publish=publish)
        assert publish is Publish.RENAME
        finish = writer.finish
        writer.finish = lambda **wishes: self._step(lambda: finish(**wishes))
        return writer


def steps(place, tmp_path, *arguments):
    """How many changes an expire makes."""
    copy = place.copy_to(tmp_path / "counted")
    storage = Failing(str(copy.path), 10**6, made=True)
    options = copy.options("expire", *arguments)
    expire.expire(storage, options, options.repo())
    return storage.count


@pytest.mark.parametrize("made", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("which", ["retention", pytest.param("newest set", marks=pytest.mark.slow)])
def test_a_crash_at_any_step_loses_nothing_that_is_listed(place, tmp_path, made, which):
    arguments = RULE if which == "retention" else (f"--set={place.new[0]}",)
    stays = place.new if which == "retention" else place.old
    total = steps(place, tmp_path, *arguments)
    assert total > 10
    results = set()
    for number in range(1, total + 1):
        copy = place.copy_to(tmp_path / "crashed")
        options = copy.options("expire", *arguments)
        with pytest.raises(errors.TransportLostError):
            expire.expire(Failing(str(copy.path), number, made=made), options, options.repo())
        # What info lists is whole; both tools can read it.
        listed = copy.listed()
        assert set(stays) <= set(listed)
        shown = json.loads(copy.peer("info", "--output=json"))
        assert [row["label"] for row in shown[0]["backup"]] == listed
        checked = verify.run(copy.options("verify"))
        valid = [row.label for row in checked.backups if row.status.value == "valid"]
        assert set(listed) <= set(valid), checked
        # The next run needs no hand; what was named may be gone already.
        again = ("--repo1-retention-full=9",)
        if which == "retention" or place.new[0] in copy.with_manifest():
            again = arguments
        copy.expire(*again)
        assert copy.listed() == stays
        assert not [name for name in copy.tree() if name.endswith(".pgbackrest.tmp")]
        assert copy.tree()["backup/demo/latest"] == stays[-1]
        results.add(json.dumps(copy.tree()))
        copy.peer("verify")
        shutil.rmtree(copy.root)
    assert len(results) == 1


class Full(PosixStorage):
    """A storage without room until something is removed from it; what was removed, in order."""

    def __init__(self, path):
        super().__init__(path)
        self.removed = []

    def remove_many(self, paths):
        names = list(paths)
        self.removed += names
        return super().remove_many(names)

    def writer(self, path, *, publish, most=0):
        if not self.removed:
            raise errors.StorageFullError("no room is left")
        return super().writer(path, publish=publish)


def test_a_full_repository_is_freed(place):
    """It has no room for a new backup.info either; what is listed until then stays whole."""
    options = place.options("expire", *RULE)
    storage = Full(str(place.path))
    expire.expire(storage, options, options.repo())
    assert place.listed() == place.new
    copies = [f"backup/demo/{label}/backup.manifest.copy" for label in place.old]
    assert sorted(storage.removed[: len(copies)]) == sorted(copies)
    assert not set(place.old) & set(place.with_manifest())


class Racing(PosixStorage):
    """A storage in which another host has begun to expire, too, and is the faster one."""

    def list_many(self, paths):
        paths = list(paths)
        for path in paths:
            if path.endswith("/2020"):
                shutil.rmtree(os.path.join(self.location, path))
        return super().list_many(paths)


def test_two_hosts_may_expire_at_the_same_time(place):
    year = place.path / "backup/demo/backup.history/2020"
    year.mkdir()
    (year / "20200101-000000F.manifest.gz").write_bytes(b"of a former backup")
    options = place.options("expire", *RULE, "--repo1-retention-history=0")
    result = expire.expire(Racing(str(place.path)), options, options.repo())
    assert not year.exists()
    assert place.listed() == place.new
    assert not any("2020" in path for path in result.removed_history)
