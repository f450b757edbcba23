# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""info, run by a process of the archiver's: the same as at home, in any respect."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.archiver import (
    Archiver,
    alive,
    signal_all,
    until,
)

pytestmark = pytest.mark.integration

# What the archiver says of each.
ELSEWHERE = "runs for another process"


@pytest.fixture(scope="module")
def site(sites, new_cluster, tmp_path_factory):
    """A cluster with a backup, and an archiver that serves it."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    made = sites(new_cluster("--wal-segsize=1", archive_mode="on", archive_command="false"))
    made.use_sftp(server)
    made.run("stanza-create")
    made.archiver = Archiver(made)
    made.cluster.configure(
        archive_command=" ".join([str(made.command), *made.archiver.words, "archive-push", "%p"])
    )
    made.cluster.reload()
    made.archiver.start("--log-level-file=debug")
    made.run("backup", "--type=full")
    yield made
    made.archiver.stop()
    made.archiver.forget()
    server.stop()


def info(site, *words, environ=None, archiver=True, **options):
    """One run, at the archiver or as if there was none."""
    runner = Archiver(site) if archiver else Archiver(site, "none")
    runner.environ = environ or {}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = runner.popen("info", *words, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def count(site):
    """How many commands the archiver has run, as its log says."""
    return said(site).count(ELSEWHERE)


def said(site):
    return (site.root / "demo-archiver.log").read_text()


SAME = [
    ([], {}),
    (["--output=json"], {}),
    (["--output", "json", "--type=full"], {}),
    (["--set=20200101-000000F"], {}),
    (["--repo=1"], {"PGBACKREST_OUTPUT": "json"}),
    ([], {"TZ": "Asia/Kolkata"}),
    (["--repo=7"], {}),
    (["--output=yaml"], {}),
    ([], {"PGBACKREST_LOG_LEVEL_STDERR": "loud"}),
]


@pytest.mark.parametrize(("words", "environ"), SAME)
def test_it_says_the_same_and_ends_the_same(site, words, environ):
    before = count(site)
    there = info(site, *words, environ=environ)
    assert count(site) == before + 1
    assert there == info(site, *words, environ=environ, archiver=False)
    assert count(site) == before + 1


AT_HOME = [
    (["--repo1-sftp-host-key-check-type=none"], {}),
    (["--log-path=/tmp"], {}),
    (["--config=other.conf"], {}),
    ([], {"PGBACKREST_REPO1_PATH": "/elsewhere"}),
]


@pytest.mark.parametrize(("words", "environ"), AT_HOME)
def test_what_might_read_differently_there_runs_at_home(site, words, environ):
    before = count(site)
    there = info(site, *words, environ=environ)
    assert count(site) == before
    assert there == info(site, *words, environ=environ, archiver=False)


def test_a_changed_configuration_counts_at_once(site):
    before = site.config.read_text()
    count_before = count(site)
    try:
        site.config.write_text(before + "\n[global:info]\nlog-level-console=debug\n")
        code, out, _err = info(site)
        assert code == 0
        assert b"info command end" in out
        site.config.write_text(before + "\n[global:info]\nno-such-option=1\n")
        code, out, err = info(site)
        assert b"no-such-option" in err
        assert (code, out, err) == info(site, archiver=False)
    finally:
        site.config.write_text(before)
    until(lambda: count(site) == count_before + 2, "not run there", site.archiver)


def test_its_log_is_its_own(site):
    before = said(site)
    outputs = [
        info(site, "--log-level-console=debug", archiver=archiver)[1] for archiver in (True, False)
    ]
    assert all(b"info command end: completed successfully" in out for out in outputs)
    assert "info command" not in said(site)[len(before) :]


def test_a_reader_that_has_seen_enough(site):
    """As with ``| head -0``: no traceback, neither here nor at the archiver."""
    codes = []
    for archiver in (True, False):
        reading, writing = os.pipe()
        os.close(reading)
        code, _out, err = info(site, archiver=archiver, stdout=writing)
        os.close(writing)
        codes.append(code)
        assert b"Traceback" not in err
    assert codes[0] == codes[1] != 0
    assert "Traceback" not in said(site)


@pytest.fixture
def waiting(site):
    """An info whose process, the second of these, waits for a session of the archiver's."""
    archiver = site.archiver
    until(lambda: len(living(site)) == 1, "a process is left", archiver)
    workers = living(site)
    signal_all(workers, signal.SIGSTOP)
    process = archiver.popen("info", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: living(site) > workers, "nothing runs", archiver)
    (running,) = living(site) - workers
    yield process, running
    signal_all(workers, signal.SIGCONT)
    assert info(site)[0] == 0


def living(site):
    return {pid for pid in site.archiver.workers if alive(pid)}


def test_who_is_interrupted_leaves_nothing_behind(site, waiting):
    process, running = waiting
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=20)
    assert (process.returncode, b"Traceback" in err) == (63, False)
    until(lambda: not alive(running), "it is left", site.archiver)


def test_a_command_whose_process_is_killed_is_run_at_home(site, waiting):
    process, running = waiting
    os.kill(running, signal.SIGKILL)
    out, _err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"stanza: demo" in out


def test_an_info_that_does_not_get_on_keeps_no_successor_waiting(site):
    """As with ``| less``, when the service is killed and not what it has started."""
    archiver = site.archiver
    workers = living(site)
    signal_all(workers, signal.SIGSTOP)
    process = archiver.popen("info", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until(lambda: living(site) > workers, "nothing runs", archiver)
        (running,) = living(site) - workers
        os.kill(running, signal.SIGSTOP)
    finally:
        signal_all(workers, signal.SIGCONT)
    try:
        archiver.kill()
        archiver.start("--log-level-file=debug")
        assert alive(running)
    finally:
        os.kill(running, signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode == 0
