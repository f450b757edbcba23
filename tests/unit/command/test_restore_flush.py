# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was written is flushed in the background, in bounds, and counts when it is durable."""

from __future__ import annotations

import os
import threading

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import flush
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import FileWriteError


class Disk:
    """Lets flushes pass when it is told to, and remembers their order."""

    def __init__(self):
        self.flushed = []
        self.gate = threading.Event()
        self.error = None

    def fsync(self, descriptor):
        self.gate.wait(10)
        self.flushed.append(descriptor)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch):
    made = Disk()
    monkeypatch.setattr(flush.os, "fsync", made.fsync)
    yield made
    made.gate.set()


def lot(tmp_path, count=2):
    return [
        flush.Written(os.open(tmp_path / f"{number}", os.O_WRONLY | os.O_CREAT, 0o600), 1000)
        for number in range(count)
    ]


def is_open(file):
    try:
        os.fstat(file.descriptor)
    except OSError:
        return False
    return True


def test_a_lot_is_done_when_all_of_it_is_durable_and_closed(tmp_path, disk):
    files = lot(tmp_path)
    flushed = flush.Flusher().add(files, "first")
    assert not flushed.done()
    assert all(map(is_open, files))
    disk.gate.set()
    assert flushed.result(10) is None
    assert disk.flushed == [file.descriptor for file in files]
    assert not any(map(is_open, files))


def times(tmp_path, count=2):
    return {int((tmp_path / f"{number}").stat().st_mtime) for number in range(count)}


def test_a_file_has_its_time_when_it_is_durable_and_not_before(tmp_path, disk):
    flushed = flush.Flusher().add(lot(tmp_path), "first")
    assert 1000 not in times(tmp_path)
    disk.gate.set()
    flushed.result(10)
    assert times(tmp_path) == {1000}


def test_what_has_its_time_already_is_not_touched(tmp_path):
    (file,) = lot(tmp_path, 1)
    os.utime(file.descriptor, (1000, 1000))
    before = os.fstat(file.descriptor).st_ctime_ns
    flush.make_durable([file])
    assert os.fstat(file.descriptor).st_ctime_ns == before
    os.close(file.descriptor)


def test_not_more_than_a_few_wait(tmp_path, disk):
    flusher = flush.Flusher()
    for _number in range(flush.LOTS):
        flusher.add(lot(tmp_path), "x")
    more = threading.Thread(target=flusher.add, args=(lot(tmp_path), "x"))
    more.start()
    more.join(0.2)
    assert more.is_alive()
    disk.gate.set()
    more.join(10)
    assert not more.is_alive()


def test_what_cannot_be_made_durable_is_no_success(tmp_path, disk):
    disk.error = OSError(28, "No space left on device")
    disk.gate.set()
    files = lot(tmp_path)
    flusher = flush.Flusher()
    flushed = flusher.add(files, "/data/first")
    with pytest.raises(FileWriteError, match="unable to write '/data/first': No space left"):
        flushed.result(10)
    assert not any(map(is_open, files))
    assert 1000 not in times(tmp_path)
    # Whoever adds more hears of it, too.
    with pytest.raises(FileWriteError):
        for _number in range(flush.LOTS + 1):
            flusher.add(lot(tmp_path), "x")
