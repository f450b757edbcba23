# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at a protocol operation: nobody has to repair anything by hand.

What lies in the repository then is exactly what N - 1 requests made. Each test goes on until N is
more than the command needs.
"""

from __future__ import annotations

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


def every(step):
    """Some operations always, on a server of either kind; all of them among the slow tests."""
    slow = [pytest.mark.slow, pytest.mark.timeout(3600)]
    return pytest.mark.parametrize(
        "repository, way",
        [
            pytest.param("posix-rename", Way(step), id="some"),
            pytest.param("no posix-rename", Way(1, NAMING), id="no posix-rename, renames"),
            pytest.param("posix-rename", Way(1), id="all", marks=slow),
            pytest.param("no posix-rename", Way(1), id="no posix-rename, all", marks=slow),
        ],
        indirect=["repository"],
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


@every(9)
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
        assert listed(repository) in ([first, second], [second])
        repository.run("expire", "--repo1-retention-full=1")
        assert listed(repository) == [second]
        assert repository.names() == calm, number
        seen.append(number)
    assert len(seen) >= 3
