# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large files in parts through several connections: whole or not at all."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import (
    lanes,
    server,
    writer,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.channel import (
    Channel,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.storage import (
    SftpStorage,
)
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects, Line, SftpServer

SIZE = 12_000_000


class Eager(Line):
    """Its answers are there without waiting."""

    def recv_ready(self):
        return bool(self._arrived or self._due)

    def recv(self, size):
        if not self._arrived and not self._due:
            time.sleep(0.001)
        return super().recv(size)


class Site:
    """A session with lanes, each with a server of its own on the same directory."""

    def __init__(self, root, **lane_defects):
        self.root = root
        self.lane_defects = lane_defects
        self.servers = []
        self.lines = []
        self.refuse = False
        self.tight = False
        root.mkdir(exist_ok=True)
        self.storage = self.session(0)

    def channel(self, **defects):
        made = SftpServer(Defects(**defects))
        self.servers.append(made)
        self.lines.append(Eager(made))
        return Channel(self.lines[-1], "sftp-srv", self.lines[-1].close)

    def lane(self):
        if self.refuse:
            raise errors.HostBusyError("the server has enough")
        channel = self.channel(**self.lane_defects)
        channel.greet()
        return channel

    def session(self, generation):
        made = lanes.Lanes(self.lane, tight=lambda: self.tight)
        return SftpStorage(self.channel(), "sftp-srv", str(self.root), generation, made)

    def send(self, data, path="backup/large"):
        return self.begin(data, path).finish()

    def begin(self, data, path):
        """A writer that has taken all of it, through all connections that are to be had."""
        sent = self.storage.writer(path, publish=Publish.RENAME)
        for offset in range(0, len(data), 700_001):
            sent.write(data[offset : offset + 700_001])
            deadline = time.monotonic() + 5
            # Connections are made in the background.
            while offset > 2_000_000 and len(self.servers) < 4 and not (self.refuse or self.tight):
                assert time.monotonic() < deadline
                time.sleep(0.001)
        return sent


@pytest.fixture(autouse=True)
def far(monkeypatch):
    """Every server counts as far away, and a file soon as large."""
    monkeypatch.setattr(server, "FAR", -1.0)
    monkeypatch.setattr(writer, "LARGE", 1_000_000)


@pytest.fixture
def data():
    return random.Random(7).randbytes(SIZE)


def test_all_parts_are_there(tmp_path, data):
    site = Site(tmp_path / "repo")
    site.send(data).wait()
    assert (tmp_path / "repo/backup/large").read_bytes() == data
    assert os.listdir(tmp_path / "repo/backup") == ["large"]
    assert len(site.servers) == 4
    assert all(made.count("write") > 3 for made in site.servers)
    # Each is made durable, and the name is given once, when all is there.
    assert all(made.count("fsync@openssh.com") == 1 for made in site.servers)
    assert all(made.count("close") == 1 for made in site.servers)
    assert [made.count("posix-rename@openssh.com") for made in site.servers] == [1, 0, 0, 0]
    site.send(data[::-1], "backup/next").wait()
    assert (tmp_path / "repo/backup/next").read_bytes() == data[::-1]
    assert len(site.servers) == 4
    site.storage.close()
    assert all(line.closed for line in site.lines)


def test_for_a_file_that_will_be_large_they_are_made_at_once(tmp_path, data, monkeypatch):
    monkeypatch.setattr(writer, "LARGE", 2 * SIZE)
    monkeypatch.setattr(writer, "EXPECTED_LARGE", SIZE)
    site = Site(tmp_path / "repo")
    sent = site.storage.writer("large", publish=Publish.RENAME, most=SIZE)
    deadline = time.monotonic() + 5
    while len(site.servers) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for offset in range(0, SIZE, 700_001):
        sent.write(data[offset : offset + 700_001])
    sent.finish().wait()
    assert (tmp_path / "repo/large").read_bytes() == data
    assert all(made.count("write") > 3 for made in site.servers)


def test_one_that_may_be_small_waits_until_it_is_large(tmp_path, data, monkeypatch):
    monkeypatch.setattr(writer, "EXPECTED_LARGE", SIZE)
    site = Site(tmp_path / "repo")
    sent = site.storage.writer("small", publish=Publish.RENAME, most=SIZE - 1)
    sent.write(data[:900_000])
    sent.finish().wait()
    assert len(site.servers) == 1


def test_a_small_file_goes_alone(tmp_path, data):
    site = Site(tmp_path / "repo")
    site.storage.write("small", data[:900_000])
    assert len(site.servers) == 1


def test_nearby_nothing_is_shared(tmp_path, data, monkeypatch):
    monkeypatch.setattr(server, "FAR", 3600.0)
    site = Site(tmp_path / "repo")
    site.storage.write("large", data)
    assert len(site.servers) == 1


@pytest.mark.parametrize(
    "processes, each", [(1, 3), (2, 3), (3, 2), (4, 2), (5, 1), (8, 1), (9, 0), (16, 0)]
)
def test_the_processes_of_a_command_share_what_a_server_can_bear(processes, each):
    assert lanes.share(processes) == each
    assert processes * each <= lanes.LANES_OF_ALL


def test_far_away_the_distance_is_measured_without_waiting_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "FAR", 0.015)
    made = SftpServer()
    line = Line(made)  # answers only when it is waited for
    channel = Channel(line, "sftp-srv", line.close)
    storage = SftpStorage(channel, "sftp-srv", str(tmp_path), 0, lanes.Lanes(lambda: channel))
    assert (storage.round_trips, line.waits) == (0, 1)
    assert made.requests == ["limits@openssh.com", "lstat"]
    assert storage.server.lanes is not None


def test_no_connection_is_added_while_the_server_refuses_some(tmp_path, data):
    site = Site(tmp_path / "repo")
    site.tight = True
    site.send(data).wait()
    assert len(site.servers) == 1
    site.tight = False
    site.send(data, "backup/next").wait()
    assert len(site.servers) == 4


def test_connections_that_no_file_needs_are_given_back_to_a_server_that_refuses(tmp_path, data):
    site = Site(tmp_path / "repo")
    site.send(data).wait()
    site.tight = True
    site.storage.write("small", b"x")
    assert [line.closed for line in site.lines] == [False, True, True, True]
    site.send(data[::-1], "backup/next").wait()
    assert (tmp_path / "repo/backup/next").read_bytes() == data[::-1]


def test_connections_are_given_back_when_the_file_that_needs_them_is_done(tmp_path, data):
    site = Site(tmp_path / "repo")
    sent = site.storage.writer("backup/large", publish=Publish.RENAME)
    for offset in range(0, SIZE, 500_000):
        sent.write(data[offset : offset + 500_000])
        while len(site.servers) < 4 and offset > 2_000_000:
            time.sleep(0.001)
        site.tight = offset > SIZE / 2
    assert sum(line.closed for line in site.lines) < 3
    sent.finish().wait()
    site.storage.write("small", b"x")
    assert [line.closed for line in site.lines] == [False, True, True, True]
    assert (tmp_path / "repo/backup/large").read_bytes() == data


def test_a_server_that_grants_no_more_connections(tmp_path, data):
    site = Site(tmp_path / "repo")
    site.refuse = True
    site.send(data).wait()
    assert (tmp_path / "repo/backup/large").read_bytes() == data


@pytest.mark.parametrize("defects", [{"refuse": {"open": 4}}, {"handles": 0}])
def test_lanes_that_cannot_open_the_file(tmp_path, data, defects):
    site = Site(tmp_path / "repo", **defects)
    site.send(data).wait()
    assert (tmp_path / "repo/backup/large").read_bytes() == data


def test_a_lane_without_fsync(tmp_path, data):
    site = Site(tmp_path / "repo", refuse={"fsync@openssh.com": 8})
    site.send(data).wait()
    assert (tmp_path / "repo/backup/large").read_bytes() == data


@pytest.mark.parametrize("defects", [{"refuse": {"write": 4}}, {"refuse": {"close": 4}}])
def test_a_part_that_is_refused_leaves_nothing(tmp_path, data, defects):
    site = Site(tmp_path / "repo", **defects)
    with pytest.raises(errors.StorageError):
        site.send(data).wait()
    site.storage.close()
    assert os.listdir(tmp_path / "repo/backup") == []


def test_a_full_server_says_so(tmp_path, data):
    site = Site(tmp_path / "repo", room=1_000_000)
    site.servers[0].defects.room = 1_500_000
    with pytest.raises(errors.StorageFullError, match="no space left on the server"):
        site.send(data).wait()


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_lane_that_is_lost_loses_the_session(tmp_path, data, after):
    """Then the whole file is sent again, and nothing of before can be in it."""
    site = Site(tmp_path / "repo", cut_after=after)
    with pytest.raises(errors.TransportLostError):
        site.send(data).wait()
    assert not (tmp_path / "repo/backup/large").exists()
    left = site.storage.unfinished
    site.storage.close()
    site.lane_defects = {}
    site.storage = site.session(1)
    assert site.storage.remove_many(left) == 1
    site.send(data).wait()
    site.storage.close()
    assert (tmp_path / "repo/backup/large").read_bytes() == data
    assert os.listdir(tmp_path / "repo/backup") == ["large"]


def test_a_lane_that_is_lost_when_the_next_large_file_begins(tmp_path, data, monkeypatch):
    """What was given to a file before its handle came is sent when the answer is handled."""
    monkeypatch.setattr(writer, "EXPECTED_LARGE", SIZE)
    site = Site(tmp_path / "repo")
    first = site.storage.writer("first", publish=Publish.RENAME, most=SIZE)
    for offset in range(0, SIZE, 700_001):
        first.write(data[offset : offset + 700_001])
    second = site.storage.writer("second", publish=Publish.RENAME, most=SIZE)
    second._send(data[:100_000])
    for line in site.lines[1:]:
        line.closed = True
    # Not through the server, which looks after its lanes first.
    with pytest.raises(errors.TransportLostError, match="carries a part of a large file is lost"):
        site.storage.channel.wait_until(second._ended)
    for verb in (second.wait, lambda: site.storage.list("")):
        with pytest.raises(errors.TransportLostError, match="part of a large file"):
            verb()


def test_a_lane_that_falls_silent(tmp_path, data):
    site = Site(tmp_path / "repo", silent_after=4)
    site.storage._channel.timeout = 0.3
    with pytest.raises(errors.TransportLostError, match=r"no answer in time|timed out"):
        site.send(data).wait()


def make_late(line, seconds):
    """Have the answer to fsync come late, and all others at once."""
    made, feed = line.server, line.server.feed

    def later(answers):
        line._due += answers

    def slowly(data):
        before = made.count("fsync@openssh.com")
        answers = feed(data)
        if made.count("fsync@openssh.com") == before:
            return answers
        threading.Timer(seconds, later, [answers]).start()
        return []

    made.feed = slowly


def test_lanes_that_make_a_file_durable_one_after_the_other_are_not_silent(tmp_path, data):
    site = Site(tmp_path / "repo")
    sent = site.begin(data, "large")
    site.storage._channel.timeout = 1.0
    for number, line in enumerate(site.lines):
        make_late(line, 0.6 * number)
    sent.finish().wait()
    assert (tmp_path / "repo/large").read_bytes() == data


def test_where_no_thread_is_to_be_had_it_goes_alone(tmp_path, data, monkeypatch):
    site = Site(tmp_path / "repo")
    site.refuse = True  # nobody waits for them

    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    site.send(data).wait()
    assert (tmp_path / "repo/backup/large").read_bytes() == data


def test_a_line_that_is_too_bad(tmp_path, data):
    site = Site(tmp_path / "repo")
    site.storage = site.session(lanes.GENERATIONS)
    site.storage.write("large", data)
    assert len(site.servers) == 2


def test_giving_up_leaves_nothing(tmp_path, data):
    site = Site(tmp_path / "repo")
    begun = site.storage.writer("backup/large", publish=Publish.RENAME)
    for offset in range(0, SIZE, 500_000):
        begun.write(data[offset : offset + 500_000])
    begun.abort()
    site.storage.close()
    assert os.listdir(tmp_path / "repo/backup") == []


def test_a_lane_that_is_lost_while_nobody_needs_it(tmp_path, data):
    site = Site(tmp_path / "repo")
    site.send(data).wait()
    site.lines[2].closed = True
    site.send(data[::-1], "backup/next").wait()
    assert (tmp_path / "repo/backup/next").read_bytes() == data[::-1]
    assert site.servers[2].count("open") == 1
    assert site.servers[3].count("open") == 2
