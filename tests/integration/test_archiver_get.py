# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery that the archiver feeds: ahead, across timelines, and through what goes wrong."""

from __future__ import annotations

import collections
import shutil
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.archiver import until
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.fed_copy import Copy
from ansible_collections.pgsftp.backup.tests.support.proxy import Proxy

pytestmark = pytest.mark.integration

SEGMENTS = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that can be stopped."""
    made = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield made
    if made.process.poll() is None:
        made.stop()


@pytest.fixture
def sshd(server):
    """The server, running again for whoever comes next."""
    yield server
    if server.process.poll() is not None:
        server.resume()


@pytest.fixture(scope="module")
def site(sites, new_cluster, server):
    """A backup, WAL of two timelines after it, and a position on the first of them."""
    made = sites(new_cluster("--wal-segsize=1"))
    cluster = made.cluster
    made.archive()
    made.run("stanza-create")
    cluster.psql("create table told (i int)")
    made.run("backup", "--type=full")
    for number in range(1, SEGMENTS + 1):
        cluster.psql(f"insert into told values ({number}); select pg_switch_wal()")
    made.target = cluster.psql("select pg_current_wal_insert_lsn()")
    cluster.psql("insert into told values (100)")
    cluster.stop()
    (cluster.data / "standby.signal").touch()
    own(cluster.data / "standby.signal")
    cluster.start()
    cluster.promote()
    for number in range(101, 104):
        cluster.psql(f"insert into told values ({number}); select pg_switch_wal()")
    made.run("check")
    cluster.stop()
    made.use_sftp(server)
    made.configure(archive_timeout="3")
    return made


@pytest.fixture
def copies(site, sshd):
    made = []

    def copy(*arguments, hold=0):
        made.append(Copy(site, f"c{len(list(site.root.glob('c*')))}", *arguments, hold=hold))
        return made[-1]

    yield copy
    for one in made:
        one.cluster.stop("immediate")
        one.archiver.stop()
        one.archiver.forget()


def test_it_is_ahead_across_the_switch_of_timelines(copies, site, sshd):
    copy = copies(hold=6)
    connections = sshd.log.count("Accepted publickey")
    copy.feed("--archive-get-queue-max=64MiB")
    copy.launch()
    copy.until_held()
    # Held at the sixth question: everything is there that will be asked for until the end.
    until(lambda: any(n.startswith("00000002000") for n in copy.fetched), "not ahead", copy)
    switched = [name for name in copy.fetched if name.startswith("00000002000")]
    assert not set(switched) & set(copy.asked)
    copy.go()
    copy.until_logged("archive recovery complete")
    copy.cluster.wait("select pg_is_in_recovery()", "f")
    assert copy.cluster.psql("select count(*), max(i) from told") == f"{SEGMENTS + 4}|103"
    # Sessions and not files: one of the archiver for pushing, and one of each fetcher.
    assert sshd.log.count("Accepted publickey") - connections <= 3
    # Once each: as often as it was asked for.
    times = collections.Counter(copy.asked)
    wal = [name for name in copy.fetched if not name.endswith(".history")]
    assert [name for name, count in collections.Counter(wal).items() if count > times[name]] == []
    assert len(set(wal)) > SEGMENTS


def test_the_spool_is_bounded(copies):
    copy = copies(hold=5)
    copy.feed("--archive-get-queue-max=3MiB")
    copy.launch()
    copy.until_held()
    until(lambda: len(list(copy.spool.glob("0*"))) >= 2, "nothing ahead", copy)
    time.sleep(1)
    # Three with the one that was handed over last.
    assert len(list(copy.spool.glob("0*"))) <= 3
    copy.go()
    copy.until_logged("archive recovery complete")
    copy.cluster.wait("select count(*), max(i) from told", f"{SEGMENTS + 4}|103")
    copy.archiver.stop()
    assert not list(copy.spool.iterdir())


def test_a_restore_empties_the_spool_and_the_archiver_makes_it_anew(copies, site):
    """As when the same cluster is restored a second time within a minute."""
    copy = copies()
    copy.feed("--archive-get-queue-max=4MiB")
    copy.get("00000002.history", 0)
    before = copy.fetched.count("00000002.history")
    shutil.rmtree(copy.spool.parent)
    said = copy.get("00000002.history", 0)
    assert "does the work itself" not in said
    assert copy.fetched.count("00000002.history") == before + 1


def test_cut_off_in_the_middle_recovery_stops_and_goes_on_but_never_ends_early(copies, site, sshd):
    copy = copies("--type=lsn", f"--target={site.target}", "--target-action=promote", hold=5)
    copy.feed("--archive-get-queue-max=2MiB")
    copy.launch()
    copy.until_held()
    sshd.stop()
    copy.end_sessions()
    copy.go()
    copy.until_gone()
    assert "child process exited with exit code 200" in copy.log
    assert "given up after 3s, and recovery stops here" in copy.log
    assert "archive recovery complete" not in copy.log
    assert "selected new timeline" not in copy.log
    assert (copy.cluster.data / "recovery.signal").exists()
    # However often it is tried.
    copy.launch()
    copy.until_logged("given up after 3s", times=2)
    copy.until_gone()
    assert "archive recovery complete" not in copy.log
    sshd.resume()
    copy.cluster.start()
    copy.cluster.wait("select pg_is_in_recovery()", "f")
    assert copy.cluster.psql("select count(*), max(i) from told") == f"{SEGMENTS}|{SEGMENTS}"


def test_cut_off_in_the_middle_a_standby_stays_up_and_catches_up(copies, sshd):
    copy = copies("--type=standby", hold=5)
    copy.feed("--archive-get-queue-max=2MiB")
    copy.launch()
    copy.until_held()
    sshd.stop()
    copy.end_sessions()
    copy.go()
    copy.until_logged("the standby will ask again", times=3)
    assert "archive recovery complete" not in copy.log
    assert "shutting down" not in copy.log
    sshd.resume()
    copy.until_logged("database system is ready to accept read-only connections")
    copy.cluster.wait("select count(*), max(i) from told", f"{SEGMENTS + 4}|103")
    assert copy.cluster.psql("select pg_is_in_recovery()") == "t"


@pytest.mark.slow
def test_killed_in_the_middle_archive_get_does_the_work_itself(copies):
    copy = copies(hold=5)
    copy.feed()
    copy.launch()
    copy.until_held()
    copy.archiver.kill()
    copy.go()
    copy.until_logged("archive recovery complete")
    copy.cluster.wait("select count(*), max(i) from told", f"{SEGMENTS + 4}|103")


def test_what_is_not_there_is_asked_for_anew_each_time(copies, site):
    copy = copies()
    (copy.cluster.data / "recovery.signal").unlink()
    copy.feed()
    (name, *_rest) = sorted(path.name for path in site.repo.glob("archive/demo/*/*/00000001*"))
    segment, path = name[:24], next(site.repo.glob(f"archive/demo/*/*/{name}"))
    aside = site.root / name
    path.rename(aside)
    try:
        assert copy.get(segment, 1) == ""
        assert copy.get("0000000100000000000000FF", 1) == ""
        assert copy.get("00000009.history", 1) == ""
    finally:
        aside.rename(path)
    copy.get(segment, 0)
    copy.get("00000002.history", 0)


def test_a_damaged_segment_is_never_handed_over(copies, site):
    copy = copies()
    copy.feed()
    path = sorted(site.repo.glob("archive/demo/*/*/00000001*"))[0]
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes(20))
    try:
        # A server that recovers is stopped by it; a person is told the cause.
        said = copy.get(path.name[:24], 200)
        assert path.name[:24] in said
        (copy.cluster.data / "recovery.signal").unlink()
        assert copy.get(path.name[:24], int(said.split("[")[1][:3]))
    finally:
        path.write_bytes(content)
    assert not list(copy.spool.glob(f"{path.name[:24]}*"))


def test_a_damaged_file_ahead_is_fetched_once_and_delays_nothing_behind_it(copies, site):
    copy = copies()
    begun = len(copy.archiver.said) if copy.archiver.output.exists() else 0
    copy.feed()
    names = segments(site)

    def said():
        return copy.archiver.said[begun:]

    (path,) = site.repo.glob(f"archive/demo/*/*/{names[3]}-*")
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes(20))
    try:
        copy.get(names[0], 0)
        until(lambda: f"fetched {names[5]}" in said(), "nothing behind it", copy)
        # The server is busy with what it has; each time would cost the whole file.
        time.sleep(2)
        assert said().count(f"unable to fetch {names[3]}") == 1
    finally:
        path.write_bytes(content)
    # Whoever asks is not told what was so a moment ago.
    copy.get(names[3], 0)


def test_another_data_directory_is_not_served(copies):
    copy = copies()
    copy.feed()
    done = copy.site.run(
        f"--archiver-path={copy.archiver.run_path}", f"--pg1-path={copy.site.cluster.data}",
        "archive-get", "00000009.history", str(copy.root / "taken"), code=1,
    )  # fmt: skip
    assert "archive-get does the work itself" in done.stderr
    assert not Path(copy.root / "taken").exists()


@pytest.fixture
def line(site, sshd):
    """What repo1 is reached through; repo2 has the same, and no line to it."""
    other = site.root / "other"
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(site.repo, other)
    for path in (other, *other.rglob("*")):
        own(path)
    before = dict(site.settings)
    with Proxy((sshd.host, sshd.port)) as made:
        site.configure(
            repo1_sftp_host_port=str(made.port), repo1_sftp_host_key_check_type="none",
            repo1_sftp_known_host=None, repo2_type="posix", repo2_path=str(other),
        )  # fmt: skip
        yield made
    site.settings = before
    site.configure()


@pytest.mark.parametrize("repos", [1, 2])
def test_what_the_spool_cannot_take_the_command_fetches_itself(copies, site, line, repos):
    if repos == 1:
        site.configure(repo2_type=None, repo2_path=None)
    copy = copies()
    copy.feed("--archive-get-queue-max=4MiB")
    copy.get("00000002.history", 0)
    # A directory in the way of a file: nobody can write that, root included.
    (copy.spool / "00000002.history").mkdir()
    own(copy.spool / "00000002.history")
    (copy.spool / "00000002.history" / "in the way").touch()
    said = copy.get("00000002.history", 0)
    assert "unable to write" in said
    assert "archive-get does the work itself" in said


def segments(site):
    """The whole ones of the first timeline."""
    found = [path.name.partition("-")[0] for path in site.repo.glob("archive/demo/*/*/00000001*-*")]
    return sorted(name for name in found if len(name) == 24)


def test_a_repository_that_never_answers_delays_no_file_of_the_other(copies, site, line):
    copy = copies()
    names = segments(site)[:5]
    with line.hole():
        copy.feed()
        begun = time.monotonic()
        for name in names:
            copy.get(name, 0)
        # Connecting in vain takes half a minute.
        assert time.monotonic() - begun < 25
    assert copy.fetched[: len(names)]


def test_a_repository_that_falls_silent_is_waited_for_once(copies, site, line):
    site.configure(io_timeout="4s", archive_get_queue_max="2MiB")
    copy = copies()
    copy.feed()
    names = segments(site)
    copy.get(names[0], 0)
    with line.hole():
        begun = time.monotonic()
        for name in names[1:11]:
            copy.get(name, 0)
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize("repos", [1, 2])
@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        ("default", 200, "given up after 3s, and recovery stops here"),
        ("standby", 1, "the standby will ask again"),
    ],
)
def test_absent_in_one_and_silence_of_the_other_is_not_the_end_of_the_wal(
    copies, site, line, kind, code, text, repos
):
    site.configure(io_timeout="2s")
    if repos == 1:
        site.configure(repo2_type=None, repo2_path=None)
    copy = copies(f"--type={kind}")
    copy.feed()
    copy.get(segments(site)[0], 0)
    with line.hole():
        begun = time.monotonic()
        assert text in copy.get("0000000100000000000000FF", code)
        # What is silent is waited for as long as io-timeout, and asked again for archive-timeout.
        assert time.monotonic() - begun < 30
        if repos == 2:
            copy.get(segments(site)[-1], 0)
    copy.get("0000000100000000000000FF", 1)
