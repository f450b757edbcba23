# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two processes push the same segment at once: an archive_command that outlived its server, a push
by hand, archivers on two hosts. What is acknowledged is whole, whatever becomes of the other one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.archiver import make_segments, until
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = [pytest.mark.faults, pytest.mark.integration]

# The command, which stops when some of the segment is sent, until it is told to go on.
PUSH = """\
import os, signal, sys
sys.path.insert(0, {path!r})
from pgsftp_engine import cli
from pgsftp_engine.command import archive_push
from pgsftp_engine.transform.pipeline import Encoder

class Stopping(Encoder):
    left = {chunks}
    def update(self, data):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().update(data)

def fill(*arguments, fill=archive_push._fill):
    archive_push.Encoder = Stopping
    return fill(*arguments)

archive_push.CHUNK = 65536
archive_push._fill = fill
raise SystemExit(cli.main({words!r}))
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A server that lets the tests in."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """A running cluster with small segments."""
    return new_cluster("--wal-segsize=1", archive_mode="on", archive_command="false")


@pytest.fixture(params=["posix", "posix encrypted", "sftp", "sftp encrypted"])
def site(request, sites, cluster, sshd):
    made = sites(cluster)
    made.configure(compress_type="none")
    if "sftp" in request.param:
        made.use_sftp(sshd)
    if "encrypted" in request.param:
        made.configure(repo1_cipher_type="aes-256-cbc", repo1_cipher_pass="a pass")
    made.run("stanza-create")
    return made


@pytest.fixture
def pushing(site):
    """Begin to push: stopped in the middle of the segment."""
    text = site.command.read_text()
    (path,) = re.findall(r'^sys.path.insert\(0, "(.*)"\)$', text, re.MULTILINE)
    python = text.splitlines()[0][2:].split()[0]
    owner = {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}
    begun = []

    def begin(name, chunks):
        words = [f"--config={site.config}", "--stanza=demo", "archive-push", f"pg_wal/{name}"]
        process = subprocess.Popen(
            [python, "-I", "-c", PUSH.format(path=path, chunks=chunks, words=words)],
            cwd=site.cluster.data,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            **owner,
        )
        begun.append(process)
        _dummy, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def go_on(process):
    process.send_signal(signal.SIGCONT)
    _dummy, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


def fetched(site, name):
    target = site.root / "got"
    site.run("archive-get", name, str(target))
    data = target.read_bytes()
    target.unlink()
    return data


def names(site):
    """What lies in the directory of the segments."""
    return sorted(path.name for path in site.repo.glob("archive/demo/*/*/*"))


@pytest.mark.parametrize(
    "end", ["killed", "told to end", pytest.param("finished", marks=pytest.mark.slow)]
)
def test_what_is_acknowledged_is_whole(site, pushing, end):
    (name,) = make_segments(site, 1)
    content = (site.cluster.data / "pg_wal" / name).read_bytes()
    first = pushing(name, chunks=10)
    other = pushing(name, chunks=2)
    go_on(first)
    assert fetched(site, name) == content
    if end == "killed":
        other.kill()
        other.wait()
    elif end == "told to end":
        other.send_signal(signal.SIGTERM)
        other.send_signal(signal.SIGCONT)
        other.wait(60)
        assert other.returncode != 0
    else:
        go_on(other)
    assert fetched(site, name) == content
    # The next one finds it there, and is not misled by what was left.
    site.run("archive-push", str(site.cluster.data / "pg_wal" / name))
    assert fetched(site, name) == content
    stored = [row for row in names(site) if row.startswith(name)]
    left = [row for row in stored if row.endswith(".pgbackrest.tmp")]
    assert len(stored) - len(left) == 1
    if end != "killed":
        # A server notices the end of a session that is gone in its own time.
        until(lambda: not any(row.endswith(".tmp") for row in names(site)), "something is left")
    if site.settings.get("repo1-type") != "sftp":
        site.pgbackrest("archive-get", name, str(site.root / "got"))
        assert (site.root / "got").read_bytes() == content
