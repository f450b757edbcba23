# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that a worker frees is there for its next buffers."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker import memory

BUFFERS, SIZE = 32, 256 * 1024

# Twice the same buffers; prints the pages that the kernel gave for the second ones.
TWICE = """
import resource
for number in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffers = [b"x" * {size} for buffer in range({buffers})]
    del buffers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults_of_second_use(first: str) -> int:
    """In a new process, which has done ``first``."""
    script = first + TWICE.format(size=SIZE, buffers=BUFFERS)
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not the GNU C library")
def test_freed_memory_is_used_again():
    touched = BUFFERS * SIZE // resource.getpagesize()
    kept = f"import runpy; runpy.run_path({memory.__file__!r})['keep_freed']()"
    assert faults_of_second_use("") > touched / 2
    assert faults_of_second_use(kept) < touched / 10


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.keep_freed()
