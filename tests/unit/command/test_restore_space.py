# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a restore has room, by file system and by what is there already."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import space
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.copy import (
    RestoreFile,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.plan import (
    NOWHERE,
    Places,
)
from ansible_collections.pgsftp.backup.tests.support.vanishing import vanish

EXABYTE = 1 << 60


def file(path, size):
    return RestoreFile(str(path), str(path), size, "", NOWHERE, None, 0o600, 0, 0, 0)


def places(tmp_path, **links):
    named = {f"pg_data/{name}": str(target) for name, target in links.items()}
    return Places(str(tmp_path / "data"), {}, named, {})


def test_what_fits(tmp_path):
    where = places(tmp_path)
    (room,) = space.check(
        [file(tmp_path / "data/a/b", 1), file(tmp_path / "data/c", 5000)], where, ()
    )
    # A file takes whole units, and nothing is made by asking.
    assert room.needed == 3 * space.UNIT
    assert room.path == str(tmp_path)
    assert room.returned == 0
    assert os.listdir(tmp_path) == []


def test_what_does_not_fit_is_told_in_numbers(tmp_path):
    with pytest.raises(errors.FileWriteError, match="1024PB are needed there, but only") as caught:
        space.check([file(tmp_path / "data/a", EXABYTE)], places(tmp_path), ())
    assert str(tmp_path) in caught.value.message
    assert caught.value.code == 64


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /srv rw - zfs tank/srv rw,xattr
31 30 0:27 / /srv/with\\040space rw shared:3 - fuse.sshfs host:/ rw
32 22 0:28 / /srv rw master:1 propagate_from:2 - btrfs /dev/vdb rw
no line of it
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srvx", "ext4"),
        # What was mounted last covers what was there.
        ("/srv", "btrfs"),
        ("/srv/pg/main", "btrfs"),
        ("/srv/with space/x", "fuse.sshfs"),
    ],
)
def test_the_type_of_a_file_system(path, kind):
    assert space.kind_of(path, MOUNTS) == kind


def test_nobody_knows_what_fits_where_files_are_compressed(tmp_path, monkeypatch, caplog):
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(space, "_MOUNTS", str(mounts))
    files = [file(tmp_path / "data/a", EXABYTE)]
    for kind in ("btrfs", "fuse.mergerfs"):
        mounts.write_text(f"30 22 0:26 / {tmp_path} rw - {kind} /dev/vdb rw\n")
        caplog.clear()
        (room,) = space.check(files, places(tmp_path), ())
        assert room.needed == EXABYTE
        assert f"it fits only if {kind} compresses it" in caplog.text
    mounts.write_text(f"30 22 0:26 / {tmp_path} rw - ext4 /dev/vdb rw\n")
    with pytest.raises(errors.FileWriteError):
        space.check(files, places(tmp_path), ())
    mounts.unlink()
    with pytest.raises(errors.FileWriteError):
        space.check(files, places(tmp_path), ())


def test_what_is_replaced_is_room(tmp_path):
    data = tmp_path / "data"
    (data / "base").mkdir(parents=True)
    (data / "base" / "1").write_bytes(os.urandom(1 << 20))
    os.link(data / "base" / "1", data / "base" / "2")
    (data / "base" / "sparse").touch()
    os.truncate(data / "base" / "sparse", EXABYTE >> 24)
    where = places(tmp_path)
    # The root twice: nothing is counted twice, nor is what takes no blocks.
    (room,) = space.check([file(data / "base/1", 1)], where, [str(data), str(data / "base")])
    assert 1 << 20 <= room.returned < 2 << 20


def test_what_a_server_removes_meanwhile_is_no_error(tmp_path, monkeypatch):
    data = tmp_path / "data"
    (data / "base").mkdir(parents=True)
    for name in ("base/1", "2"):
        (data / name).write_bytes(os.urandom(1 << 20))
    vanish(monkeypatch, data)
    (room,) = space.check([file(data / "base/1", 1)], places(tmp_path), [str(data)])
    assert room.returned == 0


def test_a_link_leads_to_another_file_system(tmp_path):
    elsewhere = "/dev/shm"
    if os.stat(elsewhere).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is only one file system")
    files = [file(tmp_path / "data/pg_wal/1", 10), file(tmp_path / "data/base/1", 20)]
    rooms = space.check(files, places(tmp_path, pg_wal=f"{elsewhere}/new/wal"), ())
    assert {room.path for room in rooms} == {str(tmp_path), elsewhere}
    # One that is no link in this restore will be a directory.
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pg_wal").symlink_to(elsewhere)
    (room,) = space.check(files, places(tmp_path), ())
    assert room.path == str(tmp_path / "data")
