# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that can do less than OpenSSH: the whole life of a repository on each of them.

Stock pgBackRest then looks at what was made, in the directory itself.
"""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.tests.support.outcome import labels_of_stock, stock
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


BARE = {"extensions": {}, "no_messages": True}

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
    "answers out of order": {"backwards": True},
    "small requests": {"limits": (34000, 32768, 32768, 64)},
}


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """One for all the servers; it does not run."""
    return new_cluster()


def check_life(repository):
    run = repository.run
    assert run("stanza-create", "--no-online")["repos"]
    full = run("backup", "--no-online", "--type=full")["label"]
    incr = run("backup", "--no-online", "--type=incr", "--no-repo1-bundle")["label"]
    second = run("backup", "--no-online", "--type=full", "--no-repo1-bundle")["label"]
    (found,) = run("info")["stanzas"]
    assert [row["label"] for row in found["backup"]] == [full, incr, second]
    assert labels_of_stock(repository.site) == [full, incr, second]
    assert not run("verify")["errors"]
    stock(repository.site, "verify")
    run("expire", "--repo1-retention-full=1")
    assert labels_of_stock(repository.site) == [second]
    assert not [name for name in repository.names() if full in name and "history" not in name]
    assert not [name for name in repository.names() if name.endswith(".tmp")]


# The others are among the slow tests: `make faults`.
ALWAYS = (
    "one handle",
    "no extension, a taken name is refused with 4",
    "statvfs and limits switched off",
    "answers out of order",
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in ALWAYS else pytest.mark.slow) for n in SERVERS],
)
def test_a_whole_life(sites, cluster, name):
    repository = Repository(sites(cluster))
    repository.defects = SERVERS[name]
    check_life(repository)
