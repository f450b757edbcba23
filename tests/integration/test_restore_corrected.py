# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery to a time that turns out to have been too early, and is to be corrected."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.integration


def later(cluster):
    """A time by which all of before is over, for clocks of whole seconds as well."""
    time.sleep(1.1)
    moment = cluster.psql("select now()")
    time.sleep(1.1)
    return moment


def told(cluster, what):
    """A row, and its WAL in the archive."""
    cluster.psql(f"insert into told values ('{what}')")
    cluster.wait_archived(cluster.psql("select pg_walfile_name(pg_switch_wal())"))


@pytest.fixture(scope="module")
def story(sites, new_cluster):
    """Taken back to after the first row, when the second one was meant to stay."""
    site = sites(new_cluster("--wal-segsize=1"))
    site.archive()
    first = site.cluster
    site.run("stanza-create")
    first.psql("create table told (what text)")
    site.run("backup", "--type=full")
    told(first, "one")
    too_early = later(first)
    told(first, "two")
    site.wanted = later(first)
    told(first, "three")
    first.stop()
    time.sleep(1.1)
    second = site.restored("second")
    site.run(
        "restore", f"--pg1-path={second.data}", "--archive-mode=preserve", "--type=time",
        f"--target={too_early}", "--target-action=promote",
    )  # fmt: skip
    second.configure(
        unix_socket_directories=str(second.socket),
        archive_command=f"{site.command} --config={site.config} --stanza=demo"
        f" --pg1-path={second.data} archive-push %p",
    )
    second.start()
    second.wait("select pg_is_in_recovery()", "f")
    assert second.psql("select string_agg(what, ' ') from told") == "one"
    told(second, "other")
    second.stop()
    return site


def test_the_newest_timeline_has_nothing_of_that_time(story):
    """The server would stop after the first row once more, and be content."""
    copy = story.restored("newest")
    done = story.run(
        "restore", f"--pg1-path={copy.data}", "--type=time", f"--target={story.wanted}", code=58
    )
    said = done.stdout + done.stderr
    assert f"target '{story.wanted}' lies before the history of timeline 2" in said
    assert "--target-timeline=1 recovers along that one" in said
    assert not copy.data.exists()


def test_the_timeline_that_was_left_has_it(story):
    copy = story.restored("left")
    story.run(
        "restore", f"--pg1-path={copy.data}", "--type=time", f"--target={story.wanted}",
        "--target-action=promote", "--target-timeline=1",
    )  # fmt: skip
    copy.configure(unix_socket_directories=str(copy.socket))
    copy.start()
    try:
        copy.wait("select pg_is_in_recovery()", "f")
        assert copy.psql("select string_agg(what, ' ') from told") == "one two"
    finally:
        copy.stop("immediate")
