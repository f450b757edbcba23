# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SFTP storage on a real OpenSSH server: every verb, and disks that take no more."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.tests.support import sshd
from ansible_collections.pgsftp.backup.tests.support.openssh import put

pytest.importorskip("paramiko")
pytestmark = pytest.mark.skipif(sshd.SSHD is None, reason="needs sshd (package openssh-server)")


def test_every_verb(server, connect, tmp_path):
    storage = connect(server)
    data = os.urandom(5_000_000)
    storage.write("backup/demo/x", data)
    assert storage.read("backup/demo/x") == data
    assert (
        storage.reader("backup/demo/x", offset=1_000_000, size=7).read_all()
        == (data[1_000_000:1_000_007])
    )
    found = os.stat(tmp_path / "repo/backup/demo/x")
    assert found.st_mode & 0o777 == 0o640
    assert os.stat(tmp_path / "repo/backup").st_mode & 0o777 == 0o750
    storage.write("backup/demo/x", b"replaced")
    assert [(entry.name, entry.size) for entry in storage.list("backup/demo")] == [("x", 8)]
    storage.rename("backup/demo/x", "backup/demo/y")
    assert storage.info("backup/demo/x") is None
    storage.link("demo", "backup/latest")
    assert os.readlink(tmp_path / "repo/backup/latest") == "demo"
    assert storage.free_size() > 0
    storage.remove("backup/latest")
    storage.remove_tree("backup")
    assert storage.list("") == []


@pytest.fixture
def file_system(tmp_path):
    """Mount a file system of its own as the repository: ``file_system("size=4m")``."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    root = tmp_path / "repo"
    root.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return root

    yield mount
    while os.path.ismount(root):
        subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_disk_that_is_full(server, connect, file_system):
    file_system("size=4m")
    storage = connect(server)
    with pytest.raises(errors.StorageFullError, match=r"no space left .* \(\d+ bytes free\)"):
        put(storage, ("x", "y", "z"), b"x" * 3_000_000)
    # Nothing that is not whole has a name.
    assert not [entry for entry in storage.list("") if entry.size != 3_000_000]
    storage.remove_many(["x", "y", "z"])
    storage.write("x", b"x" * 3_000_000)


@pytest.mark.parametrize("verb", ["write", "make_path"])
def test_a_file_system_without_inodes(server, connect, file_system, verb):
    file_system("size=64m", "nr_inodes=3")
    storage = connect(server)
    storage.write("x", b"x")
    storage.make_path("d")
    with pytest.raises(errors.StorageFullError, match=r"no inodes left .* \(\d+ bytes free\)"):
        getattr(storage, verb)(*(("y", b"y") if verb == "write" else ("e",)))


def test_a_file_system_that_becomes_read_only(server, connect, file_system):
    root = file_system("size=4m")
    storage = connect(server)
    storage.write("d/x", b"x")
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    for change in (
        lambda: storage.write("d/y", b"y"),
        lambda: storage.make_path("e"),
        lambda: storage.rename("d/x", "d/z"),
        lambda: storage.remove("d/x"),
        lambda: storage.remove_tree("d"),
    ):
        with pytest.raises(errors.StorageAccessError, match="read-only file system"):
            change()
    assert storage.read("d/x") == b"x"
    subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)
    storage.write("d/y", b"y")


def test_a_thousand_small_files_cost_a_handful_of_round_trips(server, connect):
    storage = connect(server)
    names = [f"d/{number % 10}/{number}" for number in range(1000)]
    put(storage, names, b"x" * 8192)
    written = storage.round_trips
    readers = [storage.reader(name) for name in names]
    assert all(reader.read_all() == b"x" * 8192 for reader in readers)
    read = storage.round_trips
    assert sum(len(names) for names in storage.list_many([f"d/{n}" for n in range(10)])) == 1000
    listed = storage.round_trips
    storage.remove_tree("d")
    assert written <= 40
    assert read - written <= 40
    assert listed - read <= 3
    assert storage.round_trips - listed <= 20


def test_what_openssh_says_of_each_cause(server, connect, tmp_path):
    storage = connect(server)
    storage.write("x", b"data")
    with pytest.raises(errors.StorageMissingError):
        storage.read("missing")
    with pytest.raises(errors.StorageMissingError):
        storage.list("x")
    with pytest.raises(errors.EngineError, match=r"it is not a directory|no such file"):
        storage.make_path("x/y")
    with pytest.raises(errors.FileReadError, match="ends at 4 bytes, 10 were expected"):
        storage.reader("x", size=10).read_all()
    with pytest.raises(errors.StorageError, match="unable to remove 'd'"):
        storage.make_path("d")
        storage.remove("d")


def test_a_full_disk(server, connect):
    if not os.path.exists("/dev/full") or os.geteuid() != 0:
        pytest.skip("needs to mount a small file system")
    storage = connect(server)
    small = pathlib.Path(storage.location.split(":", 1)[1]) / "small"
    storage.make_path("small")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("may not mount here")
    try:
        on_it = connect(server, path=str(small))
        on_it.write("fits", b"x" * 1_000_000)
        with pytest.raises(errors.StorageFullError, match=r"no space left .* bytes free\)"):
            on_it.write("too large", b"x" * 3_000_000)
        assert [entry.name for entry in on_it.list("")] == ["fits"]
        on_it.write("fits", b"y" * 500_000)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
