# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify of a repository that others change meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify import (
    run as verify,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import (
    open as storage_open,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
    encode,
)
from ansible_collections.pgsftp.backup.tests.support.verifying import labels, run


class Expiring(PosixStorage):
    """A storage in which another host expires a backup as soon as a certain file is read."""

    def __init__(self, path, moment, label, secret):
        super().__init__(str(path))
        self._moment = moment
        self._label = label
        self._secret = secret

    def reader(self, path, **rest):
        if self._moment in path and not path.endswith((".manifest", ".copy")):
            try:
                Path(self.location, "expired").touch(exist_ok=False)
            except FileExistsError:
                return super().reader(path, **rest)
            self._expire()
        return super().reader(path, **rest)

    def _expire(self):
        info = backup_info.load(PosixStorage(self.location), "demo", self._secret)
        shutil.rmtree(f"{self.location}/backup/demo/{self._label}")
        info = info.without_backups([self._label])
        first = min(row.archive_start for row in info.backups.values())
        for path in Path(self.location).glob("archive/demo/15-1/*/*-*"):
            if path.name[:24] < first:
                path.unlink()
        backup_info.save(PosixStorage(self.location), "demo", info, self._secret)


@pytest.mark.parametrize("name", ["a", "c", "d"])
@pytest.mark.parametrize("moment", ["/15-1/0000000100000000/", "/backup/demo/{label}/"])
def test_an_expire_meanwhile_is_no_damage(
    fixture_repositories, tmp_path, monkeypatch, name, moment
):
    repository = fixture_repositories[name].copy_to(tmp_path)
    label = labels(repository)[-1]
    when = moment.format(label=label).removeprefix("/backup/")

    class Opener(storage_open.Opener):
        def open(self, generation=0):
            return Expiring(repository.path, when, label, repository.cipher_pass)

    monkeypatch.setattr(verify, "prepare", lambda repo, **options: Opener())
    result = run(repository, tmp_path)
    assert (repository.path / "expired").exists()
    assert result.ok, (result.errors, result.findings)
    assert [row.status.value for row in result.backups] == [
        *["valid"] * (len(result.backups) - 1),
        "manifest missing",
    ]


class Arriving(PosixStorage):
    """A storage in which a segment that others overtook comes when these are read."""

    def __init__(self, path, late, place):
        super().__init__(str(path))
        self._late = late
        self._place = place

    def reader(self, path, **rest):
        if "/15-1/0000000100000000/" in path and self._late.exists():
            shutil.move(self._late, self._place)
        return super().reader(path, **rest)


@pytest.mark.parametrize("name", ["a", "c"])
def test_a_segment_that_others_overtook_is_no_damage(
    fixture_repositories, tmp_path, monkeypatch, name
):
    repository = fixture_repositories[name].copy_to(tmp_path)
    secret = repository.cipher_pass
    archive = archive_info.load(PosixStorage(str(repository.path)), "demo", secret)
    top = repository.path / "archive/demo/15-1"
    text = b"1\t0/B000000\tno recovery target specified\n"
    (top / "00000002.history").write_bytes(encode(text, Encoding(cipher_pass=archive.cipher_pass)))
    place = sorted(top.glob("0000000100000000/*-*"))[1]
    late = tmp_path / "late"
    shutil.move(place, late)

    class Opener(storage_open.Opener):
        def open(self, generation=0):
            return Arriving(repository.path, late, place)

    monkeypatch.setattr(verify, "prepare", lambda repo, **options: Opener())
    result = run(repository, tmp_path)
    assert place.exists()
    assert result.ok, (result.errors, result.findings)


class Forgetting(PosixStorage):
    """A storage in which an expire removes the history of a timeline before it is read, and the
    archive of a former cluster before it is listed.
    """

    def reader(self, path, **rest):
        if path.endswith(".history"):
            Path(self.location, path).unlink()
        return super().reader(path, **rest)

    def list_many(self, paths):
        paths = list(paths)
        for path in paths:
            if path.endswith("/15-2"):
                Path(self.location, path).rmdir()
        return super().list_many(paths)


def test_a_history_that_is_expired_meanwhile_is_no_damage(
    fixture_repositories, tmp_path, monkeypatch
):
    repository = fixture_repositories["a"].copy_to(tmp_path)
    storage = PosixStorage(str(repository.path))
    wal = archive_info.load(storage, "demo", None)
    archive_info.save(storage, "demo", wal.upgraded(1, "15"), None)
    backups = backup_info.load(storage, "demo", None)
    db = backups.current._replace(system_id=1)
    backup_info.save(storage, "demo", backups.upgraded(db), None)
    former = repository.path / "archive/demo/15-2"
    former.mkdir()
    history = repository.path / "archive/demo/15-1/00000002.history"
    history.write_text("1\t0/B000000\tno recovery target specified\n")

    class Opener(storage_open.Opener):
        def open(self, generation=0):
            return Forgetting(str(repository.path))

    monkeypatch.setattr(verify, "prepare", lambda repo, **options: Opener())
    result = run(repository, tmp_path)
    assert not history.exists()
    assert not former.exists()
    assert result.ok, (result.errors, result.findings)
