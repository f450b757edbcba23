# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies outside of the data directory: what is the copy's own, and what is another's."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    outside,
    plan,
    target,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import contents
from ansible_collections.pgsftp.backup.tests.support.processes import Processes

LABEL = "20260101-000000F"
OWNER = ("postgres", "postgres")


def made(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


class Host:
    """The cluster that was backed up, and a directory beside it for a copy."""

    def __init__(self, root):
        self.root = root
        self.processes = Processes(root / "proc")
        self.origin = root / "origin"
        self.copy = root / "copy"
        self.space = made(root / "space/PG_15_1/5/1").parents[1]
        self.log = made(root / "log/a.log").parent
        self.conf = made(root / "etc/postgresql.conf")
        self.data_directory(self.origin)
        self.link(self.origin)
        names = ("pg_data", "pg_data/log", "pg_data/pg_tblspc", "pg_tblspc", "pg_tblspc/16384",
                 "pg_tblspc/16384/PG_15_1")  # fmt: skip
        self.manifest = contents.Manifest(
            backup=contents.BackupFacts(LABEL, "full", 1, 2, 3, (LABEL,)),
            db=contents.ManifestDb(1, 2, "15", 3, 4),
            options=contents.ManifestOptions(compress_type="none"),
            targets=[
                contents.Target("pg_data", "path", str(self.origin)),
                contents.Target("pg_data/log", "link", str(self.log)),
                contents.Target(
                    "pg_data/postgresql.conf", "link", str(root / "etc"), "postgresql.conf"
                ),
                contents.Target("pg_tblspc/16384", "link", str(root / "space"), None, 16384, "ts1"),
            ],
            files=[
                contents.ManifestFile(name, 3, 3, 1000, 0o600, *OWNER, checksum="0" * 40)
                for name in ("pg_data/postgresql.conf", "pg_data/log/a.log")
            ],
            paths=[contents.ManifestPath(name, 0o700, *OWNER) for name in names],
        )

    def data_directory(self, path, version="15"):
        made(path / "PG_VERSION", f"{version}\n")
        (path / "pg_tblspc").mkdir()

    def link(self, path, *names):
        ends = {
            "pg_tblspc/16384": self.root / "space",
            "log": self.log,
            "postgresql.conf": self.conf,
        }
        for name in names or ends:
            (path / name).symlink_to(ends[name])

    def run_in(self, path):
        made(path / "postmaster.pid", f"{os.getpid()}\n")
        self.processes.add(os.getpid(), name="postgres", cwd=path)

    def check(self, data=None, *, force=False, **changes):
        changes = {"link_all": True, **changes}
        pg = PgOptions(path=str(data or self.copy))
        options = Options("restore", stanza="demo", pgs=(pg,), **changes)
        where = plan.places(self.manifest, options)
        places = outside.outside_of(self.manifest, where)
        known = outside.others(self.manifest, options)
        outside.refuse_servers(places, known)
        empty = not target.holds(where.pg_data)
        outside.refuse_strangers(places, known, self.manifest, where, force=force, empty=empty)


@pytest.fixture
def host(tmp_path, monkeypatch):
    found = Host(tmp_path)
    monkeypatch.setattr(outside.running, "PROCESSES", str(found.processes.root))
    return found


ALL = ["pg_tblspc/16384", "log", "postgresql.conf"]


@pytest.fixture
def all_but_one(host):
    """A copy whose places are its own, but for the one that a test is about."""

    def options(name):
        own = host.root / "own"
        links = {"log": f"{own}/log", "postgresql.conf": f"{own}/postgresql.conf"}
        links.pop(name, None)
        spaces = () if name.startswith("pg_tblspc") else (("ts1", f"{own}/space"),)
        return {"link_map": tuple(links.items()), "tablespace_map": spaces}

    return options


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("own_link", [False, True])
def test_what_a_server_uses_that_runs(host, all_but_one, name, force, own_link):
    """Also when the copy has the same link, as one by cp has it."""
    host.run_in(host.origin)
    if own_link:
        host.data_directory(host.copy)
        host.link(host.copy, name)
    with pytest.raises(errors.PostgresRunningError, match=r"the server in '.*/origin' uses it"):
        host.check(force=force, **all_but_one(name))


def test_an_empty_directory_of_a_server_that_runs(host):
    """The next table that it makes would be in the way of the copy's."""
    host.run_in(host.origin)
    for path in (host.log / "a.log", host.space / "5/1"):
        path.unlink()
    with pytest.raises(errors.PostgresRunningError) as caught:
        host.check()
    assert "--tablespace-map=ts1=DIRECTORY" in caught.value.hint
    with pytest.raises(errors.PostgresRunningError) as caught:
        host.check(tablespace_map=(("ts1", str(host.root / "own")),))
    assert "--link-map=log=PLACE" in caught.value.hint


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("force", [False, True])
def test_what_belongs_to_a_cluster_that_is_down(host, all_but_one, name, force):
    with pytest.raises(errors.PathNotEmptyError, match=r"belongs to the cluster in '.*/origin'"):
        host.check(force=force, **all_but_one(name))


def test_places_of_its_own(host, all_but_one):
    host.run_in(host.origin)
    host.check(**all_but_one(""))


def test_the_data_directory_of_another_server(host):
    host.run_in(host.origin)
    for place in (host.origin / "base", host.root):
        with pytest.raises(errors.EngineError, match=r"uses it|has PGDATA"):
            host.check(
                tablespace_map=(("ts1", str(host.root / "own")),),
                link_map=(("log", str(place)), ("postgresql.conf", str(host.root / "own.conf"))),
            )


def test_another_version_has_its_own_directory_in_the_same_tablespace(host, all_but_one):
    """As pg_upgrade leaves them."""
    made(host.origin / "PG_VERSION", "14\n")
    made(host.root / "space/PG_14_1/5/1")
    host.run_in(host.origin)
    host.data_directory(host.copy)
    host.link(host.copy, "pg_tblspc/16384")
    host.check(**all_but_one("pg_tblspc/16384"))


@pytest.mark.parametrize("name", ALL)
def test_what_nobody_is_known_to_use(host, all_but_one, name):
    """It is the copy's when its link leads there, or when it is told to take it."""
    shutil.rmtree(host.origin)
    host.data_directory(host.copy)
    options = all_but_one(name)
    with pytest.raises(errors.EngineError, match="does not lead there") as caught:
        host.check(**options)
    assert caught.value.code == (93 if name == "postgresql.conf" else 40)
    assert "--force" in caught.value.hint
    host.check(force=True, **options)
    host.link(host.copy, name)
    host.check(**options)


def test_a_number_that_was_left_behind_is_no_server(host, all_but_one):
    """After a crash of the host some process has it; the link of the copy's own leads there."""
    made(host.origin / "postmaster.pid", f"{os.getpid()}\n")
    host.processes.add(os.getpid(), name="sshd", cwd=host.root)
    host.data_directory(host.copy)
    host.link(host.copy, "log")
    host.check(**all_but_one("log"))


@pytest.mark.parametrize("name", ALL)
def test_the_cluster_itself_that_has_lost_a_link(host, name):
    host.check(host.origin)
    (host.origin / name).unlink()
    host.check(host.origin)
    # One that leads elsewhere is not lost.
    (host.origin / name).symlink_to(host.root / "elsewhere")
    with pytest.raises(errors.EngineError, match="does not lead there"):
        host.check(host.origin)


def test_the_cluster_itself_does_not_take_other_places(host):
    own = made(host.root / "other/PG_15_1/file").parents[1]
    (host.origin / "pg_tblspc/16384").unlink()
    with pytest.raises(errors.PathNotEmptyError, match="does not lead there"):
        host.check(host.origin, tablespace_map=(("ts1", str(own)),))


@pytest.fixture
def gone(host):
    """The data directory is lost, and all else is there."""
    shutil.rmtree(host.origin)
    return host


def test_a_data_directory_that_holds_nothing(gone):
    """What a disaster has spared elsewhere may be taken over, if it is said."""
    with pytest.raises(errors.PathNotEmptyError, match="does not lead there") as caught:
        gone.check(gone.origin)
    assert "--force takes it over, in a task with confirm_host" in caught.value.hint
    gone.check(gone.origin, force=True)
    # Wherever the tablespace is to be.
    made(gone.root / "other/PG_15_1/file")
    gone.check(gone.origin, force=True, tablespace_map=(("ts1", f"{gone.root}/other"),))


@pytest.mark.parametrize("force", [False, True])
def test_a_directory_that_many_share_is_nobodys(gone, all_but_one, force):
    """The logs of all clusters of a host, which --link-all makes a place of this one."""
    made(gone.log / "another.log")
    with pytest.raises(errors.PathNotEmptyError, match="need not be of the cluster") as caught:
        gone.check(gone.origin, force=force, **all_but_one("log"))
    assert "--link-map=log=PLACE" in caught.value.hint and "--force" not in caught.value.hint


@pytest.mark.parametrize("force", [False, True])
def test_a_place_that_the_cluster_never_had(gone, all_but_one, force):
    made(gone.root / "srv/app/data.db")
    options = all_but_one("log")
    options["link_map"] += (("log", f"{gone.root}/srv"),)
    with pytest.raises(errors.PathNotEmptyError, match=r"/srv' because .* need not be"):
        gone.check(gone.origin, force=force, **options)


def test_the_wal_of_a_data_directory_that_is_gone(gone):
    """The backup has none of it."""
    wal = made(gone.root / "wal/000000010000000000000001").parent
    gone.manifest.targets.append(contents.Target("pg_data/pg_wal", "link", str(wal)))
    gone.manifest.paths.append(contents.ManifestPath("pg_data/pg_wal", 0o700, *OWNER))
    gone.check(gone.origin, force=True)


@pytest.mark.parametrize("name", ALL)
def test_what_the_former_data_directory_beside_it_has(host, all_but_one, name):
    """It was moved aside, and may be all that is left."""
    host.origin.rename(host.root / "origin.bad")
    with pytest.raises(errors.PathNotEmptyError, match=r"cluster in '.*/origin\.bad'") as caught:
        host.check(host.origin, force=True, **all_but_one(name))
    assert "move that data directory away" in caught.value.hint


@pytest.mark.parametrize("name", ALL)
def test_what_a_restore_has_brought_where_something_was_set_aside(host, all_but_one, name):
    """It was wrong, and the next one is forced: the links of before lead to what came later."""
    aside = host.root / "origin.aside-20261122-193512"
    host.origin.rename(aside)
    ends = {"pg_tblspc/16384": host.space, "log": host.log, "postgresql.conf": host.conf}
    place = ends[name]
    with pytest.raises(errors.PathNotEmptyError, match=f"because it belongs .*{aside.name}'"):
        host.check(host.origin, force=True, **all_but_one(name))
    if place.is_dir():
        shutil.copytree(place, f"{place}.aside-20261122-193512")
    else:
        shutil.copy(place, f"{place}.aside-20261122-193512")
    host.check(host.origin, force=True, **all_but_one(name))


def test_what_was_moved_aside_with_its_tablespace(host):
    """As a task does it."""
    host.origin.rename(host.root / "origin.aside")
    for path in (host.space, host.log, host.conf):
        path.rename(f"{path}.aside")
    host.check(host.origin)
