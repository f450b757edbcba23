# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place that a restore writes to: what is refused, removed, made, and in which order."""

from __future__ import annotations

import dataclasses
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import plan
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    target as restore_target,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.owner import (
    Owners,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.target import (
    Target,
    holds,
    is_data_directory,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import (
    control,
    releases,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import contents
from ansible_collections.pgsftp.backup.tests.support.pg_files import control_file

LABEL = "20260101-000000F"


def manifest(pg_data="/origin/data", *, tablespace="/origin/ts1"):
    owner = ("postgres", "postgres")
    names = ["pg_data", "pg_data/base", "pg_data/base/5", "pg_data/global", "pg_data/log"]
    names += ["pg_data/pg_tblspc", "pg_tblspc", "pg_tblspc/16384", "pg_tblspc/16384/PG_15_1"]
    files = ["PG_VERSION", "base/5/1259", "global/pg_control", "log/a.log", "postgresql.conf"]
    return contents.Manifest(
        backup=contents.BackupFacts(LABEL, "full", 1, 2, 3, (LABEL,)),
        db=contents.ManifestDb(1, 2, "15", 3, 4),
        options=contents.ManifestOptions(compress_type="none"),
        targets=[
            contents.Target("pg_data", "path", pg_data),
            contents.Target("pg_data/log", "link", "../log"),
            contents.Target("pg_data/postgresql.conf", "link", "../etc", "postgresql.conf"),
            contents.Target("pg_tblspc/16384", "link", tablespace, None, 16384, "ts1"),
        ],
        files=[
            contents.ManifestFile(f"pg_data/{name}", 3, 3, 1000, 0o600, *owner, checksum="0" * 40)
            for name in files
        ],
        paths=[contents.ManifestPath(name, 0o700, *owner) for name in names],
        links=[contents.ManifestLink("pg_data/log", "../log", *owner)],
    )


def options(tmp_path, **changes):
    base = Options("restore", stanza="demo", pgs=(PgOptions(path=str(tmp_path / "data")),))
    return dataclasses.replace(base, **changes)


def target(tmp_path, **changes):
    changes.setdefault("tablespace_map", (("ts1", str(tmp_path / "ts1")),))
    whole = manifest()
    where = plan.places(whole, options(tmp_path, **changes))
    return Target(whole, where, Owners(where.pg_data)), where


def test_links_are_restored_as_plain_files_unless_asked_for(tmp_path):
    _dummy, where = target(tmp_path)
    assert where.links == {"pg_data/pg_tblspc/16384": str(tmp_path / "ts1")}
    assert where.of("pg_data/log/a.log") == str(tmp_path / "data/log/a.log")
    assert where.of("pg_tblspc/16384/PG_15_1/5/1") == str(tmp_path / "ts1/PG_15_1/5/1")
    assert where.of("pg_tblspc") is None


def test_link_all_keeps_the_links(tmp_path):
    (tmp_path / "data").mkdir()
    place, where = target(tmp_path, link_all=True)
    assert where.links["pg_data/log"] == "../log"
    assert where.of("pg_data/postgresql.conf") == str(tmp_path / "etc/postgresql.conf")
    place.make_directories()
    assert os.readlink(tmp_path / "data/log") == "../log"
    assert (tmp_path / "log").is_dir()
    assert (tmp_path / "etc").is_dir()
    assert os.readlink(tmp_path / "data/pg_tblspc/16384") == str(tmp_path / "ts1")
    place.make_directories()


def relative_tablespace(tmp_path, pg_data="data", **changes):
    whole = manifest(tablespace="../../ts1")
    given = options(tmp_path, pgs=(PgOptions(path=str(tmp_path / pg_data)),), **changes)
    where = plan.places(whole, given)
    return Target(whole, where, Owners(where.pg_data)), where


def test_a_relative_tablespace_is_where_its_link_leads(tmp_path, monkeypatch):
    """And not where the working directory of whoever restores would have it."""
    inside = tmp_path / "ts1/PG_15_1"
    stranger = tmp_path / "elsewhere/ts1/PG_15_1"
    for path in (tmp_path / "data/pg_tblspc", tmp_path / "elsewhere/deep/er", inside, stranger):
        path.mkdir(parents=True)
        (path / "stale").touch()
    monkeypatch.chdir(tmp_path / "elsewhere/deep/er")
    place, where = relative_tablespace(tmp_path)
    assert where.links["pg_data/pg_tblspc/16384"] == "../../ts1"
    assert where.of("pg_tblspc/16384/PG_15_1/5/1") == str(inside / "5/1")
    assert place.roots()[1] == str(inside)
    place.clean(preserve=())
    assert not (inside / "stale").exists()
    assert (stranger / "stale").exists()
    place.make_directories()
    assert os.readlink(tmp_path / "data/pg_tblspc/16384") == "../../ts1"
    assert (tmp_path / "data/pg_tblspc/16384").samefile(where.tablespaces[16384])


def test_a_relative_link_leads_from_where_the_data_directory_really_is(tmp_path):
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "far/away")
    place, where = relative_tablespace(tmp_path, link_all=True)
    assert where.tablespaces == {16384: str(tmp_path / "far/ts1")}
    assert where.of("pg_data/postgresql.conf") == str(tmp_path / "far/etc/postgresql.conf")
    place.make_directories()
    assert (tmp_path / "data/pg_tblspc/16384").samefile(tmp_path / "far/ts1")
    assert (tmp_path / "data/log").samefile(tmp_path / "far/log")


def test_a_relative_link_leads_from_where_its_directory_really_is(tmp_path):
    maps = (("base", str(tmp_path / "b/deep/er")), ("base/5", "../../../../5"))
    (tmp_path / "data").mkdir()
    place, where = target(tmp_path, link_map=maps)
    assert where.destination("pg_data/base/5") == str(tmp_path.parent / "5")
    assert str(tmp_path.parent / "5") in place.roots()


def test_a_map_of_something_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(errors.TablespaceMapError, match="'nosuch'\nHINT: the backup has "):
        plan.places(manifest(), options(tmp_path, tablespace_map=(("nosuch", "/x"),)))
    with pytest.raises(errors.LinkMapError, match="'nosuch'\nHINT: name what"):
        plan.places(manifest(), options(tmp_path, link_map=(("nosuch", "/x"),)))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"tablespace_map": (("ts1", "{}/data/ts1"),)}, "pg_tblspc/16384' .* is in PGDATA"),
        ({"tablespace_map": (("ts1", "{}/x/../data"),)}, "is in PGDATA"),
        ({"tablespace_map": (("ts1", "{}/data/base"),)}, "is in PGDATA"),
        ({"link_map": (("log", "{}/ts1"),)}, "is the same directory as link"),
        ({"link_map": (("base", "{}/ts1/PG_15_1"),)}, "is a subdirectory of link"),
        ({"link_map": (("base/5", "{}/data/five"),)}, "is in PGDATA"),
        ({"link_map": (("base", "{}/b"), ("global", "{}/b/g"))}, "is a subdirectory of link"),
        ({"link_map": (("postgresql.conf", "{}/ts1/c"),)}, "is the same directory as link"),
        ({"link_map": (("PG_VERSION", "{}/c"), ("postgresql.conf", "{}/c"))}, "the same file"),
        ({"link_map": (("PG_VERSION", "./v"),)}, "is in PGDATA"),
        ({"link_map": (("log", "{}"),)}, "/data/log' destination '.*' has PGDATA"),
        ({"link_map": (("log", ".."),)}, "/data/log' destination '.*' has PGDATA"),
        ({"link_map": (("log", "/"),)}, "/data/log' destination '/' has PGDATA"),
    ],
)
def test_places_in_each_others_way_are_refused(tmp_path, maps, message):
    """As a backup of what is restored would refuse them."""
    given = {"tablespace_map": (("ts1", "{}/ts1"),), **maps}
    given = {
        name: tuple((key, value.format(tmp_path)) for key, value in pairs)
        for name, pairs in given.items()
    }
    with pytest.raises(errors.LinkDestinationError, match=message) as caught:
        plan.places(manifest(), options(tmp_path, **given))
    assert caught.value.code == 70


def test_two_tablespaces_in_one_directory_are_refused(tmp_path):
    whole = manifest()
    second = contents.Target("pg_tblspc/16385", "link", "/origin/ts2", None, 16385, "ts2")
    whole = dataclasses.replace(whole, targets=[*whole.targets, second])
    maps = (("ts1", "/x/t"), ("ts2", "/x/t/"))
    with pytest.raises(errors.LinkDestinationError, match=r"16385' .*same directory as.*16384'"):
        plan.places(whole, options(tmp_path, tablespace_map=maps))
    where = plan.places(whole, options(tmp_path, tablespace_map_all="/x/t"))
    assert where.tablespaces == {16384: "/x/t/ts1", 16385: "/x/t/ts2"}


def test_a_tablespace_may_lie_around_the_data_directory(tmp_path):
    """PostgreSQL and backups allow it, and a restore keeps to the directory of its version."""
    _dummy, where = target(tmp_path, tablespace_map=(("ts1", str(tmp_path)),))
    assert where.tablespaces == {16384: str(tmp_path)}


def test_a_tablespace_that_is_mapped_twice_is_refused(tmp_path):
    maps = (("ts1", "/x"), ("16384", "/y"))
    with pytest.raises(errors.TablespaceMapError, match="name 'ts1' and id 16384") as caught:
        plan.places(manifest(), options(tmp_path, tablespace_map=maps))
    assert caught.value.code == 76
    maps = (("ts1", "/x"), ("16384", "/x/"))
    assert plan.places(manifest(), options(tmp_path, tablespace_map=maps)).tablespaces == {
        16384: "/x"
    }


def test_a_link_to_a_file_needs_its_name(tmp_path):
    for text in ("x", "/x/"):
        maps = (("postgresql.conf", text),)
        with pytest.raises(errors.LinkMapError, match=f"'{text}' is not long enough") as caught:
            plan.places(manifest(), options(tmp_path, link_map=maps))
        assert caught.value.code == 78


def test_anything_in_the_way_is_refused(tmp_path):
    (tmp_path / "data").mkdir(parents=True)
    place, _dummy = target(tmp_path)
    place.refuse_unless_empty()
    (tmp_path / "data/precious").write_text("data")
    with pytest.raises(errors.PathNotEmptyError, match="data") as caught:
        place.refuse_unless_empty()
    assert caught.value.code == 40
    assert "--delta" in caught.value.hint


def test_a_place_of_somebody_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    place, _dummy = target(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path / "data").st_uid + 4711)
    with pytest.raises(errors.FileOwnerError, match="data' not owned by current user"):
        place.refuse_unless_empty()


def test_what_is_preserved_is_not_in_the_way(tmp_path):
    """As pgBackRest has it: settings may be laid down before the restore."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/recovery.conf").touch()
    place, _dummy = target(tmp_path)
    place.refuse_unless_empty(preserve=("recovery.conf",))
    with pytest.raises(errors.PathNotEmptyError, match="data"):
        place.refuse_unless_empty()


def test_what_holds_something(tmp_path):
    assert not holds(str(tmp_path / "nothing"))
    assert not holds(str(tmp_path))
    (tmp_path / "file").touch()
    assert holds(str(tmp_path)) and holds(str(tmp_path / "file"))
    assert not holds(str(tmp_path), preserve=("file",))


def test_other_content_of_a_tablespace_directory_is_none_of_our_business(tmp_path):
    (tmp_path / "ts1/PG_14_1").mkdir(parents=True)
    place, _dummy = target(tmp_path)
    place.refuse_unless_empty()
    place.clean(preserve=())
    assert (tmp_path / "ts1/PG_14_1").is_dir()


def test_a_data_directory_is_known_by_its_version_or_by_an_aborted_restore(tmp_path):
    assert not is_data_directory(str(tmp_path))
    (tmp_path / "backup.manifest").write_text("")
    assert is_data_directory(str(tmp_path))


def test_cleaning_leaves_what_the_backup_has_and_nothing_else(tmp_path):
    data = tmp_path / "data"
    (data / "base/5").mkdir(parents=True)
    (data / "base/6").mkdir()
    (data / "pg_tblspc").mkdir()
    for name in ("PG_VERSION", "base/5/1259", "base/5/9999", "base/6/1", "postmaster.opts"):
        (data / name).write_text("x")
    (data / "pg_tblspc/16384").symlink_to("/elsewhere")
    (data / "log").symlink_to(tmp_path)
    place, _dummy = target(tmp_path)
    # Two files, a link that leads elsewhere, one that is none in this restore, base/6 and its file.
    assert place.clean(preserve=()) == 6
    assert (data / "PG_VERSION").exists()
    assert (data / "base/5/1259").exists()
    assert not (data / "base/5/9999").exists()
    assert not (data / "base/6").exists()
    assert not (data / "log").is_symlink()
    assert not (data / "pg_tblspc/16384").is_symlink()
    assert tmp_path.exists()


def test_cleaning_leaves_what_the_backup_has_behind_a_link(tmp_path):
    """Else --delta would fetch all of it once more."""
    for name in ("data", "elsewhere/5", "elsewhere/6", "log"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("elsewhere/5/1259", "elsewhere/5/9999", "elsewhere/6/1", "log/a.log", "log/b.log"):
        (tmp_path / name).write_text("x")
    (tmp_path / "data/base").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/postgresql.conf").symlink_to("../etc/postgresql.conf")
    place, _dummy = target(tmp_path, link_all=True, link_map=(("base", f"{tmp_path}/elsewhere"),))
    found = [os.path.relpath(path, tmp_path) for path in place.superfluous(preserve=())]
    assert sorted(found) == ["elsewhere/5/9999", "elsewhere/6", "elsewhere/6/1", "log/b.log"]
    place.clean(preserve=())
    assert (tmp_path / "elsewhere/5/1259").exists()
    assert (tmp_path / "log/a.log").exists()
    assert (tmp_path / "data/postgresql.conf").is_symlink()


def test_cleaning_can_preserve_settings(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "standby.signal").write_text("")
    place, _dummy = target(tmp_path)
    assert place.clean(preserve=("standby.signal",)) == 0
    assert (data / "standby.signal").exists()


def test_pg_control_goes_first(tmp_path, monkeypatch):
    """Nothing else goes while a server can be started with what is left."""
    (tmp_path / "data/global").mkdir(parents=True)
    names = ("global/pg_control", "global/pg_control.pgbackrest.tmp", "a", "global/a")
    for name in names:
        (tmp_path / "data" / name).write_text("x")
    gone = []
    unlink = os.unlink

    def watched(path, **more):
        gone.append(os.path.relpath(path, tmp_path / "data"))
        unlink(path, **more)

    monkeypatch.setattr(os, "unlink", watched)
    place, _dummy = target(tmp_path)
    assert place.clean(preserve=()) == 2
    assert tuple(gone[:2]) == names[:2]
    assert set(gone[2:]) >= set(names[2:])
    assert os.listdir(tmp_path / "data/global") == []


@pytest.mark.parametrize("online", [True, False])
def test_pg_control_comes_last_and_cannot_be_used_without_a_label(tmp_path, monkeypatch, online):
    place, where = target(tmp_path)
    place.make_directories()
    place.mark("under way")
    temporary = tmp_path / "data/global/pg_control.pgbackrest.tmp"
    temporary.write_bytes(control_file(releases.of_name("15")))
    os.utime(temporary, (1000, 1000))
    synced = []
    sync = restore_target.sync_directory

    def watched(path):
        synced.append(path)
        names = [name for name in ("backup.manifest", "global/pg_control") if there(name)]
        assert names == (["global/pg_control"] if path == f"{where.pg_data}/global" else [])
        sync(path)

    def there(name):
        return (tmp_path / "data" / name).exists()

    monkeypatch.setattr(restore_target, "sync_directory", watched)
    place.finish(online=online)
    assert {where.pg_data, f"{where.pg_data}/base", str(tmp_path / "ts1")} <= set(synced)
    assert synced[-1] == f"{where.pg_data}/global"
    path = tmp_path / "data/global/pg_control"
    found = control.read(path.read_bytes())
    assert (found.checkpoint == control.INVALID_CHECKPOINT) is online
    assert path.stat().st_mtime == 1000


def test_what_is_refused_is_refused_before_pg_control_goes(tmp_path):
    (tmp_path / "data/global").mkdir(parents=True)
    (tmp_path / "data/global/pg_control").write_text("x")
    (tmp_path / "ts1").mkdir()
    (tmp_path / "ts1/PG_15_1").write_text("a file")
    place, _dummy = target(tmp_path)
    with pytest.raises(errors.PathCreateError, match="PG_15_1' exists but is not a directory"):
        place.clean(preserve=())
    assert (tmp_path / "data/global/pg_control").exists()


def test_cleaning_goes_by_what_a_name_is_in_the_backup(tmp_path):
    data = tmp_path / "data"
    (data / "PG_VERSION/deep").mkdir(parents=True)
    (data / "PG_VERSION/deep/file").write_text("x")
    (data / "base").write_text("x")
    (data / "global").mkdir()
    os.mkfifo(data / "postgresql.conf")
    place, _dummy = target(tmp_path)
    assert place.clean(preserve=()) == 5
    assert os.listdir(data) == ["global"]


def test_settings_are_replaced_as_a_whole(tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    place, _dummy = target(tmp_path)
    place.write_file("postgresql.auto.conf", "a = 'ü'\n")
    assert (tmp_path / "data/postgresql.auto.conf").read_text("utf-8") == "a = 'ü'\n"
    assert (tmp_path / "data/postgresql.auto.conf").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "data") == ["postgresql.auto.conf"]


def test_a_parent_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "data").write_text("a file")
    place, _dummy = target(tmp_path)
    with pytest.raises(errors.PathCreateError, match="data"):
        place.make_directories()
