# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery to a point: by time, transaction, name, position, and the end of the backup.

Each restore is started, and what was written before and after the target is looked for.
"""

from __future__ import annotations

import contextlib
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import control

pytestmark = pytest.mark.integration


class Story:
    """A cluster that wrote a, b, c and d, with a backup before a and one after c."""

    def __init__(self, site):
        self.site = site
        self.count = 0
        cluster = site.cluster
        cluster.psql("create table told (what text)")
        site.run("stanza-create")
        self.first = self.backup("full")
        site.pass_second_of_last_backup()
        self.tell("a")
        self.after_a = cluster.psql("select now()")
        cluster.psql("select pg_create_restore_point('after a')")
        time.sleep(0.1)
        self.xid_of_b = self.tell("b")
        self.lsn_after_b = cluster.psql("select pg_current_wal_insert_lsn()")
        self.tell("c")
        cluster.psql("select pg_switch_wal()")
        # Ends of backups have whole seconds: a target in the same second is not seen to be earlier.
        cluster.wait(
            f"select now() > date_trunc('second', '{self.after_a}'::timestamptz + '1s')", "t"
        )
        self.second = self.backup("incr")
        site.pass_second_of_last_backup()
        self.tell("d")
        self.after_d = cluster.psql("select now()")
        self.tell("e")
        cluster.psql("select pg_switch_wal()")
        site.run("check")

    def tell(self, what):
        """Write one row; gives its transaction."""
        return self.site.cluster.psql(
            f"insert into told values ('{what}') returning pg_current_xact_id()"
        )

    def backup(self, kind):
        out = self.site.run("backup", f"--type={kind}").stdout
        (line,) = (line for line in out.splitlines() if "new backup label" in line)
        return line.split()[-1]

    def restore(self, *arguments, code=0):
        """The rows after a restore with these arguments, and which backup it took."""
        self.count += 1
        copy = self.site.restored(f"copy{self.count}")
        done = self.site.run(
            "restore", f"--pg1-path={copy.data}", *arguments, code=code
        )  # fmt: skip
        if code:
            assert not copy.data.exists()
            return done.stdout + done.stderr
        (line,) = (line for line in done.stdout.splitlines() if "restore backup set" in line)
        copy.configure(unix_socket_directories=str(copy.socket))
        copy.start()
        copy.wait("select pg_is_in_recovery()", "f")
        rows = copy.psql("select string_agg(what, '' order by what) from told")
        assert copy.psql("show archive_mode") == "off"
        copy.stop("immediate")
        return rows, self.first if f"set {self.first}," in line else self.second


@pytest.fixture(scope="module")
def story(sites, new_cluster):
    """Told once, restored often."""
    site = sites(new_cluster("--wal-segsize=1"))
    site.archive()
    return Story(site)


PROMOTE = "--target-action=promote"


def test_a_time_takes_the_backup_before_it_and_ends_there(story):
    got = story.restore("--type=time", f"--target={story.after_a}", PROMOTE)
    assert got == ("a", story.first)


def test_a_later_time_takes_the_later_backup(story):
    got = story.restore("--type=time", f"--target={story.after_d}", PROMOTE)
    assert got == ("abcd", story.second)


def test_a_name(story):
    got = story.restore("--type=name", "--target=after a", f"--set={story.first}", PROMOTE)
    assert got == ("a", story.first)


def restored_to_a(story, name, action):
    """A copy that recovers to after a, to be started."""
    copy = story.site.restored(name)
    story.site.run(
        "restore", f"--pg1-path={copy.data}", "--type=name", "--target=after a",
        f"--set={story.first}", f"--target-action={action}",
    )  # fmt: skip
    copy.configure(unix_socket_directories=str(copy.socket))
    return copy


def test_pause_leaves_the_server_in_recovery(story):
    copy = restored_to_a(story, "pauses", "pause")
    copy.start()
    copy.wait("select pg_get_wal_replay_pause_state()", "paused")
    assert copy.psql("select pg_is_in_recovery()") == "t"
    assert copy.psql("select string_agg(what, '') from told") == "a"
    copy.stop("immediate")


def test_shutdown_ends_the_server_at_the_target(story):
    copy = restored_to_a(story, "ends", "shutdown")
    # Whether it answers before it has ended is a matter of luck.
    with contextlib.suppress(AssertionError):
        copy.start()
    deadline = time.monotonic() + 60
    while (copy.data / "postmaster.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "shutdown at recovery target" in copy.log.read_text("utf-8")
    assert control.load(str(copy.data)).state == 2  # shut down in recovery


@pytest.mark.parametrize(("exclusive", "rows"), [((), "ab"), (("--target-exclusive",), "a")])
def test_a_transaction(story, exclusive, rows):
    target = ("--type=xid", f"--target={story.xid_of_b}", f"--set={story.first}", PROMOTE)
    assert story.restore(*target, *exclusive) == (rows, story.first)


def test_a_position_takes_the_backup_before_it(story):
    got = story.restore("--type=lsn", f"--target={story.lsn_after_b}", PROMOTE)
    assert got == ("ab", story.first)


def test_immediate_is_the_backup_and_nothing_more(story):
    assert story.restore("--type=immediate", PROMOTE) == ("abc", story.second)
    got = story.restore("--type=immediate", f"--set={story.first}", PROMOTE)
    # The aggregate of no rows.
    assert got == ("", story.first)


def test_without_a_target_it_is_everything(story):
    assert story.restore() == ("abcde", story.second)


def test_before_all_backups_there_is_nothing_to_restore(story):
    said = story.restore("--type=time", "--target=2001-01-01 00:00:00+00", code=75)
    assert "unable to find backup set with stop time less than '2001-01-01 00:00:00+00'" in said
    assert f"the oldest backup {story.first} was complete" in said
    assert "less than or equal to '0/1'" in story.restore("--type=lsn", "--target=0/1", code=75)


def test_a_target_before_the_end_of_the_named_backup_is_refused(story):
    said = story.restore(
        "--type=time", f"--target={story.after_a}", f"--set={story.second}", code=75
    )
    assert f"lies before the end of backup set {story.second}" in said


def test_a_time_to_come_is_refused(story):
    said = story.restore("--type=time", "--target=2999-01-01 00:00:00+00", code=82)
    assert "lies in the future" in said


def test_a_position_to_come_is_refused_with_what_is_missing(story):
    said = story.restore("--type=lsn", "--target=0/FFFFF00", code=55)
    assert "cannot be reached" in said
    assert "00000001000000000000" in said


def test_words_that_are_no_time_need_a_label(story):
    said = story.restore("--type=time", "--target=a while ago", code=75)
    assert "automatic backup set selection cannot be performed" in said


def test_a_target_is_required(story):
    assert "requires option: target" in story.restore("--type=xid", code=37)
