# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at a protocol operation: nobody has to repair anything by hand.

What lies in the repository then is exactly what N - 1 requests made. Each test goes on until N is
more than the command needs.
"""

from __future__ import annotations

import shutil

import pytest

from ansible_collections.pgsftp.backup.tests.support.outcome import labels_of_stock, stock
from ansible_collections.pgsftp.backup.tests.support.own_server import Repository
from ansible_collections.pgsftp.backup.tests.support.sftp_server import FAILURE

pytestmark = pytest.mark.faults


# What a server has to give a file a name that is taken: one step, or three, of which the last may
# not come.
SERVERS = {
    "posix-rename": {},
    "no posix-rename": {"extensions": {"limits@openssh.com": "1"}, "rename_taken": FAILURE},
}

# Before each of these a file has its new content, and on such a server perhaps no name.
NAMING = ("rename",)


class Way:
    """Where the kills are: at every ``step``-th request of those that are ``counted``."""

    def __init__(self, step, counted=None):
        self.step = step
        self.counted = counted


def every(step, fixture="repository"):
    """Some operations always, on a server of either kind; all of them among the slow tests.

    ``fixture`` gives the repository on it.
    """
    slow = [pytest.mark.slow, pytest.mark.timeout(3600)]
    return pytest.mark.parametrize(
        f"{fixture}, way",
        [
            pytest.param("posix-rename", Way(step), id="some"),
            pytest.param("no posix-rename", Way(1, NAMING), id="no posix-rename, renames"),
            pytest.param("posix-rename", Way(1), id="all", marks=slow),
            pytest.param("no posix-rename", Way(1), id="no posix-rename, all", marks=slow),
        ],
        indirect=[fixture],
    )


@pytest.fixture
def repository(request, sites):
    """A stanza's place, empty, on a server of that kind."""
    made = Repository(sites())
    made.defects = SERVERS[request.param]
    return made


def killed_at(repository, way, command, *arguments):
    """Set back, kill at request 1, 1 + step, ... until the command outlives it; yields each N."""
    number = 1
    while True:
        repository.set_back()
        outcome = repository.outcome(command, *arguments, kill_at=number, counted=way.counted)
        if not outcome.killed:
            assert outcome.error is None, outcome.error
            return
        yield number
        number += way.step


def listed(repository):
    """The labels that ``info`` lists, for us and for stock pgBackRest alike."""
    (ours,) = repository.run("info")["stanzas"]
    names = [row["label"] for row in ours["backup"]]
    assert labels_of_stock(repository.site) == names
    return names


def is_whole(repository, labels):
    """Whatever is listed can be restored: the manifest is there, and all that it names."""
    found = repository.run("verify")
    checked = {row["label"]: row for row in found["backups"]}
    assert set(checked) >= set(labels), found
    assert all(checked[name]["checked"] == checked[name]["valid"] > 0 for name in labels), found


@every(4)
def test_stanza_create(repository, way):
    seen = []
    for number in killed_at(repository, way, "stanza-create", "--no-online"):
        assert listed(repository) == []
        result = repository.run("stanza-create", "--no-online")
        assert result["repos"][0]["key"] == 1
        assert listed(repository) == []
        assert not [name for name in repository.names() if name.endswith(".tmp")], number
        stock(repository.site, "stanza-create", "--no-online")
        seen.append(number)
    assert len(seen) >= 4


@every(19)
def test_backup(repository, way):
    repository.run("stanza-create", "--no-online")
    repository.keep()
    seen = []
    for number in killed_at(repository, way, "backup", "--no-online", "--type=full"):
        before = listed(repository)
        assert len(before) <= 1
        label = repository.run("backup", "--no-online", "--type=full")["label"]
        after = listed(repository)
        assert after[-1] == label, number
        assert set(before) <= set(after)
        found = repository.run("verify")
        assert found["status"] == "ok", (number, found)
        assert not [name for name in repository.names() if name.endswith(".tmp")], number
        seen.append(number)
    assert len(seen) >= 4


@every(3)
def test_expire(repository, way):
    repository.run("stanza-create", "--no-online")
    for _dummy in range(2):
        repository.run("backup", "--no-online", "--type=full", "--repo1-bundle")
    first, second = listed(repository)
    repository.keep()
    repository.run("expire", "--repo1-retention-full=1")
    calm = repository.names()
    assert listed(repository) == [second]
    seen = []
    for number in killed_at(repository, way, "expire", "--repo1-retention-full=1"):
        left = listed(repository)
        assert left in ([first, second], [second])
        is_whole(repository, left)
        repository.run("expire", "--repo1-retention-full=1")
        assert listed(repository) == [second]
        assert repository.names() == calm, number
        seen.append(number)
    assert len(seen) >= 3


@pytest.fixture(scope="module")
def archived(sites):
    """A directory with two full backups, and WAL of before, between and after them; the cluster."""
    site = sites()
    site.configure(repo1_symlink="n", compress_level="1")
    site.archive()
    site.run("stanza-create")
    for _dummy in range(2):
        site.cluster.psql("select pg_switch_wal()")
        site.run("backup", "--type=full")
    site.cluster.psql("select pg_switch_wal()")
    site.cluster.stop()
    return site


@pytest.fixture
def with_wal(request, archived, sites):
    """The same on a server of that kind."""
    made = Repository(sites(archived.cluster))
    made.defects = SERVERS[request.param]
    shutil.copytree(archived.repo, made.path, dirs_exist_ok=True)
    made.keep()
    return made


def segments(repository):
    """The segments of WAL that are there."""
    paths = (repository.path / "archive" / "demo").glob("*/*/*-*")
    return sorted(path.name for path in paths)


@every(9, "with_wal")
def test_expire_of_wal(with_wal, way):
    """No WAL goes as long as a backup that needs it is listed; what stays is whole all the time."""
    first, second = listed(with_wal)
    before = segments(with_wal)
    with_wal.run("expire", "--repo1-retention-full=1")
    calm = with_wal.names()
    assert 0 < len(segments(with_wal)) < len(before)
    stock(with_wal.site, "verify")
    seen = []
    for number in killed_at(with_wal, way, "expire", "--repo1-retention-full=1"):
        left = listed(with_wal)
        assert left in ([first, second], [second])
        assert left == [second] or segments(with_wal) == before, number
        is_whole(with_wal, left)
        found = with_wal.run("verify", f"--set={second}")
        # Where a name that is taken is given in steps, one of the two info files may be gone.
        assert len(found["errors"]) <= 1, (number, found)
        assert all("backup.info" in error for error in found["errors"]), (number, found)
        assert all(row["checked"] == row["valid"] > 0 for row in found["backups"]), (number, found)
        with_wal.run("expire", "--repo1-retention-full=1")
        assert listed(with_wal) == [second]
        assert with_wal.names() == calm, number
        seen.append(number)
    assert len(seen) >= 2
