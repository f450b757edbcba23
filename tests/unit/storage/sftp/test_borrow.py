# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A borrowed session: bytes over the archiver's socket, which may hang up at any time."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import SftpOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import (
    borrow,
    protocol,
)

VERSION = bytes.fromhex("000000050200000003")
STATUS_OK = bytes.fromhex("0000001365000000000000000000000002") + b"ok" + bytes(4)


class Archiver:
    """Lends one session, the other end of which is ``peer``."""

    def __init__(self, directory):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / "demo.sock"))
        self._listener.listen()
        self.peer = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        self.peer, _address = self._listener.accept()
        while not self.peer.recv(4096).endswith(b"\n"):
            continue
        about = json.dumps({"software": "OpenSSH", "cipher": "aes128-gcm@openssh.com"})
        self.peer.sendall(f"{borrow.LENT} {about}\n".encode())

    def lend(self, directory):
        options = SftpOptions(host="sftp-srv", user="backup")
        channel = borrow.borrow(borrow.Lender(str(directory), "demo"), options, 2.0)
        self._thread.join()
        return channel

    def close(self):
        self._listener.close()
        self.peer.close()


@pytest.fixture
def archiver(tmp_path):
    made = Archiver(tmp_path)
    yield made
    made.close()


@pytest.fixture
def channel(archiver, tmp_path):
    made = archiver.lend(tmp_path)
    archiver.peer.sendall(VERSION)
    made.greet()
    archiver.peer.recv(4096)
    yield made
    made.give_up(errors.TransportLostError("closed"))


def ask(channel):
    """Send a request; what it is answered comes into the list."""
    replies = []
    channel.request(protocol.LSTAT, protocol.string(b"/"), replies.append)
    return replies


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_it_is_known_to_have_ended_when_the_archiver_hangs_up(channel, archiver, how):
    assert not channel.ended
    if how == "close":
        archiver.peer.close()
    else:
        # As the archiver does whose own line ended.
        archiver.peer.shutdown(socket.SHUT_RDWR)
    assert channel.ended


def test_what_came_before_the_end_is_still_taken(channel, archiver):
    replies = ask(channel)
    # So that a close resets nothing.
    assert archiver.peer.recv(4096)
    archiver.peer.sendall(STATUS_OK)
    assert not channel.ended
    archiver.peer.close()
    assert channel.ended
    with pytest.raises(errors.TransportLostError, match="closed by the archiver"):
        channel.step()
    assert replies[0].is_ok()


def test_one_that_was_given_up_has_ended(channel):
    channel.give_up(errors.TransportLostError("closed"))
    assert channel.ended
    assert channel._stream.closed


def test_it_waits_neither_to_know_nor_without_anything_to_read(channel):
    replies = ask(channel)
    channel.step()
    assert replies == []
    assert channel.outstanding == 1
    assert not channel.ended
