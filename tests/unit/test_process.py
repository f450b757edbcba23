# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs: started, talked to, ended."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.process import Process


@pytest.fixture
def start():
    started = []

    def run(*command):
        started.append(Process(command))
        return started[-1]

    yield run
    for process in started:
        if process.input >= 0:
            process.close(0.5)


def descriptors():
    return set(os.listdir("/proc/self/fd"))


def children():
    """Those that ended and were not waited for, too; the test's own process may have others."""
    return {
        int(pid)
        for file in Path("/proc/self/task").glob("*/children")
        for pid in file.read_text().split()
    }


def test_a_conversation(start):
    process = start("cat")
    os.write(process.input, b"hello")
    assert os.read(process.output, 100) == b"hello"
    assert process.wait(0) is None
    process.close()
    assert process.wait(0) == 0


def test_no_shell_takes_part(start):
    process = start("echo", "$HOME; id")
    assert os.read(process.output, 100) == b"$HOME; id\n"


def test_what_it_says_and_how_it_ends(start):
    process = start("sh", "-c", "for n in 1 2 3 4 5 6; do echo line $n >&2; done; exit 7")
    assert process.wait(10) == 7
    assert process.errors() == "line 2\nline 3\nline 4\nline 5\nline 6"
    assert process.errors(1) == "line 6"


def test_much_on_standard_error_does_not_block(start):
    process = start("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo done")
    assert os.read(process.output, 100) == b"done\n"
    assert len(process.errors()) <= 8192


def test_one_that_is_not_there():
    before = descriptors()
    with pytest.raises(errors.ExecuteError, match="unable to execute '/nowhere/x'"):
        Process(["/nowhere/x"])
    assert descriptors() == before


@pytest.mark.parametrize(
    ("function", "number"), [("tempfile.TemporaryFile", errno.ENOSPC), ("os.pipe", errno.EMFILE)]
)
def test_a_host_without_room_for_it(monkeypatch, function, number):
    """Where no directory for temporary files has room, tempfile raises FileNotFoundError."""

    def refuse():
        raise OSError(number, os.strerror(number))

    before = descriptors()
    monkeypatch.setattr(function, refuse)
    with pytest.raises(errors.ExecuteError, match=f"'cat': {os.strerror(number)}"):
        Process(["cat"])
    assert descriptors() == before


def test_one_that_does_not_want_to_end(start):
    process = start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    time.sleep(0.2)
    process.close(0.3)
    assert process.wait(0) == -signal.SIGKILL


def test_nothing_is_left_open():
    before = descriptors()
    process = Process(["cat"])
    process.close()
    assert descriptors() == before


def test_an_interrupt_from_the_terminal_is_not_for_it(start):
    process = start("cat")
    assert os.getpgid(process.pid) == process.pid
    assert os.getpgid(process.pid) != os.getpgid(0)


def test_one_that_must_not_be_executed(tmp_path):
    """The cause is that of the attempt, and no half-started child is left."""
    (tmp_path / "it").write_text("")
    before = children()
    with pytest.raises(errors.ExecuteError, match="it': Permission denied"):
        Process([str(tmp_path / "it")])
    assert children() <= before


def test_standard_descriptors_that_are_closed_here():
    """A daemon may have none: pipes get their numbers, and must not get lost for that."""
    kept = [os.dup(number) for number in (0, 1)]
    try:
        os.close(0)
        os.close(1)
        process = Process(["cat"])
        os.write(process.input, b"hello")
        answer = os.read(process.output, 100)
        process.close()
    finally:
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)
    assert answer == b"hello"


def test_signals_that_are_ignored_here_end_it(start):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        process = start("sleep", "60")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
