# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What distance costs a command: docs/round-trips.md says at most how many round trips.

They are counted one after another, after SSH and the greeting of SFTP, on a server that answers
only when it is waited for.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.own_server import Repository

pytestmark = pytest.mark.integration

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "round-trips.md"


@pytest.fixture(scope="module")
def repository(sites):
    """A stanza of an empty cluster that archives."""
    return Repository(sites(), online=True)


@pytest.fixture(scope="module")
def measured(repository):
    """Round trips of each command, in the order of the table."""
    figures = {}

    def measure(what, command, *arguments):
        result = repository.run(command, *arguments)
        figures[what] = repository.shared.round_trips
        return result

    measure("stanza-create", "stanza-create")
    measure("backup, full", "backup", "--type=full")
    measure("backup, incremental", "backup", "--type=incr")
    measure("info", "info")
    measure("verify", "verify")
    # How often a backup looks for its WAL depends on how fast that is archived: the best of three.
    for what, kind in (("backup, full", "full"), ("backup, incremental", "incr")):
        for _attempt in range(2):
            before = figures[what]
            measure(what, "backup", f"--type={kind}")
            figures[what] = min(before, figures[what])
    unbundled = ("--type=full", "--no-repo1-bundle", "--no-expire-auto")
    repository.run("backup", *unbundled)
    measure("expire, nothing to do", "expire", "--repo1-retention-full=9")
    repository.run("backup", *unbundled)
    # What was there before goes, too; only the second full is left to measure.
    repository.run("expire", "--repo1-retention-full=2")
    measure("expire, one unbundled full", "expire", "--repo1-retention-full=1")
    measure("check, without archiving", "check", "--no-archive-check")
    cluster = repository.site.cluster
    cluster.psql("select pg_switch_wal()")
    segment = sorted((cluster.data / "pg_wal").glob("0" * 7 + "1" + "?" * 16))[-1]
    pushed = cluster.root / "000000010000000000000077"
    shutil.copy(segment, pushed)
    pushed.chmod(0o644)
    measure("archive-push, one segment", "archive-push", "--no-archive-header-check", str(pushed))
    return figures


def rows():
    """The table: what, and at most how many."""
    found = re.findall(r"^\| (.+?) +\| +(\d+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {what: int(most) for what, most in found}


def test_the_table_lists_what_is_measured(measured):
    assert list(rows()) == list(measured)


@pytest.mark.parametrize("what, most", rows().items())
def test_no_command_costs_more_than_the_table_says(measured, what, most):
    assert measured[what] <= most


@pytest.mark.parametrize("what, most", rows().items())
def test_the_table_does_not_promise_less_than_is_true(measured, what, most):
    # A backup looks for its WAL as often as the server of the cluster needs.
    if not what.startswith("backup"):
        assert measured[what] >= most - 3


def test_what_was_promised_is_in_the_table():
    promises = {"backup, full": 40, "info": 6, "expire, one unbundled full": 20}
    assert {what: most for what, most in rows().items() if what in promises} == promises


def test_one_segment_on_an_open_session(measured):
    """archive.info is read once a session: OPEN, then READ."""
    assert measured["archive-push, one segment"] - 2 <= 4
