# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for the status."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import run, status
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import HostConnectError

STATUS = status.Status("demo", 42, 1.6e9, ())


def test_without_an_archiver_there_is_none(tmp_path):
    options = Options(command="info", stanza="demo", archiver_path=str(tmp_path))
    assert run.find(options) is None
    with pytest.raises(HostConnectError, match="does not answer"):
        run.ask(options)


def test_what_it_answers_is_given(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "demo.sock"))
    listener.listen()

    def serve():
        with listener, listener.accept()[0] as connection:
            assert connection.recv(100) == b"status\n"
            connection.sendall(b"." + json.dumps(status.as_dict(STATUS)).encode() + b"\n")

    thread = threading.Thread(target=serve)
    thread.start()
    options = Options(command="info", stanza="demo", archiver_path=str(tmp_path))
    assert run.find(options) == STATUS
    thread.join()
