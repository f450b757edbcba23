# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line to a real OpenSSH server: lost, frozen, far away, shared and with a limit."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    RepoOptions,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import prepare
from ansible_collections.pgsftp.backup.tests.support import sshd
from ansible_collections.pgsftp.backup.tests.support.delay_proxy import delayed
from ansible_collections.pgsftp.backup.tests.support.openssh import children

pytest.importorskip("paramiko")
pytestmark = pytest.mark.skipif(sshd.SSHD is None, reason="needs sshd (package openssh-server)")


@pytest.mark.parametrize("when", ["reading", "writing", "idle"])
def test_a_session_that_is_killed(special, connect, when):
    running = special()
    storage = connect(running, io_timeout=5)
    storage.write("x", b"old")
    storage.write("large", b"x" * 60_000_000)
    sessions = children(running)
    assert sessions

    def kill():
        for pid in sessions:
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(errors.TransportLostError, match=r"connection to 127.0.0.1 lost"):
        if when == "idle":
            kill()
            time.sleep(0.2)
            storage.list("")
        elif when == "reading":
            reader = storage.reader("large")
            reader.take()
            kill()
            reader.read_all()
        else:
            threading.Timer(0.1, kill).start()
            writer = storage.writer("x", publish=Publish.RENAME)
            for _dummy in range(100_000):
                writer.write(b"y" * 1_000_000)
    with pytest.raises(errors.TransportLostError):
        storage.read("x")
    assert connect(running).read("x") == b"old"


def test_a_server_that_is_frozen(special, connect):
    running = special()
    storage = connect(running, io_timeout=1)
    storage.write("x", b"old")
    processes = children(running)
    grandchildren = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", ",".join(map(str, processes))],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    frozen = [*processes, *map(int, grandchildren)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        before = time.monotonic()
        with pytest.raises(errors.TransportLostError):
            storage.write("x", b"y" * 100_000_000)
        assert time.monotonic() - before < 10
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGKILL)


def send_large(storage, data, after_half=lambda: None):
    writer = storage.writer("large", publish=Publish.RENAME)
    for offset in range(0, len(data), 1_000_000):
        if offset == len(data) // 2_000_000 * 1_000_000:
            after_half()
        writer.write(data[offset : offset + 1_000_000])
    writer.finish().wait()


def test_a_large_file_over_distance_goes_through_several_connections(special, connect, tmp_path):
    running = special()
    data = os.urandom(90_000_000)
    with delayed(running.host, running.port, 20) as port:
        options = {"port": port, "key_check_type": "none"}
        alone = connect(running, **options)
        started = time.monotonic()
        send_large(alone, data)
        one = time.monotonic() - started
        storage = connect(running, striping=True, **options)
        seen = []
        started = time.monotonic()
        send_large(storage, data, lambda: seen.append(len(children(running))))
        several = time.monotonic() - started
        assert seen == [5], "three more connections were expected"
        assert (tmp_path / "repo/large").read_bytes() == data
        # Twice as fast where there is nothing else to do; this is about not being slower.
        assert several < one * 2, (several, one)
        assert os.listdir(tmp_path / "repo") == ["large"]


def test_a_lane_that_is_killed_in_the_middle(special, connect, tmp_path):
    running = special()
    data = os.urandom(200_000_000)
    with delayed(running.host, running.port, 20) as port:
        options = {"port": port, "key_check_type": "none", "striping": True}
        storage = connect(running, **options)

        def kill():
            deadline = time.monotonic() + 20
            while len(storage.server.lanes.current()) < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
            threading.Timer(0.5, os.kill, (children(running)[-1], signal.SIGKILL)).start()

        with pytest.raises(errors.TransportLostError, match="lost"):
            send_large(storage, data, kill)
        assert not (tmp_path / "repo/large").exists()
        send_large(connect(running, **options), data)
    assert (tmp_path / "repo/large").read_bytes() == data


def test_nearby_a_large_file_goes_through_one_connection(special, connect):
    server = special()
    # Whoever asked whether it is up may not have left yet.
    deadline = time.monotonic() + 20
    while children(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    storage = connect(server, striping=True)
    during = []
    send_large(storage, os.urandom(60_000_000), lambda: during.append(len(children(server))))
    assert during == [1]


# A rate limit.


@pytest.mark.parametrize("verb", ["write", "read"])
def test_a_rate_limit_on_a_real_line(server, connect, verb):
    rate, size = 2_000_000, 6_000_000
    data = os.urandom(size)
    connect(server).write("x", data)
    # The machine may be too busy to be as fast as it may be; it never is faster.
    for _dummy in range(3):
        storage = connect(server, rate_limit=rate)
        began = time.monotonic()
        if verb == "write":
            storage.write("y", data)
        else:
            assert storage.read("x") == data
        measured = size / (time.monotonic() - began)
        assert measured <= 1.1 * rate
        if measured >= 0.9 * rate:
            return
    raise AssertionError(f"{measured:.0f} bytes per second instead of {rate}")


def test_forked_workers_share_a_rate_limit(server, tmp_path):
    sftp = SftpOptions(
        host=server.host,
        port=server.port,
        user=server.user,
        private_key_file=server.private_key,
        known_hosts=(server.known_hosts("ed25519"),),
        rate_limit=2_000_000,
    )
    opener = prepare(RepoOptions(type="sftp", path=str(tmp_path / "repo"), sftp=sftp))
    began = time.monotonic()
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                with opener.open() as storage:
                    storage.write(f"child{number}", os.urandom(1_500_000))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    assert time.monotonic() - began >= 0.9 * 4_500_000 / 2_000_000
