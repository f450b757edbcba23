# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery across a promotion, and the old primary rebuilt as a standby of the new one."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def story(sites, new_cluster):
    """The first primary is gone, the second has been promoted from a restore and archives."""
    site = sites(new_cluster("--wal-segsize=1"))
    site.configure(repo1_retention_full="9")
    site.archive()
    first = site.cluster
    site.run("stanza-create")
    first.psql("create table told (what text)")
    out = site.run("backup", "--type=full").stdout
    site.label = next(line for line in out.splitlines() if "new backup label" in line).split()[-1]
    first.psql("insert into told values ('one'); select pg_switch_wal()")
    site.run("check")
    second = site.restored("second")
    site.run("restore", f"--pg1-path={second.data}", "--archive-mode=preserve")
    # Written on the first timeline after the second was restored: archived, but forked off below.
    first.stop()
    use(site, second)
    second.start()
    second.wait("select pg_is_in_recovery()", "f")
    second.psql("insert into told values ('two')")
    site.after_two = second.psql("select now()")
    # The server knows that it has passed a time only by a later commit.
    segment = second.psql("create table later (); select pg_walfile_name(pg_switch_wal())")
    second.wait_archived(segment)
    site.second = second
    return site


def use(site, copy, **settings):
    """Give it a socket of its own, and an archive_command as its own host would have it."""
    copy.configure(
        unix_socket_directories=str(copy.socket),
        archive_command=f"{site.command} --config={site.config} --stanza=demo"
        f" --pg1-path={copy.data} archive-push %p",
        **settings,
    )


def rows(copy):
    copy.configure(unix_socket_directories=str(copy.socket))
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    found = copy.psql("select string_agg(what, ' ' order by what) from told")
    copy.stop("immediate")
    return found


def test_the_new_timeline_is_followed(story):
    copy = story.restored("latest")
    said = story.run("restore", f"--pg1-path={copy.data}").stdout
    assert "to 00000002" in said
    assert rows(copy) == "one two"


def test_a_time_on_the_new_timeline(story):
    copy = story.restored("time")
    story.run(
        "restore", f"--pg1-path={copy.data}", "--type=time", f"--target={story.after_two}",
        "--target-action=promote", code=0,
    )  # fmt: skip
    assert rows(copy) == "one two"


@pytest.mark.parametrize("timeline", ["current", "1", "0x1"])
def test_the_old_timeline_is_there_when_asked_for(story, timeline):
    copy = story.restored(f"old-{timeline}")
    story.run("restore", f"--pg1-path={copy.data}", f"--target-timeline={timeline}")
    assert rows(copy) == "one"


def test_the_old_primary_comes_back_as_a_standby(story):
    old, new = story.cluster, story.second
    out = story.run(
        "restore", "--delta", "--type=standby", "--log-level-console=detail",
        f"--recovery-option=primary_conninfo=host={new.socket} port={new.port} user=postgres",
    ).stdout  # fmt: skip
    kept = [line for line in out.splitlines() if "exists and matches backup" in line]
    assert len(kept) > 500
    old.start()
    old.wait("select string_agg(what, ' ' order by what) from told", "one two")
    new.wait("select state from pg_stat_replication", "streaming")
    new.psql("insert into told values ('three')")
    old.wait("select count(*) from told where what = 'three'", "1")
    assert old.psql("select pg_is_in_recovery()") == "t"
    assert old.psql("show archive_mode") == "on"
    old.stop()


def test_a_backup_of_a_branch_that_was_left_is_refused(story):
    """The old primary goes on by mistake and is backed up: its branch leads nowhere."""
    branch = story.restored("branch")
    story.run("restore", f"--pg1-path={branch.data}", "--target-timeline=1", "--type=default")
    use(story, branch, archive_mode="on")
    settings = branch.data / "postgresql.auto.conf"
    # By hand, as somebody does who does not know better.
    settings.write_text(settings.read_text().replace("archive_mode = 'off'", ""))
    branch.start()
    branch.wait("select pg_is_in_recovery()", "f")
    timeline = int(branch.psql("select timeline_id from pg_control_checkpoint()"))
    pg1 = [f"--{key}={value}" for key, value in branch.options(1).items()]
    out = story.run("backup", "--type=full", "--no-archive-check", *pg1).stdout
    label = next(line for line in out.splitlines() if "new backup label" in line).split()[-1]
    branch.stop()
    copy = story.restored("refused")
    said = story.run(
        "restore", f"--pg1-path={copy.data}", f"--set={label}", "--target-timeline=2", code=58
    )
    assert (
        f"backup set {label} is of timeline {timeline}, from which target timeline 2 does not"
        in said.stdout + said.stderr
    )
    assert not copy.data.exists()
    # A time takes an older backup, which leads there.
    second = story.second
    # Else the target would lie before its end, and it would not be looked at.
    story.pass_second_of_last_backup(second)
    target = second.psql("select now()")
    segment = second.psql("create table latest (); select pg_walfile_name(pg_switch_wal())")
    second.wait_archived(segment)
    out = story.run(
        "restore", f"--pg1-path={copy.data}", "--type=time", "--target-timeline=2",
        f"--target={target}", "--target-action=promote",
    ).stdout  # fmt: skip
    assert f"backup set {label} is of timeline {timeline}" in out
    assert f"restore backup set {story.label}," in out
    assert rows(copy).startswith("one")


def test_an_incremental_backup_after_a_promotion_trusts_no_time_stamp(story):
    """What it builds on is of the branch that was left, whose files look alike."""
    new = story.second
    pg1 = [f"--{key}={value}" for key, value in new.options(1).items()]
    out = story.run("backup", "--type=incr", *pg1).stdout
    assert "a timeline switch has occurred since the " in out
    assert "backup, enabling delta checksum" in out
    # No WAL is missing: it is on another timeline.
    assert "changed to full" not in out
    expected = new.psql("select string_agg(what, ' ' order by what) from told")
    copy = story.restored("after-switch")
    story.run("restore", f"--pg1-path={copy.data}", "--target-timeline=current")
    assert rows(copy) == expected
