# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that cut what is silent, swallow everything for a while, or carry few connections."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.beside import beside, until
from ansible_collections.pgsftp.backup.tests.support.delay_proxy import delayed
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.outcome import (
    assert_restored_as_by_stock,
    assert_verified,
    labels,
)
from ansible_collections.pgsftp.backup.tests.support.proxy import Proxy

pytestmark = pytest.mark.faults

RATE = 1_200_000

# Takes a minute for what the cluster has, with two workers.
SLOW_RATE = 280_000


@pytest.fixture(scope="module")
def site(sites, sshd):
    """A cluster whose backup, without compression, takes seconds over a slow line."""
    made = sites()
    made.use_sftp(sshd)
    made.configure(log_level_console="detail")
    made.cluster.psql(
        "create table fact as select i, md5(i::text) a, md5((i + 1)::text) b "
        "from generate_series(1, 100000) i"
    )
    made.archive()
    made.run("stanza-create")
    return made


@contextlib.contextmanager
def line(site, sshd, *, target=None, **conduct):
    """Have the site's commands go through a proxy; those of its archive_command, too."""
    known = Path(site.settings["repo1-sftp-known-host"])
    before = known.read_text()
    with Proxy(target or (sshd.host, sshd.port), **conduct) as proxy:
        known.write_text(
            before
            + "".join(
                f"[127.0.0.1]:{proxy.port} {sshd.host_key(kind)}\n"
                for kind in ("ed25519", "ecdsa", "rsa")
            )
        )
        own(known)
        site.configure(repo1_sftp_host_port=str(proxy.port))
        try:
            yield proxy
        finally:
            site.configure(repo1_sftp_host_port=str(sshd.port))
            known.write_text(before)


def backup(site, *arguments):
    return site.run("backup", "--type=full", "--compress-type=none", *arguments).stdout


def warnings(out):
    return [text for text in out.splitlines() if " WARN: " in text]


def while_it_copies(proxy, work):
    """Do it beside a backup, as soon as its workers have begun to send."""

    def then():
        until(lambda: proxy.open >= 3)
        time.sleep(0.5)
        work()

    return beside(then)


@pytest.mark.slow
def test_keepalives_outlast_a_firewall_that_cuts_after_ten_seconds(site, sshd):
    """The parent has nothing to say for a minute, while its workers copy."""
    with line(site, sshd, idle=10.0, rate=SLOW_RATE) as proxy:
        started = time.monotonic()
        out = backup(site)
        took = time.monotonic() - started
        assert proxy.cuts == 0, out
    assert took > 45, f"too fast ({took:.0f} s) for anybody to be silent"
    assert "connecting again" not in out
    assert_verified(site)


def test_what_is_cut_in_silence_is_mended(site, sshd):
    """Cut sooner than any keepalive: each loss costs one line in the log and one connection."""
    before = len(labels(site))
    with line(site, sshd, idle=1.5, rate=RATE) as proxy:
        out = backup(site)
        assert proxy.cuts >= 1, "nothing was silent for long enough"
        lost = [text for text in warnings(out) if "connecting again" in text]
        assert 1 <= len(lost) <= proxy.cuts, out
        # Two workers, the parent, one for each WAL file, and one for each loss.
        assert len(proxy.connects) <= 3 + 4 + proxy.cuts
    assert len(labels(site)) == before + 1
    assert_verified(site)


@pytest.mark.parametrize(
    "io_timeout, seconds, rate",
    [
        pytest.param(2, 5, RATE, id="5 s"),
        pytest.param(20, 60, SLOW_RATE, id="60 s", marks=pytest.mark.slow),
    ],
)
def test_a_black_hole(site, sshd, io_timeout, seconds, rate):
    """Longer than io-timeout, nothing comes and nothing is reset."""
    before = len(labels(site))
    site.configure(io_timeout=str(io_timeout))
    try:
        with line(site, sshd, rate=rate) as proxy:

            def swallow():
                with proxy.hole():
                    time.sleep(seconds)

            with while_it_copies(proxy, swallow):
                out = backup(site)
            lost = [text for text in warnings(out) if "connecting again" in text]
            # Two workers and the parent, which may have had nothing to say in the hole.
            assert 2 <= len(lost) <= 3, out
            assert len(proxy.connects) <= 20
    finally:
        site.configure(io_timeout=None)
    assert len(labels(site)) == before + 1
    assert_verified(site)


def test_a_host_that_is_frozen_killed_and_comes_back(site, sshd):
    """It takes connections and says nothing, then has a reset for everybody, then it is there."""
    before = len(labels(site))
    site.configure(io_timeout="2")
    try:
        with line(site, sshd, rate=RATE) as proxy:

            def die():
                victims = [sshd.process.pid, *children(sshd.process.pid)]
                for pid in victims:
                    os.kill(pid, signal.SIGSTOP)
                time.sleep(4)
                for pid in reversed(victims):
                    os.kill(pid, signal.SIGKILL)
                sshd.process.wait()
                time.sleep(3)
                sshd.resume()

            with while_it_copies(proxy, die):
                out = backup(site)
            lost = [text for text in warnings(out) if "connecting again" in text]
            assert 2 <= len(lost) <= 3, out
            assert len(proxy.connects) <= 24
    finally:
        site.configure(io_timeout=None)
    assert len(labels(site)) == before + 1
    assert_verified(site)
    assert_restored_as_by_stock(site, site)


def children(parent):
    """All processes below one, nearest first."""
    found = []
    for process in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = process.read_text().rpartition(") ")[2].split()
            if int(fields[1]) == parent:
                pid = int(process.parent.name)
                found += [pid, *children(pid)]
    return found


@pytest.mark.slow
def test_a_server_that_hangs_up_at_the_same_request_is_given_up(site, sshd):
    """It lets everybody in, and then takes no more than a little: not for ever."""
    before = labels(site)
    with line(site, sshd, quota=150_000) as proxy:
        out = site.run("backup", "--type=full", "--compress-type=none", code=49).stdout
        assert "th time at the same work" in out
        # Eight sessions each, two workers and the parent.
        assert len(proxy.connects) <= 3 * 8 + 4
    assert labels(site) == before


def assert_no_storm(proxy, *, processes, others):
    """Everybody comes at once, then those that were refused, in turns of less than six a minute.

    ``others`` are connects of other commands, as archive_command, which may be at once as well.
    """
    burst = [moment for moment in proxy.refusals if moment < proxy.refusals[0] + 1.0]
    assert len(burst) <= processes + others
    later = proxy.refusals[len(burst) :]
    for begin in later:
        assert sum(begin <= moment < begin + 60 for moment in later) < 6 + others, later


def test_four_connections_and_sixteen_processes(site, sshd):
    """The server's account, or a firewall, lets four in at once."""
    before = len(labels(site))
    site.configure(process_max="16")
    try:
        with line(site, sshd, most=4, rate=RATE) as proxy:
            out = backup(site)
            assert proxy.most_open == 4
            assert proxy.refused > 0, out
            assert_no_storm(proxy, processes=16, others=4)
    finally:
        site.configure(process_max="2")
    assert len(labels(site)) == before + 1
    assert_verified(site)


def test_one_connection_for_the_workers_of_a_delta_restore(site, sshd):
    """They log in when they have found what to fetch: one of them does it all, or each in turn."""
    backup(site)
    copy = site.restored("delta")
    words = ["restore", "--delta", "--type=none", f"--pg1-path={copy.data}"]
    site.run(*words)
    damaged = [path for path in (copy.data / "base").rglob("*") if path.is_file()][::3]
    for path in damaged:
        path.write_bytes(b"x" + path.read_bytes()[1:])
    site.configure(process_max="4")
    try:
        with line(site, sshd, most=1, rate=RATE) as proxy:
            out = site.run(*words).stdout
            assert proxy.most_open == 1
            assert proxy.refused > 0, out
            assert_no_storm(proxy, processes=4, others=1)
    finally:
        site.configure(process_max="2")
    # pg_control differs on purpose.
    rows = [text for text in site.run(*words).stdout.splitlines() if "DETAIL: restore file" in text]
    assert [text for text in rows if "exists and matches" not in text] == [
        text for text in rows if "pg_data/global/pg_control " in text
    ]
    assert len(rows) > 2 * len(damaged)


@pytest.mark.slow
def test_four_connections_and_large_files_far_away(site, sshd):
    """Further connections for large files are not had at the cost of those that work."""
    before = len(labels(site))
    site.cluster.psql(
        "create table large as select i, repeat(md5(i::text), 8) a "
        "from generate_series(1, 200000) i"
    )
    site.configure(process_max="4")
    try:
        with delayed(sshd.host, sshd.port, 15) as port:
            with line(site, sshd, most=4, target=("127.0.0.1", port)) as proxy:
                out = backup(site, "--log-level-console=debug")
                assert proxy.most_open == 4
                # The fourth worker, and those for two large files at once.
                assert 0 < proxy.refused <= 12, out
    finally:
        site.configure(process_max="2")
    assert len(labels(site)) == before + 1
    assert_verified(site)


@pytest.mark.slow
def test_a_rate_limit_is_that_of_a_whole_command(sites, sshd):
    """Of all that is seen on the line, in both directions, with two workers and the parent.

    What the kernel buffers of a restore arrives sooner, and so it takes all of the time to tell.
    """
    limit = 3 << 20
    site = sites()
    site.cluster.stop()
    site.use_sftp(sshd)
    site.configure(repo1_sftp_rate_limit="3MiB", compress_type="none")
    site.run("stanza-create", "--no-online")
    copy = site.restored("copy")
    for words in (
        ("backup", "--no-online", "--type=full"),
        ("restore", "--type=none", f"--pg1-path={copy.data}"),
    ):
        # The machine may be too busy to be as fast as it may be; it never is faster.
        for _dummy in range(3):
            with line(site, sshd) as proxy:
                site.run(*words)
                assert len(proxy.connects) >= 3
                measured = proxy.pace
            assert measured <= 1.1 * limit, words
            if measured >= 0.9 * limit:
                break
            shutil.rmtree(copy.data, ignore_errors=True)
        else:
            raise AssertionError(f"{words[0]}: {measured:.0f} bytes per second instead of {limit}")
