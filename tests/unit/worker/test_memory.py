# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that a worker frees is there for its next buffers."""

from __future__ import annotations

import ctypes
import os
import resource

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker import memory

BUFFERS = 32
SIZE = 256 * 1024
PAGE = resource.getpagesize()


def faults_of_second_use(prepare) -> int:
    """Pages that the kernel gives a new process for buffers like those that it has freed."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        prepare()
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            buffers = [b"x" * SIZE for _number in range(BUFFERS)]
            del buffers
        os.write(send, b"%d" % (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(send)
    with open(receive, "rb") as stream:
        return int(stream.read())


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not the GNU C library")
def test_freed_memory_is_used_again():
    touched = BUFFERS * SIZE // PAGE
    assert faults_of_second_use(lambda: None) > touched / 2
    assert faults_of_second_use(memory.keep_freed) < touched / 10


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.keep_freed()
