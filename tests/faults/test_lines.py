# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that cut what is silent, swallow everything for a while, or carry few connections."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.outcome import (
    assert_restored_as_by_stock,
    assert_verified,
    labels,
)
from ansible_collections.pgsftp.backup.tests.support.proxy import Proxy

pytestmark = pytest.mark.faults

RATE = 1_200_000


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
def line(site, sshd, **conduct):
    """Have the site's commands go through a proxy; those of its archive_command, too."""
    known = Path(site.settings["repo1-sftp-known-host"])
    before = known.read_text()
    with Proxy((sshd.host, sshd.port), **conduct) as proxy:
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


def backup(site):
    return site.run("backup", "--type=full", "--compress-type=none").stdout


def warnings(out):
    return [text for text in out.splitlines() if " WARN: " in text]


@pytest.mark.slow
def test_keepalives_outlast_a_firewall_that_cuts_after_ten_seconds(site, sshd):
    """The parent has nothing to say while its workers copy."""
    with line(site, sshd, idle=10.0, rate=RATE) as proxy:
        started = time.monotonic()
        out = backup(site)
        took = time.monotonic() - started
        assert proxy.cuts == 0, out
    assert took > 12, f"too fast ({took:.0f} s) for anybody to be silent"
    assert "connecting again" not in out
    assert_verified(site)


@pytest.mark.slow
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
        assert_restored_as_by_stock(site, site)
    assert len(labels(site)) == before + 1
    assert_verified(site)


@pytest.mark.slow
def test_a_black_hole(site, sshd):
    """Longer than io-timeout, nothing comes and nothing is reset."""
    before = len(labels(site))
    fell = []

    def swallow(proxy):
        time.sleep(3)
        fell.append(proxy.open)
        with proxy.hole():
            time.sleep(7)

    site.configure(io_timeout="3")
    try:
        with line(site, sshd, rate=RATE) as proxy:
            thread = threading.Thread(target=swallow, args=(proxy,))
            thread.start()
            out = backup(site)
            thread.join()
            assert fell[0] >= 3
            assert [text for text in warnings(out) if "connecting again" in text], out
            assert len(proxy.connects) <= 30
    finally:
        site.configure(io_timeout=None)
    assert len(labels(site)) == before + 1
    assert_verified(site)


@pytest.mark.slow
def test_four_connections_and_sixteen_processes(site, sshd):
    """The server's account, or a firewall, lets four in at once."""
    before = len(labels(site))
    site.configure(process_max="16")
    try:
        with line(site, sshd, most=4, rate=RATE) as proxy:
            started = time.monotonic()
            out = backup(site)
            took = time.monotonic() - started
            assert proxy.most_open == 4
            assert proxy.refused > 0
            # No storm: who is refused waits longer every time.
            assert len(proxy.connects) / took < 16, (len(proxy.connects), took, out)
            assert_restored_as_by_stock(site, site)
    finally:
        site.configure(process_max="2")
    assert len(labels(site)) == before + 1
    assert_verified(site)
