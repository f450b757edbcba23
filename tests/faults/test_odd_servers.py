# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that can do less than OpenSSH: the whole life of a repository on each of them.

A restore gives what the cluster has, and stock pgBackRest looks at what was made, in the directory
itself: at what has no blocks, which it knows from 2.46 on.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.outcome import (
    OF_A_RESTORE,
    labels_of_stock,
    stock,
)
from ansible_collections.pgsftp.backup.tests.support.own_server import Repository
from ansible_collections.pgsftp.backup.tests.support.sftp_server import (
    ALL_EXTENSIONS,
    PERMISSION_DENIED,
    UNSUPPORTED,
)

pytestmark = pytest.mark.faults


def without(*names):
    """Not announced, and not known."""
    full = [f"{name}@openssh.com" for name in names]
    return {
        "extensions": {key: value for key, value in ALL_EXTENSIONS.items() if key not in full},
        "refuse": dict.fromkeys(full, UNSUPPORTED),
    }


def forbidden(*names):
    """Announced, but switched off by the administrator."""
    return {"refuse": dict.fromkeys([f"{name}@openssh.com" for name in names], PERMISSION_DENIED)}


CHANGING = "half_a_megabyte"

BARE = {"extensions": {}, "no_messages": True}

# Each sentence of what a server may lack is in one of the first four, which always run; the others
# have one defect each, and are among the slow tests: `make faults`.
ALWAYS = {
    "nothing but the draft, one handle, short reads": {
        **BARE,
        "rename_taken": 4,
        "handles": 1,
        "longest_read": 4000,
    },
    "taken names refused with 11, ten handles, no modes, out of order": {
        **BARE,
        "rename_taken": 11,
        "handles": 10,
        "no_modes": True,
        "bare_listing": True,
        "unlink_path": PERMISSION_DENIED,
        "names_per_answer": 7,
        "backwards": True,
    },
    "one handle, and says so": {"handles": 1, "limits": (262144, 261120, 261120, 1)},
    "everything switched off, umask 077, chroot": {
        "refuse": {
            **forbidden("fsync", "posix-rename", "statvfs", "limits")["refuse"],
            **dict.fromkeys(("symlink", "setstat", "fsetstat"), PERMISSION_DENIED),
        },
        "umask": 0o077,
        "chroot": True,
    },
}

SERVERS = {
    "one handle": {**without("limits"), "handles": 1},
    "ten handles": {**without("limits"), "handles": 10},
    "ten handles, and says so": {"handles": 10, "limits": (262144, 261120, 261120, 10)},
    "no extension, a taken name is refused with 4": {**BARE, "rename_taken": 4},
    "no extension, a taken name is refused with 11": {**BARE, "rename_taken": 11},
    "no extension, rename replaces": {**BARE, "rename_taken": None},
    "no fsync": without("fsync"),
    "fsync switched off": forbidden("fsync"),
    "posix-rename switched off": forbidden("posix-rename"),
    "statvfs and limits switched off": forbidden("statvfs", "limits"),
    "no links, no attributes set": {"refuse": {"symlink": 8, "setstat": 3, "fsetstat": 3}},
    "short reads": {"longest_read": 4000},
    "a listing without attributes": {"bare_listing": True, "names_per_answer": 7},
    "a listing without sizes": {"no_sizes": True},
    "no modes": {"no_modes": True},
    "no modes, and directories are no files": {
        "no_modes": True,
        "unlink_path": PERMISSION_DENIED,
    },
    "answers out of order": {"backwards": True},
    "small requests": {"limits": (34000, 32768, 32768, 64)},
    "umask 077": {"umask": 0o077},
    "chroot": {"chroot": True},
}


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """One for all the servers; it does not run."""
    return new_cluster()


def change(data):
    """Half a megabyte of which a few bytes are others than last time."""
    file = data / CHANGING
    content = bytearray(file.read_bytes() if file.exists() else os.urandom(512 * 1024))
    content[300_000:300_010] = os.urandom(10)
    file.write_bytes(content)


def check_restore(repository):
    """What is restored is what the cluster, which does not run, has."""
    ours = repository.site.restored("ours").data
    ours.mkdir(mode=0o700)
    repository.run("restore", f"--pg1-path={ours}", "--type=none")
    check_tree(repository.site.cluster.data, ours)
    # The same once more finds everything in place, but for what was damaged.
    (ours / CHANGING).write_bytes(b"")
    repository.run("restore", f"--pg1-path={ours}", "--type=none", "--delta")
    check_tree(repository.site.cluster.data, ours)
    shutil.rmtree(ours.parent)


def check_tree(source, restored):
    files = [path.relative_to(restored) for path in restored.rglob("*") if path.is_file()]
    for name in files:
        if name not in OF_A_RESTORE:
            assert (restored / name).read_bytes() == (source / name).read_bytes(), name
    relations = {path.relative_to(source) for path in source.glob("base/*/[0-9]*")}
    assert relations and relations | {Path(CHANGING)} <= set(files)


def check_life(repository):
    run, data = repository.run, repository.site.cluster.data
    assert run("stanza-create", "--no-online")["repos"]
    change(data)
    blocks = ("--repo1-bundle", "--repo1-block")
    full = run("backup", "--no-online", "--type=full", *blocks)["label"]
    change(data)
    incr = run("backup", "--no-online", "--type=incr", *blocks)
    assert incr["repository_size_delta"] < 300_000, "not only the blocks that changed"
    incr = incr["label"]
    check_restore(repository)
    second = run("backup", "--no-online", "--type=full", "--no-repo1-bundle")["label"]
    third = run("backup", "--no-online", "--type=incr", "--no-repo1-bundle")["label"]
    (found,) = run("info")["stanzas"]
    assert [row["label"] for row in found["backup"]] == [full, incr, second, third]
    assert labels_of_stock(repository.site) == [full, incr, second, third]
    assert run("verify")["status"] == "ok"
    run("expire", "--repo1-retention-full=1")
    assert labels_of_stock(repository.site) == [second, third]
    stock(repository.site, "verify")
    assert not [name for name in repository.names() if full in name and "history" not in name]
    assert not [name for name in repository.names() if name.endswith(".tmp")]
    modes = {path.stat().st_mode & 0o077 for path in repository.path.rglob("*")}
    assert modes == ({0} if repository.defects.get("umask") else {0o040, 0o050})


@pytest.mark.parametrize(
    "defects",
    [
        *(pytest.param(defects, id=name) for name, defects in ALWAYS.items()),
        *(
            pytest.param(defects, id=name, marks=pytest.mark.slow)
            for name, defects in SERVERS.items()
        ),
    ],
)
def test_a_whole_life(sites, cluster, defects):
    repository = Repository(sites(cluster))
    repository.defects = defects
    check_life(repository)
