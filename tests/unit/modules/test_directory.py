# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was kept aside is removed or comes back, and nothing else is touched."""

from __future__ import annotations

import errno
import os
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import above, directory
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import running
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    DbConnectError,
    LockAcquireError,
    OptionInvalidError,
    PathRemoveError,
    PostgresRunningError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    releases,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import lock
from ansible_collections.pgsftp.backup.tests.support.pg_files import control_file
from ansible_collections.pgsftp.backup.tests.support.processes import Processes

OLD = ".aside-20261122-193512"
NEW = ".aside-20261123-070000"
AGREED = directory.Consent(True, "pg1-srv", "pg1-srv")


class Cluster:
    """A restored directory with a tablespace and its WAL elsewhere, and what lies beside them."""

    def __init__(self, place: Path) -> None:
        self.processes = Processes(place / "proc")
        self.data = place / "main"
        self.space = place / "space"
        self.wal = place / "disk/wal"
        self.data.mkdir()
        self.version = self.space / "PG_17_202406281"
        for path in (self.data, self.version, self.wal):
            path.mkdir(parents=True, exist_ok=True)
            (path / "live").touch()
        self.options: t.Any = types.SimpleNamespace(
            pg=types.SimpleNamespace(path=str(self.data)),
            repos=[types.SimpleNamespace(key=1)],
            lock_path=str(place / "lock"),
            require_stanza=lambda: "demo",
        )
        self.above = above.Above(str(self.data))

    def beside(self, path: Path, end: str) -> Path:
        """What lies beside it by a longer name."""
        made = path.with_name(path.name + end)
        made.mkdir()
        (made / "old").touch()
        return made

    def aside(self, end: str, behind: str = "") -> list[Path]:
        """All that a restore has kept, or somebody has renamed since."""
        made = [self.beside(path, end + behind) for path in (self.version, self.wal)]
        whole = self.beside(self.data, end + behind)
        (whole / "PG_VERSION").write_text("17\n")
        (whole / "pg_wal").symlink_to(self.wal)
        (whole / "pg_tblspc").mkdir()
        (whole / "pg_tblspc/16384").symlink_to(self.space)
        return [*made, whole]

    def serve(self, name: str = "postgres") -> None:
        """A server accepts connections; by another ``name`` it is gone, and its number taken."""
        here = self.data if name == "postgres" else self.space
        self.processes.add(os.getpid(), name=name, cwd=here)
        lines = [str(os.getpid()), *[""] * 6, "ready"]
        (self.data / "postmaster.pid").write_text("\n".join(lines))

    def confirm(self, *, newest: bool = False) -> dict[str, t.Any]:
        return directory.confirm(self.options, 1, self.above, newest=newest, check_mode=False)

    def revert(self, *, check_mode: bool = False) -> dict[str, t.Any]:
        return directory.revert(self.options, AGREED, self.above, check_mode=check_mode)

    @property
    def lives(self) -> list[bool]:
        """Whether what the restore has brought is there."""
        return [(path / "live").exists() for path in (self.data, self.version, self.wal)]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(tmp_path)
    monkeypatch.setattr(running, "PROCESSES", str(made.processes.root))
    return made


def test_all_that_was_kept_goes_when_the_new_server_is_up(cluster: Cluster) -> None:
    kept = [*cluster.aside(OLD), *cluster.aside(NEW)]
    cluster.serve()
    assert sorted(cluster.confirm()["aside"]) == sorted(map(str, kept))
    assert not any(path.exists() for path in kept)
    assert all(cluster.lives)


def test_what_an_earlier_restore_has_kept_stays_when_the_newest_is_meant(cluster: Cluster) -> None:
    older, newest = cluster.aside(OLD), cluster.aside(NEW)
    cluster.serve()
    assert sorted(cluster.confirm(newest=True)["aside"]) == sorted(map(str, newest))
    assert not any(path.exists() for path in newest)
    assert all((path / "old").exists() for path in older)


def test_nothing_goes_when_another_process_has_the_number_of_a_server_that_was_killed(
    cluster: Cluster,
) -> None:
    kept = cluster.aside(OLD)
    cluster.serve("sshd")
    with pytest.raises(DbConnectError, match="no server accepts connections"):
        cluster.confirm()
    assert all((path / "old").exists() for path in kept)


def test_the_newest_comes_back(cluster: Cluster) -> None:
    older, newest = cluster.aside(OLD), cluster.aside(NEW)
    assert sorted(cluster.revert()["aside"]) == sorted(map(str, newest))
    assert all((path / "old").exists() for path in (cluster.data, cluster.version, cluster.wal))
    assert not any(cluster.lives)
    assert all((path / "old").exists() for path in older)


@pytest.mark.parametrize("behind", [".keep", "0", "-1", "\n"])
def test_what_somebody_has_renamed_is_not_ours(cluster: Cluster, behind: str) -> None:
    """To save it, as it happens: it is neither emptied nor taken for the newest."""
    saved = cluster.aside(NEW, behind)
    assert not cluster.revert()["changed"]
    assert all(cluster.lives)
    kept = cluster.aside(OLD)
    assert sorted(cluster.revert()["aside"]) == sorted(map(str, kept))
    kept = cluster.aside(OLD)
    cluster.serve()
    assert sorted(cluster.confirm()["aside"]) == sorted(map(str, kept))
    assert all((path / "old").exists() for path in saved)


def test_parts_that_somebody_has_saved_stay(cluster: Cluster) -> None:
    """The data directory is ours, and of its tablespace and WAL other names."""
    version, wal, whole = cluster.aside(OLD)
    saved = [path.rename(f"{path}.keep") for path in (version, wal)]
    others = [
        cluster.beside(cluster.space / "PG_16_202307071", OLD),  # of another cluster
        cluster.beside(cluster.space / "mine", OLD),
        cluster.beside(cluster.wal / "mine", OLD),
    ]
    cluster.serve()
    assert list(cluster.confirm()["aside"]) == [str(whole)]
    assert all((path / "old").exists() for path in (*saved, *others))


def test_a_link_is_not_ours(cluster: Cluster, tmp_path: Path) -> None:
    cluster.beside(tmp_path / "elsewhere", "")
    cluster.data.with_name("main" + OLD).symlink_to(tmp_path / "elsewhere")
    cluster.serve()
    assert not cluster.confirm()["changed"]
    assert (tmp_path / "elsewhere/old").exists()


@pytest.mark.parametrize("place", ["above", "tablespace"])
def test_nothing_is_emptied_that_could_not_be_renamed_then(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The directory above belongs to another user, and there is no root to ask."""
    kept = cluster.aside(OLD)
    closed = str(cluster.data.parent if place == "above" else cluster.space)

    def access(path: t.Any, mode: int) -> bool:
        return str(path) != closed

    def refuse(request: above.Json) -> above.Json:
        return {"errno": errno.EPERM}

    monkeypatch.setattr(above.os, "access", access)
    cluster.above = above.Above(str(cluster.data), refuse)
    for check_mode in (True, False):
        with pytest.raises(PathRemoveError, match="may the user who runs this write"):
            cluster.revert(check_mode=check_mode)
    cluster.serve()
    with pytest.raises(PathRemoveError):
        cluster.confirm()
    assert all(cluster.lives)
    assert all((path / "old").exists() for path in kept)


def test_nothing_comes_back_while_a_server_runs_or_unasked(cluster: Cluster) -> None:
    cluster.aside(OLD)
    with pytest.raises(OptionInvalidError, match="confirm_host is 'pg2-srv'"):
        directory.revert(
            cluster.options, AGREED._replace(host="pg2-srv"), cluster.above, check_mode=False
        )
    cluster.serve()
    with pytest.raises(PostgresRunningError):
        cluster.revert()
    assert cluster.revert(check_mode=True)["changed"]
    assert all(cluster.lives)


def test_nothing_comes_back_while_a_restore_is_under_way(cluster: Cluster) -> None:
    """It would go on to write, into the cluster of before then."""
    cluster.aside(OLD)
    with lock.acquire(cluster.options, lock.LockType.RESTORE):
        with pytest.raises(LockAcquireError):
            cluster.revert()
        assert cluster.revert(check_mode=True)["changed"]
    assert all(cluster.lives)
    assert cluster.revert()["changed"]


@pytest.mark.parametrize(
    ("damaged", "found"), [(False, directory.Directory.STANDBY), (True, directory.Directory.OTHER)]
)
@pytest.mark.parametrize(("version", "signal"), [("17", "standby.signal"), ("11", "recovery.conf")])
def test_a_standby_with_a_damaged_control_file_is_one_that_may_be_replaced(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    damaged: bool,
    found: directory.Directory,
    version: str,
    signal: str,
) -> None:
    image = control_file(next(one for one in releases.RELEASES if one.version == version))
    system_id = control.read(image).system_id
    info = types.SimpleNamespace(current=types.SimpleNamespace(system_id=system_id))
    monkeypatch.setattr(directory.state, "backups", lambda options: info)
    (cluster.data / "PG_VERSION").write_text(f"{version}\n")
    (cluster.data / signal).write_text("standby_mode = 'on'\n")
    (cluster.data / "global").mkdir()
    (cluster.data / "global/pg_control").write_bytes(bytes(len(image)) if damaged else image)
    assert directory.examine(cluster.options) is found
