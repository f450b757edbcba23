# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository is full in the middle of a backup: it says so, and nothing has to be repaired."""

from __future__ import annotations

import re

import pytest

from ansible_collections.pgsftp.backup.tests.support.outcome import labels_of_stock
from ansible_collections.pgsftp.backup.tests.support.own_server import Repository

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def repository(sites):
    """A stanza without backups."""
    made = Repository(sites())
    made.run("stanza-create", "--no-online")
    made.keep()
    return made


@pytest.fixture(scope="module")
def needed(repository):
    """Bytes that a backup writes."""
    repository.run("backup", "--no-online", "--type=full")
    return repository.shared.written.value


def listed(repository):
    """The labels that ``info`` lists, for us and for stock pgBackRest alike."""
    (ours,) = repository.run("info")["stanzas"]
    names = [row["label"] for row in ours["backup"]]
    assert labels_of_stock(repository.site) == names
    return names


# Times take a byte more or less, so that the last bytes are not known exactly. Of what a backup
# writes, 3000 bytes or so are the info file and its copy, which come last; before them come the
# manifest and its copy.
@pytest.mark.parametrize("missing", ["half", 40_000, 2_000, 100])
def test_full(repository, needed, missing):
    repository.set_back()
    room = needed // 2 if missing == "half" else needed - missing
    outcome = repository.outcome("backup", "--no-online", "--type=full", room=room)
    assert outcome.error is not None, f"{room} of {needed} bytes were enough"
    assert re.search(r"no space left on the server \(\d+ bytes free\)", outcome.error), outcome
    assert "free space and run again" in outcome.error
    before = listed(repository)
    # Only the copy of backup.info may be what did not fit.
    assert before == [] or missing in (100, 2_000)
    label = repository.run("backup", "--no-online", "--type=full")["label"]
    after = listed(repository)
    assert after[-1] == label
    assert set(before) <= set(after)
    assert repository.run("verify")["status"] == "ok"
    assert not [name for name in repository.names() if name.endswith(".tmp")]


def in_the_middle(repository, missing, *, cause, hint=None, **conduct):
    """A backup that ends early; what is listed then is whole, and the next one needs no repair."""
    repository.set_back()
    outcome = repository.outcome("backup", "--no-online", "--type=full", **conduct)
    assert outcome.error is not None, missing
    assert re.search(cause, outcome.error), outcome
    assert hint is None or hint in outcome.error, outcome
    before = listed(repository)
    label = repository.run("backup", "--no-online", "--type=full")["label"]
    after = listed(repository)
    assert after[-1] == label
    assert set(before) <= set(after)
    assert repository.run("verify")["status"] == "ok"
    assert not [name for name in repository.names() if name.endswith(".tmp")]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_quota(repository, needed, share):
    """A server that says so; that there is space on its disk is of no use then."""
    in_the_middle(
        repository,
        share,
        room=int(needed * share),
        defects={"message": "Disk quota exceeded"},
        cause=r"unable to .*: disk quota exceeded \(\d+ bytes free\)",
        hint="free space and run again",
    )


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_quota_of_which_the_server_says_nothing(repository, needed, share):
    """As OpenSSH answers: a bare failure, while statvfs tells what is free on the disk."""
    in_the_middle(
        repository,
        share,
        room=int(needed * share),
        defects={"quota": True},
        cause=r"unable to .*: the server gives no reason \(SFTP status 4\); \d{7,} bytes are free",
        hint="a quota that is used up looks like this",
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_permission_taken_away(repository, share):
    repository.set_back()
    repository.run("backup", "--no-online", "--type=full")
    requests = repository.shared.requests.value
    in_the_middle(
        repository,
        share,
        deny_at=1 + int(requests * share),
        cause="permission denied",
        hint="may this user write",
    )


def test_a_file_system_that_becomes_read_only(repository):
    repository.set_back()
    repository.run("backup", "--no-online", "--type=full")
    in_the_middle(
        repository,
        "half",
        deny_at=repository.shared.requests.value // 2,
        read_only=True,
        cause=r"unable to .*: read-only file system",
        hint="errors of a disk",
    )
