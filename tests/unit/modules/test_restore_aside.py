# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that is renamed to make room: all of it or none, and back if it was for nothing."""

from __future__ import annotations

import os
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import above, directory
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ChecksumError,
    EngineError,
    LockAcquireError,
    PathNotEmptyError,
    StorageFullError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import lock

END = ".aside-20261122-193512"


class Site:
    """A cluster with its WAL elsewhere, and what a restore into its place comes to."""

    def __init__(self, root: Path) -> None:
        self.data, self.wal = root / "main", root / "disk/wal"
        for path in (self.data, self.wal):
            path.mkdir(parents=True)
            (path / "old").touch()
        self.options: t.Any = types.SimpleNamespace(
            repos=[types.SimpleNamespace(key=1)],
            lock_path=str(root / "lock"),
            require_stanza=lambda: "demo",
        )
        self.places = {str(path) + END: str(path) for path in (self.data, self.wal)}
        self.refused: EngineError | None = None
        self.writes: tuple[str, ...] = ()
        self.failure: EngineError | None = None

    def preview(self, _options: t.Any, *, replace: bool, strict: bool) -> None:
        assert replace and strict
        assert self.is_old
        if self.refused is not None:
            raise self.refused

    def run(self, _options: t.Any, *, consent: bool) -> t.Any:
        assert not consent
        assert not self.is_old
        for name in self.writes:
            (self.data / name).touch()
        if self.failure is not None:
            raise self.failure
        return types.SimpleNamespace(as_dict=lambda: {"label": "x"})

    def restore(self) -> dict[str, t.Any]:
        choice = directory.Choice(directory.Directory.OTHER, False, False, self.places)
        return directory.restore(
            lambda options, work: work(options),
            self.options,
            choice,
            above.Above(str(self.data)),
        )

    @property
    def is_old(self) -> bool:
        """Whether everything is where it was before."""
        kept = [os.path.lexists(name) for name in self.places]
        there = [(path / "old").exists() for path in (self.data, self.wal)]
        assert all(kept) != all(there) and any(kept) != any(there)
        return all(there)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(directory.preview, "run", made.preview)
    monkeypatch.setattr(directory.restoring, "run", made.run)
    return made


def test_what_was_there_is_kept_aside(site: Site) -> None:
    told = site.restore()
    assert told == {"restore": {"label": "x"}, "directory": "other", "aside": site.places}
    assert not site.is_old


def test_a_restore_that_is_refused_renames_nothing(site: Site) -> None:
    site.refused = StorageFullError("no room")
    with pytest.raises(StorageFullError):
        site.restore()
    assert site.is_old


def test_a_restore_that_is_under_way_is_not_moved_away(site: Site) -> None:
    """The other one, of the host command, ends in a moment: its directory is a good one then."""
    with lock.acquire(site.options, lock.LockType.RESTORE), pytest.raises(LockAcquireError):
        site.restore()
    assert site.is_old


def test_a_restore_that_fails_before_it_has_begun_undoes_it(site: Site) -> None:
    site.failure = ChecksumError("the manifest is damaged")
    with pytest.raises(ChecksumError):
        site.restore()
    assert site.is_old


def test_a_restore_that_fails_when_it_has_begun_is_completed_by_the_next_one(site: Site) -> None:
    site.failure, site.writes = ChecksumError("a file is damaged"), ("backup.manifest", "new")
    with pytest.raises(ChecksumError):
        site.restore()
    assert not site.is_old
    assert (site.data / "new").exists()


def test_what_cannot_be_renamed_as_a_whole_is_not_renamed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename
    last = str(site.data)

    def refused(source: str, target: str) -> None:
        if source == last:
            raise OSError(18, os.strerror(18))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(PathNotEmptyError, match=f"unable to keep '{last}' aside"):
        site.restore()
    monkeypatch.undo()
    assert site.is_old
    assert sorted(path.name for path in site.data.iterdir()) == ["old"]
